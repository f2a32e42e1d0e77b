//! `fusion doctor`: what is fine about this machine and a server, what is not, and what to do.
//!
//! ```text
//!   machine  cores, memory, clock    disk  FUSION_HOME    compute  a layer of ReLUs, measured
//!   server   reachable, encrypted, of our version; round trip, rate, seconds per inference
//!   finding  a state, a fact, and what to do, for people and programs
//! ```
//! It changes nothing: no directory is made, no model is trusted, no hint is kept.

mod compute;
mod disk;
mod finding;
mod machine;
mod server;

use std::io;

use anyhow::Result;

use crate::cli::DoctorArgs;
use crate::colour;
use crate::diagnostics::note;
use crate::outcome::{Files, every, write_json};
use crate::settings::home;
use crate::terminal::show;
use finding::{Finding, State};

/// Exit code if there is a problem.
const PROBLEM: u8 = 1;

/// Runs the command; returns the exit code.
///
/// # Errors
/// What was found cannot be shown or written.
pub(crate) fn run(args: &DoctorArgs) -> Result<u8> {
    Files { json: args.json.as_deref(), ..Files::default() }.check()?;
    note("Looking at this machine; a few seconds ...");
    let mut findings = vec![machine::cpu(), machine::memory(), machine::clock()];
    match home() {
        Ok(home) => findings.extend(disk::home(&home)),
        Err(error) => findings.push(Finding::problem("home", format!("{error:#}"), "set FUSION_HOME to a directory of yours")),
    }
    let (computed, speed) = compute::measured();
    findings.push(computed);
    if let Some(address) = &args.connect.server {
        findings.extend(server::look_at(&args.connect, (address, args.model.name.as_deref().unwrap_or_default()), speed));
    }
    let written = args.json.as_ref().map_or(Ok(()), |path| write_json(path, &finding::to_json(&findings)));
    every([show(finding::text(&findings, colour::wanted(&io::stdout()))), written])?;
    Ok(if finding::count(&findings, State::Problem) > 0 { PROBLEM } else { 0 })
}
