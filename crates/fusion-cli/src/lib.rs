//! The `fusion` command: flags to settings, events to lines and bars, reports to text. The work is
//! done by the library `fusion`.
//!
//! ```text
//!   cli (flags) -> settings -> fusion::{Client, Server, prepare} -> progress, tables, outcome
//!     a module per command: demo prepare inspect serve query gateway eval doctor, report_commands
//!   configuration: what the environment and fusion.toml add to the flags, before they are parsed
//! ```
//!
//! `main.rs` is a page; everything else is here, so that tests and `xtask` call the same code that
//! a user runs.
//!
//! ```
//! use clap::Parser;
//! use fusion_cli::cli::{Cli, Command};
//!
//! let words = ["fusion", "plan", "--queries", "16", "--claimed-accuracy", "0.98"];
//! let cli = Cli::try_parse_from(words)?;
//! let Command::Plan(args) = &cli.command else { unreachable!() };
//! assert_eq!((args.queries, args.mix.settings().claimed_accuracy), (16, Some(0.98)));
//! # Ok::<(), clap::Error>(())
//! ```
//!
//! # Where to read next
//! [`cli`] for what can be typed, then the module of the command. What a query does is in
//! `fusion::client`.
#![forbid(unsafe_code)]
// They panic where nobody reads: `terminal::show` and `diagnostics::note` do not.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod advice;
pub mod assets;
pub mod cli;
mod colour;
mod configuration;
mod demo;
pub mod diagnostics;
mod doctor;
mod eval;
mod frontier;
mod gateway;
mod hardening;
mod health;
mod inspect;
pub mod lane_terms;
mod left_out;
mod metrics;
mod models;
pub mod outcome;
mod predict;
mod prepare;
mod preview;
mod progress;
mod query;
mod report;
mod report_commands;
pub mod serve;
pub mod server_process;
mod settings;
mod shell;
mod signals;
mod sources;
pub mod tables;
pub mod terminal;

pub use advice::advice_on;
pub use configuration::command_line;
pub use query::cores;
pub use report::report_text;

use anyhow::{Context, Result};

use crate::cli::{Command, QueryArgs};
use crate::outcome::{Files, every};
use crate::query::Ran;
use crate::terminal::show;

/// Runs one command; returns the process's exit code.
///
/// # Errors
/// Whatever kept the command from doing its work; a rejected batch is an exit code, not an error.
pub fn run(command: &Command) -> Result<u8> {
    if matches!(command, Command::Demo(_) | Command::Prepare(_) | Command::Serve(_) | Command::Query(_)) {
        hardening::keep_memory_private();
    }
    match command {
        Command::Demo(args) => {
            let files = Files { json: args.json.as_deref(), ..Files::default() };
            files.check()?;
            let outcome = demo::run(args)?;
            let written = files.write(&outcome.report, &outcome.to_json()?, &[]);
            demo::print(&outcome)?;
            written?;
            Ok(outcome::exit_code(&outcome.report))
        }
        Command::Prepare(args) => prepare::run(args).map(|()| 0),
        Command::Inspect(args) => inspect::run(args).map(|()| 0),
        Command::Serve(args) => serve::run(args).map(|()| 0),
        Command::Health(args) => health::run(args),
        Command::Models(args) => models::run(args).map(|()| 0),
        Command::Query(args) => queried(args),
        Command::Gateway(args) => gateway::run(args).map(|()| 0),
        Command::Plan(args) => report_commands::plan(args),
        Command::Verify(args) => report_commands::verify(args),
        Command::Audit(args) => report_commands::audit(args),
        Command::Eval(args) => eval::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Config(args) => configuration::run(args).map(|()| 0),
        Command::Completions(args) => shell::completions(args).map(|()| 0),
        Command::Man(args) => shell::man(args).map(|()| 0),
    }
}

/// `fusion query`: runs it, then shows and writes what came of it.
fn queried(args: &QueryArgs) -> Result<u8> {
    let files = Files { json: args.json.as_deref(), csv: args.csv.as_deref(), html: args.html.as_deref() };
    files.check()?;
    let Ran { outcome, queries, journal } = query::run(args)?;
    let (report, costs) = (&outcome.report, &outcome.costs);
    let profile = || show(format_args!("{}\n{}\n{}", tables::lane_table(costs), tables::phase_table(costs), tables::step_table(costs)));
    let done = [
        show(report_text(report)),
        show(tables::cost_lines(costs)),
        if args.profile { profile() } else { Ok(()) },
        files.write(report, &outcome.to_json()?, &queries),
    ];
    let kept = || format!("the run is finished and kept: `fusion verify {}` writes its report again", journal.display());
    every(done).with_context(kept)?;
    Ok(outcome::exit_code(report))
}
