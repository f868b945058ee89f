//! Event streams for Python.

use pyo3::prelude::*;

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct EventReader;

#[pyclass(frozen, module = "bifrost_trio._wire")]
pub(super) struct StreamScan;
