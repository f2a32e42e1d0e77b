//! What the `fusion` command is made of: input images, the demo's assets, and one module per command.
//!
//! `main.rs` is a page; everything else is here, so that tests and `xtask` call the same code that a user runs.
//!
//! ```
//! use fusion_cli::{images, samples};
//! use fusion_model::preprocess::Preprocess;
//!
//! let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist/queries");
//! let queries = samples::folder(&folder)?;
//! let tensor = queries[0].tensor(&Preprocess::mnist())?;
//! assert_eq!(tensor.len(), 28 * 28);
//! # Ok::<(), images::ImageError>(())
//! ```
//!
//! Read [`images`] for what an image file goes through before a network sees it, [`samples`] for folders, labels and pools.
#![forbid(unsafe_code)]

pub mod assets;
pub mod cheat;
pub mod cli;
pub mod connection;
pub mod demo;
mod eval;
pub mod images;
pub mod inputs;
pub mod lanes;
pub mod mixing;
pub mod outcome;
mod predict;
pub mod prepare;
mod progress;
pub mod quantise;
pub mod query;
mod report;
mod report_commands;
mod resize;
pub mod rundir;
pub mod samples;
pub mod serve;
pub mod served;
pub mod terminal;
pub mod trust;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cli::Command;
use crate::report::report_text;
use crate::terminal::show;

/// Runs one command; returns the process's exit code.
///
/// # Errors
/// Whatever kept the command from doing its work; a rejected batch is an exit code, not an error.
pub fn run(command: &Command) -> Result<u8> {
    match command {
        Command::Demo(args) => {
            let outcome = demo::run(args)?;
            outcome.write(args.json.as_deref(), None)?;
            Ok(outcome.exit_code())
        }
        Command::Prepare(args) => prepare::run(args).map(|_| 0),
        Command::Serve(args) => serve::run(args).map(|()| 0),
        Command::Query(args) => {
            let outcome = query::run(args)?;
            show(report_text(&outcome.report))?;
            if args.profile {
                show(format_args!("{}\n{}", outcome.costs.phase_table(), outcome.costs.step_table()))?;
            }
            outcome.write(args.json.as_deref(), args.html.as_deref())?;
            Ok(outcome.exit_code())
        }
        Command::Plan(args) => report_commands::plan(args),
        Command::Verify(args) => report_commands::verify(args),
        Command::Audit(args) => report_commands::audit(args),
        Command::Eval(args) => eval::run(args),
    }
}

/// The user's directory for hints, known models, audits and runs: `FUSION_HOME`, else `fusion` in the data directory of the platform.
///
/// # Errors
/// If neither is known.
pub fn home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("FUSION_HOME") {
        return Ok(home.into());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = data.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/share")));
    Ok(home.context("set FUSION_HOME: there is no home directory")?.join("fusion"))
}
