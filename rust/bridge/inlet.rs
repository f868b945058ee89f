//! Reading from a socket, and when the kernel received what is read (`SO_TIMESTAMPNS`, socket(7)).

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Of bytes that are said to have waited longer it is not known: the machine's clock may have been set meanwhile.
const LONGEST: Duration = Duration::from_secs(5);

thread_local! {
    /// What is read goes here first, so that no read asks for memory that it does not fill.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The reading end of a socket that does not block.
#[pyclass(module = "bifrost_trio._wire")]
pub(super) struct Inlet {
    fd: RawFd,
    size: usize,
    /// Room for the one control message that comes.
    control: Vec<u8>,
    #[pyo3(get)]
    came_at: f64,
}

#[pymethods]
impl Inlet {
    #[new]
    #[pyo3(signature = (fd, size, /))]
    fn new(fd: RawFd, size: usize) -> Self {
        Self { fd, size, control: nix::cmsg_space!(TimeSpec), came_at: 0.0 }
    }

    fn receive<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        BUFFER.with_borrow_mut(|buffer| {
            if buffer.len() < self.size {
                buffer.resize(self.size, 0);
            }
            let mut pieces = [IoSliceMut::new(&mut buffer[..self.size])];
            let message = match recvmsg::<()>(self.fd, &mut pieces, Some(&mut self.control), MsgFlags::MSG_DONTWAIT) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(PyOSError::new_err((error as i32, error.desc()))),
            };
            let length = message.bytes;
            self.came_at = match message.cmsgs().ok().and_then(|mut all| all.next()) {
                Some(ControlMessageOwned::ScmTimestampns(stamp)) => on_the_clock(stamp)?,
                _ => 0.0,
            };
            Ok(Some(PyBytes::new(py, &buffer[..length])))
        })
    }
}

/// The kernel stamps with the time of day; waits are measured on a clock that nobody sets.
fn on_the_clock(stamp: TimeSpec) -> PyResult<f64> {
    let clock = |id| clock_gettime(id).map(Duration::from).map_err(io::Error::from);
    let now = clock(ClockId::CLOCK_MONOTONIC)?;
    let waited = clock(ClockId::CLOCK_REALTIME)?.saturating_sub(stamp.into());
    Ok(if waited > LONGEST { 0.0 } else { now.saturating_sub(waited).as_secs_f64() })
}
