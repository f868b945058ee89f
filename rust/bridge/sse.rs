//! Event streams for Python.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use super::json::{Usage, lock};
use crate::wire::answer::Format;
use crate::wire::framing::{self, Framing};
use crate::wire::{amazon, stream_scan};

type Event = (String, Py<PyBytes>, String);

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct EventReader {
    reader: Mutex<framing::EventReader>,
    /// What an event is called that has no name.
    unnamed: &'static [u8],
}

#[pymethods]
impl EventReader {
    #[new]
    #[pyo3(signature = (framing = "sse", /))]
    fn new(framing: &str) -> PyResult<Self> {
        let framing = Framing::named(framing)?;
        let unnamed: &[u8] = if framing == Framing::Amazon { b"" } else { b"message" };
        Ok(Self { reader: Mutex::new(framing::EventReader::new(framing)), unnamed })
    }

    #[pyo3(signature = (data, /))]
    fn feed(&self, py: Python<'_>, data: &[u8]) -> PyResult<Vec<Event>> {
        let mut events = Vec::new();
        lock(&self.reader).feed(data, |event| {
            let name = if event.name.is_empty() { self.unnamed } else { event.name };
            events.push((text(name), PyBytes::new(py, event.data).unbind(), text(event.id)));
            Ok(())
        })?;
        Ok(events)
    }
}

#[pyfunction]
#[pyo3(signature = (headers, payload, /))]
#[allow(clippy::needless_pass_by_value)] // a list of what was converted belongs to nobody else
pub(super) fn render_message<'py>(
    py: Python<'py>,
    headers: Vec<(PyBackedStr, PyBackedStr)>,
    payload: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    Ok(PyBytes::new(py, &amazon::render(&headers, payload)?))
}

/// The specification decodes a stream with replacement.
#[allow(clippy::disallowed_methods)]
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct StreamScan(Mutex<stream_scan::StreamScan>);

#[pymethods]
impl StreamScan {
    #[new]
    #[pyo3(signature = (format, /))]
    fn new(format: &str) -> PyResult<Self> {
        Ok(Self(Mutex::new(stream_scan::StreamScan::new(Format::named(format)?)?)))
    }

    #[pyo3(signature = (data, /))]
    fn feed(&self, data: &[u8]) -> PyResult<bool> {
        Ok(lock(&self.0).feed(data)?)
    }

    #[getter]
    fn output(&self) -> bool {
        lock(&self.0).facts().output
    }

    #[getter]
    fn outputs(&self) -> u32 {
        lock(&self.0).facts().outputs
    }

    #[getter]
    fn complete(&self) -> bool {
        lock(&self.0).facts().complete
    }

    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        lock(&self.0).facts().error.as_deref().map(|error| PyBytes::new(py, error))
    }

    #[getter]
    fn finish_reason(&self) -> Option<String> {
        lock(&self.0).facts().finish_reason.clone()
    }

    #[getter]
    fn usage(&self) -> Option<Usage> {
        lock(&self.0).facts().usage.map(Usage::from)
    }

    #[getter]
    fn boundary(&self) -> bool {
        lock(&self.0).boundary()
    }
}
