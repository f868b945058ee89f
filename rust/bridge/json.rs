//! JSON framing for Python: the envelope of a request, the facts of an answer.

use pyo3::prelude::*;

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Envelope;

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Scanner;

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Usage;

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct Answer;

#[pyfunction]
pub(super) fn scan() {}

#[pyfunction]
pub(super) fn scan_answer() {}
