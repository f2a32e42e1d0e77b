//! A server in this process.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

use crate::calls::{Patience, call};
use crate::faults::{Fault, bad_input};
use crate::settings::{ServerKeywords, read, system_rng};

/// A running server.
#[pyclass(module = "fusion._fusion", frozen)]
pub(crate) struct Server {
    address: String,
    /// None once it was shut down.
    server: Mutex<Option<fusion::Server>>,
}

/// Serves packages.
#[pyfunction]
pub(crate) fn serve(py: Python<'_>, packages: Vec<PathBuf>, keywords: &str) -> PyResult<Server> {
    let settings = read::<ServerKeywords>(keywords).and_then(ServerKeywords::settings).map_err(|fault| fault.raise(py))?;
    call(py, py.None().bind(py), Patience::Moment, move |_| {
        let server = fusion::Server::serve_all(&packages, settings, system_rng()?).map_err(Fault::of_package)?;
        Ok(Server { address: server.local_addr().to_string(), server: Mutex::new(Some(server)) })
    })
}

#[pymethods]
impl Server {
    /// `host:port` that it listens on.
    #[getter]
    fn address(&self) -> &str {
        &self.address
    }

    /// Lanes that run now; none if it was shut down.
    #[getter]
    fn lanes_running(&self) -> Option<usize> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(fusion::Server::lanes_running)
    }

    /// Takes no more lanes, and ends those that still run after `grace` seconds.
    fn shutdown(&self, py: Python<'_>, grace: f64) -> PyResult<()> {
        let grace = Duration::try_from_secs_f64(grace).map_err(|error| bad_input(py, format!("grace: {error}")))?;
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        match server {
            Some(server) => call(py, py.None().bind(py), Patience::Whole, move |_| {
                server.shutdown(grace);
                Ok(())
            }),
            None => Ok(()),
        }
    }
}
