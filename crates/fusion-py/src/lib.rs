//! The compiled half of the Python package `fusion`: the module `fusion._fusion`.
//!
//! ```text
//!   python/fusion/*.py   what users see: keywords, docstrings, arrays, progress, reports
//!        |  numbers, paths, JSON texts, arrays of pixels
//!   fusion._fusion       this crate: settings, calls that Python can interrupt, exceptions
//!        |
//!   fusion, fusion-cli   the work; the words and pages of reports
//! ```
//!
//! Calls that take long run on a thread of their own, without Python, while the caller's thread
//! waits, passes progress on and watches for interrupts (`calls.rs`). So other Python threads run
//! meanwhile, and Ctrl-C works where the library itself says nothing for minutes.
//!
//! # Where to read next
//! `calls.rs`, then `client.rs`. The package's README is for its users.
#![forbid(unsafe_code)]

mod calls;
mod client;
mod command;
mod evaluation;
mod faults;
mod images;
mod mix;
mod package;
mod report;
mod server;
mod settings;
mod twin;

use pyo3::prelude::pymodule;

/// The functions and classes of `fusion._fusion`; the package around it is the interface.
#[pymodule(name = "_fusion")]
mod module {
    use pyo3::exceptions::PyImportError;
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::client::{Client, Pool};
    #[pymodule_export]
    use super::command::command;
    #[pymodule_export]
    use super::evaluation::evaluate;
    #[pymodule_export]
    use super::images::{Images, digits};
    #[pymodule_export]
    use super::mix::{predict, simulate, soundness, standalone_plan};
    #[pymodule_export]
    use super::package::prepare;
    #[pymodule_export]
    use super::report::{Report, judge};
    #[pymodule_export]
    use super::server::{Server, serve};
    #[pymodule_export]
    use super::twin::Twin;

    /// An instruction tier that cannot be had is an error now, and not a panic in a kernel later.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        fusion::simd::select().map(drop).map_err(|error| PyImportError::new_err(error.to_string()))
    }
}
