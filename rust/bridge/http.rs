//! HTTP/1.1 for Python: requests, answers, rendering.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::wire::render::{self, End};
use crate::wire::{Fields, Pieces, request, response};

/// A reader belongs to one task. Whoever comes while it is at work (a finaliser, another thread) is refused, not kept.
fn enter<T>(state: &Mutex<T>) -> PyResult<MutexGuard<'_, T>> {
    state.try_lock().map_err(|_| PyRuntimeError::new_err("the reader is in use"))
}

/// The decoded bytes, with one copy.
fn bytes<'py>(py: Python<'py>, pieces: &Pieces<'_>) -> PyResult<Bound<'py, PyBytes>> {
    match pieces.as_slice() {
        Some(slice) => Ok(PyBytes::new(py, slice)),
        None => PyBytes::new_with(py, pieces.len(), |target| {
            pieces.copy_to(target);
            Ok(())
        }),
    }
}

fn value<'py>(py: Python<'py>, found: Option<Cow<'_, [u8]>>) -> Option<Bound<'py, PyBytes>> {
    found.map(|value| PyBytes::new(py, &value))
}

fn pairs<'py>(py: Python<'py>, fields: &Fields) -> PyResult<Bound<'py, PyList>> {
    PyList::new(
        py,
        fields.iter().map(|(name, value)| (PyBytes::new(py, name), PyBytes::new(py, value))).collect::<Vec<_>>(),
    )
}

// === requests ===

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Request {
    head: request::Request,
    #[pyo3(get)]
    method: Py<PyString>,
    #[pyo3(get)]
    path: Py<PyString>,
    #[pyo3(get)]
    query: Py<PyString>,
    #[pyo3(get)]
    body: Py<PyBytes>,
    #[pyo3(get)]
    complete: bool,
    #[pyo3(get)]
    expect_continue: bool,
    #[pyo3(get)]
    usual: bool,
    #[pyo3(get)]
    handover: Option<Py<PyBytes>>,
}

#[pymethods]
impl Request {
    #[getter]
    fn minor_version(&self) -> u8 {
        self.head.minor_version
    }

    #[getter]
    fn keep_alive(&self) -> bool {
        self.head.keep_alive
    }

    #[getter]
    fn content_length(&self) -> Option<u64> {
        self.head.content_length
    }

    #[getter]
    fn special(&self) -> bool {
        self.head.special
    }

    #[getter]
    fn plain(&self) -> bool {
        self.head.plain
    }

    #[pyo3(signature = (name, /))]
    fn header<'py>(&self, py: Python<'py>, name: &[u8]) -> Option<Bound<'py, PyBytes>> {
        value(py, self.head.get(name))
    }

    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        pairs(py, self.head.fields())
    }
}

#[derive(Default)]
struct RequestState {
    reader: request::RequestReader,
    /// A client asks for the same path again and again.
    path: Option<Py<PyString>>,
    path_text: String,
}

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct RequestReader {
    state: Mutex<RequestState>,
}

#[pymethods]
impl RequestReader {
    #[new]
    fn new() -> Self {
        Self { state: Mutex::default() }
    }

    #[pyo3(signature = (data, /))]
    fn feed(&self, py: Python<'_>, data: &[u8]) -> PyResult<Option<Request>> {
        let mut state = enter(&self.state)?;
        let RequestState { reader, path, path_text } = &mut *state;
        let Some(incoming) = reader.feed(data)? else { return Ok(None) };
        let usual = incoming.usual();
        let head = incoming.request;
        let path = match path {
            Some(known) if path_text == head.path() => known.clone_ref(py),
            _ => {
                head.path().clone_into(path_text);
                path.insert(PyString::new(py, path_text).unbind()).clone_ref(py)
            }
        };
        Ok(Some(Request {
            method: method(py, head.method()),
            usual,
            path,
            query: if head.query().is_empty() { intern!(py, "").clone() } else { PyString::new(py, head.query()) }
                .unbind(),
            body: bytes(py, &incoming.body)?.unbind(),
            complete: incoming.complete,
            expect_continue: incoming.expect_continue,
            handover: incoming.handover.map(|received| PyBytes::new(py, received).unbind()),
            head,
        }))
    }

    #[pyo3(signature = (data, /))]
    fn feed_body<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        bytes(py, &enter(&self.state)?.reader.feed_body(data)?)
    }

    #[getter]
    fn body_complete(&self) -> PyResult<bool> {
        Ok(enter(&self.state)?.reader.body_complete())
    }

    #[getter]
    fn pending(&self) -> PyResult<bool> {
        Ok(enter(&self.state)?.reader.pending())
    }
}

fn method(py: Python<'_>, name: &str) -> Py<PyString> {
    match name {
        "POST" => intern!(py, "POST").clone(),
        "GET" => intern!(py, "GET").clone(),
        "HEAD" => intern!(py, "HEAD").clone(),
        "DELETE" => intern!(py, "DELETE").clone(),
        _ => PyString::new(py, name),
    }
    .unbind()
}

// === answers ===

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Response {
    head: response::Response,
    #[pyo3(get)]
    body: Py<PyBytes>,
    #[pyo3(get)]
    complete: bool,
}

#[pymethods]
impl Response {
    #[getter]
    fn status(&self) -> u16 {
        self.head.status
    }

    #[getter]
    fn content_length(&self) -> Option<u64> {
        self.head.content_length
    }

    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.head.content_type())
    }

    #[getter]
    fn event_stream(&self) -> bool {
        self.head.event_stream
    }

    #[pyo3(signature = (name, /))]
    fn header<'py>(&self, py: Python<'py>, name: &[u8]) -> Option<Bound<'py, PyBytes>> {
        value(py, self.head.get(name))
    }

    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        pairs(py, self.head.fields())
    }
}

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct ResponseReader {
    reader: Mutex<response::ResponseReader>,
}

#[pymethods]
impl ResponseReader {
    #[new]
    fn new() -> Self {
        Self { reader: Mutex::default() }
    }

    #[pyo3(signature = (*, head = false))]
    fn expect(&self, head: bool) -> PyResult<()> {
        enter(&self.reader)?.expect(head);
        Ok(())
    }

    #[pyo3(signature = (data, /))]
    fn feed(&self, py: Python<'_>, data: &[u8]) -> PyResult<Option<Response>> {
        let mut reader = enter(&self.reader)?;
        let Some(arrived) = reader.feed(data)? else { return Ok(None) };
        let body = bytes(py, &arrived.body)?.unbind();
        Ok(Some(Response { head: arrived.response, body, complete: arrived.complete }))
    }

    #[pyo3(signature = (data, /))]
    fn feed_body<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        bytes(py, &enter(&self.reader)?.feed_body(data)?)
    }

    fn end(&self) -> PyResult<()> {
        Ok(enter(&self.reader)?.end()?)
    }

    #[getter]
    fn body_complete(&self) -> PyResult<bool> {
        Ok(enter(&self.reader)?.body_complete())
    }

    #[getter]
    fn begun(&self) -> PyResult<bool> {
        Ok(enter(&self.reader)?.begun())
    }

    #[getter]
    fn reusable(&self) -> PyResult<bool> {
        Ok(enter(&self.reader)?.reusable())
    }
}

// === rendering ===

/// Starts an answer's head with the fields given.
fn head(status: u16, headers: &Bound<'_, PyAny>) -> PyResult<render::Head> {
    let mut head = render::Head::new(status)?;
    let mut add = |pair: &Bound<'_, PyAny>| -> PyResult<()> {
        let pair = pair.cast::<PyTuple>().map_err(|_| not_pairs())?;
        if pair.len() != 2 {
            return Err(not_pairs());
        }
        let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
        let name = name.cast::<PyBytes>().map_err(|_| not_pairs())?;
        let value = value.cast::<PyBytes>().map_err(|_| not_pairs())?;
        Ok(head.field(name.as_bytes(), value.as_bytes())?)
    };
    if let Ok(list) = headers.cast_exact::<PyList>() {
        list.iter().try_for_each(|pair| add(&pair))?;
    } else if let Ok(tuple) = headers.cast_exact::<PyTuple>() {
        tuple.iter_borrowed().try_for_each(|pair| add(&pair))?;
    } else {
        headers.try_iter()?.try_for_each(|pair| add(&pair?))?;
    }
    Ok(head)
}

fn not_pairs() -> PyErr {
    PyTypeError::new_err("headers are pairs of bytes, each a tuple")
}

/// The parts in one piece, with one copy.
fn joined<'py>(py: Python<'py>, parts: &[&[u8]]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, parts.iter().map(|part| part.len()).sum(), |target| {
        let mut at = 0;
        for part in parts {
            target[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Ok(())
    })
}

#[pyfunction]
#[pyo3(signature = (status, headers, body, /, *, keep_alive = true, head = false))]
pub(super) fn render_answer<'py>(
    py: Python<'py>,
    status: u16,
    headers: &Bound<'py, PyAny>,
    body: &[u8],
    keep_alive: bool,
    head: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let start = self::head(status, headers)?.finish(End::Length(body.len()), keep_alive)?;
    joined(py, &[&start, if head { b"" } else { body }])
}

#[pyfunction]
#[pyo3(signature = (status, headers, /, *, keep_alive = true, chunked = true))]
pub(super) fn render_head<'py>(
    py: Python<'py>,
    status: u16,
    headers: &Bound<'py, PyAny>,
    keep_alive: bool,
    chunked: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let end = if chunked { End::Chunks } else { End::Close };
    Ok(PyBytes::new(py, &head(status, headers)?.finish(end, keep_alive)?))
}

#[pyfunction]
#[pyo3(signature = (data, /, *, last = false))]
pub(super) fn render_chunk<'py>(py: Python<'py>, data: &[u8], last: bool) -> PyResult<Bound<'py, PyBytes>> {
    let frame = render::ChunkFrame::new(data.len());
    joined(py, &[frame.before(), data, frame.after(last)])
}

#[pyfunction]
#[pyo3(signature = (body, extra, /))]
pub(super) fn splice_answer<'py>(
    py: Python<'py>,
    body: &Bound<'py, PyBytes>,
    extra: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let text = body.as_bytes();
    let (place, comma) = render::splice_place(text)?;
    if extra.is_empty() {
        return Ok(body.clone());
    }
    joined(py, &[&text[..place], if comma { b"," } else { b"" }, extra, &text[place..]])
}
