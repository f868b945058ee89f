//! The door between the languages: the only folder that names pyo3.
use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _wire {}
