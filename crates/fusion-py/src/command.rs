//! The `fusion` command, for those who have the Python package alone: `python -m fusion`.

use fusion_cli::cli::{Cli, Command};
use pyo3::prelude::*;

/// Runs the command with `args`, of which the first is its name; returns the exit code.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, args: Vec<String>) -> u8 {
    py.detach(|| match fusion_cli::command_line(args) {
        Err(error) => {
            // Help goes to standard output and is no failure.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(2)
        }
        Ok(Cli { command: Command::Demo(_), .. }) => {
            // It starts its own program a second time, which here is Python.
            eprintln!("error: the demo needs the command itself: cargo run --release -p fusion-cli -- demo");
            2
        }
        Ok(cli) => fusion_cli::run(&cli.command).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            fusion_cli::advice_on(&error).into_iter().for_each(|advice| eprintln!("try:   {advice}"));
            1
        }),
    })
}
