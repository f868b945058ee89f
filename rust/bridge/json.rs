//! JSON framing for Python: the envelope of a request, the facts of an answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::wire::answer::{self, Format};
use crate::wire::{envelope, splice, usage};

/// A panic while the lock was held has been reported already; the state behind it is plain data.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Envelope {
    read: envelope::Envelope,
    /// Several stations ask for it.
    #[pyo3(get)]
    model: Option<Py<PyString>>,
}

impl Envelope {
    fn new(py: Python<'_>, read: envelope::Envelope) -> Self {
        let model = read.model.as_deref().map(|name| PyString::new(py, name).unbind());
        Self { read, model }
    }
}

#[pymethods]
impl Envelope {
    #[getter]
    fn stream(&self) -> bool {
        self.read.stream
    }

    #[getter]
    fn fallbacks(&self) -> Vec<&str> {
        self.read.fallbacks.iter().map(String::as_str).collect()
    }

    #[getter]
    fn max_tokens(&self) -> Option<u64> {
        self.read.max_tokens
    }

    #[getter]
    fn size(&self) -> usize {
        self.read.size
    }

    #[pyo3(signature = (body, model, /))]
    fn splice<'py>(&self, py: Python<'py>, body: &[u8], model: Option<&str>) -> PyResult<Bound<'py, PyBytes>> {
        let spliced = self.read.splice(body, model)?;
        PyBytes::new_with(py, spliced.len(), |out| {
            spliced.write(out);
            Ok(())
        })
    }

    #[pyo3(signature = (prefix, body, model, /))]
    fn render<'py>(
        &self,
        py: Python<'py>,
        prefix: &[u8],
        body: &[u8],
        model: Option<&str>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let spliced = self.read.splice(body, model)?;
        let mut digits = itoa::Buffer::new();
        let head = [prefix, digits.format(spliced.len()).as_bytes(), b"\r\n\r\n"];
        let head_length = head.iter().map(|piece| piece.len()).sum::<usize>();
        PyBytes::new_with(py, head_length + spliced.len(), |out| {
            let (head_out, body_out) = out.split_at_mut(head_length);
            splice::write(&head, head_out);
            spliced.write(body_out);
            Ok(())
        })
    }
}

#[pyfunction]
#[pyo3(signature = (body, /))]
pub(super) fn scan(py: Python<'_>, body: &[u8]) -> PyResult<Envelope> {
    Ok(Envelope::new(py, envelope::scan(body)?))
}

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Scanner(Mutex<Option<envelope::Scanner>>);

#[pymethods]
impl Scanner {
    #[new]
    fn new() -> Self {
        Self(Mutex::new(Some(envelope::Scanner::default())))
    }

    #[pyo3(signature = (piece, /))]
    fn feed(&self, piece: &[u8]) -> PyResult<()> {
        Ok(lock(&self.0).as_mut().ok_or_else(finished)?.feed(piece)?)
    }

    fn finish(&self, py: Python<'_>) -> PyResult<Envelope> {
        Ok(Envelope::new(py, lock(&self.0).take().ok_or_else(finished)?.finish()?))
    }
}

fn finished() -> PyErr {
    PyValueError::new_err("the scanner is finished")
}

#[pyclass(frozen, eq, module = "bifrost_trio._wire")]
#[derive(PartialEq)]
pub(super) struct Usage(usage::Usage);

impl From<usage::Usage> for Usage {
    fn from(usage: usage::Usage) -> Self {
        Self(usage)
    }
}

#[pymethods]
impl Usage {
    #[new]
    #[pyo3(signature = (input_tokens=0, output_tokens=0, cached_tokens=0, cache_write_tokens=0, reasoning_tokens=0))]
    fn new(
        input_tokens: u64,
        output_tokens: u64,
        cached_tokens: u64,
        cache_write_tokens: u64,
        reasoning_tokens: u64,
    ) -> Self {
        Self(usage::Usage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens })
    }

    #[getter]
    fn input_tokens(&self) -> u64 {
        self.0.input_tokens
    }

    #[getter]
    fn output_tokens(&self) -> u64 {
        self.0.output_tokens
    }

    #[getter]
    fn cached_tokens(&self) -> u64 {
        self.0.cached_tokens
    }

    #[getter]
    fn cache_write_tokens(&self) -> u64 {
        self.0.cache_write_tokens
    }

    #[getter]
    fn reasoning_tokens(&self) -> u64 {
        self.0.reasoning_tokens
    }

    fn __repr__(&self) -> String {
        let usage::Usage { input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens } = self.0;
        format!(
            "Usage(input_tokens={input_tokens}, output_tokens={output_tokens}, cached_tokens={cached_tokens}, \
             cache_write_tokens={cache_write_tokens}, reasoning_tokens={reasoning_tokens})"
        )
    }
}

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Answer(answer::Answer);

#[pymethods]
impl Answer {
    #[getter]
    fn usage(&self) -> Option<Usage> {
        self.0.usage.map(Usage)
    }

    #[getter]
    fn finish_reason(&self) -> Option<&str> {
        self.0.finish_reason.as_deref()
    }

    #[getter]
    fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    #[getter]
    fn error(&self) -> bool {
        self.0.error
    }
}

#[pyfunction]
#[pyo3(signature = (format, body, /))]
pub(super) fn scan_answer(format: &str, body: &[u8]) -> PyResult<Answer> {
    Ok(Answer(answer::scan_answer(Format::named(format)?, body)?))
}
