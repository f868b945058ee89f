//! The door between the languages: the only folder that names pyo3. The GIL is held throughout: calls are short,
//! and none waits.

mod http;
#[cfg(target_os = "linux")]
mod inlet;
mod json;
mod sse;

use pyo3::PyErr;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::wire::WireError;

mod errors {
    pyo3::import_exception!(bifrost_trio.errors, ConnectionBroken);
    pyo3::import_exception!(bifrost_trio.errors, MalformedAnswer);
    pyo3::import_exception!(bifrost_trio.errors, MalformedJson);
    pyo3::import_exception!(bifrost_trio.errors, MalformedRequest);
}

impl From<WireError> for PyErr {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Request { status, message } => errors::MalformedRequest::new_err((message, status)),
            WireError::Answer { message } => errors::MalformedAnswer::new_err((message,)),
            WireError::Broken { message } => errors::ConnectionBroken::new_err((message,)),
            WireError::Json { message, param } => errors::MalformedJson::new_err((message, param)),
            WireError::Value { message } => PyValueError::new_err((message,)),
        }
    }
}

#[pymodule(gil_used = false)]
mod _wire {
    #[pymodule_export]
    use super::http::{Request, RequestReader, Response, ResponseReader};
    #[pymodule_export]
    use super::http::{render_answer, render_chunk, render_head, splice_answer};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::inlet::Inlet;
    #[pymodule_export]
    use super::json::{Answer, Envelope, Scanner, Usage, scan, scan_answer};
    #[pymodule_export]
    use super::sse::{EventReader, StreamScan, render_message};

    #[pymodule_export]
    const MAX_HEAD: usize = crate::wire::MAX_HEAD;
    #[pymodule_export]
    const MAX_HEADERS: usize = crate::wire::MAX_HEADERS;
    #[pymodule_export]
    const MAX_TARGET: usize = crate::wire::MAX_TARGET;
    #[pymodule_export]
    const MAX_DEPTH: usize = crate::wire::MAX_DEPTH;
    #[pymodule_export]
    const MAX_MEMBERS: usize = crate::wire::MAX_MEMBERS;
    #[pymodule_export]
    const MAX_CHUNK_EXTENSION: usize = crate::wire::MAX_CHUNK_EXTENSION;
    #[pymodule_export]
    const MAX_TRAILERS: usize = crate::wire::MAX_TRAILERS;
    #[pymodule_export]
    const MAX_EVENT: usize = crate::wire::MAX_EVENT;
}
