//! The `fusion` command.
#![forbid(unsafe_code)]
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use fusion_cli::cli::Cli;
use fusion_cli::diagnostics::{self, failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let _last_lines = diagnostics::start(cli.log_format, cli.verbose);
    // A tier that cannot be had is an error now, and not a panic in some kernel later.
    if let Err(error) = fusion::simd::select() {
        failure(format_args!("error: {error}"));
        return ExitCode::FAILURE;
    }
    match fusion_cli::run(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            failure(format_args!("error: {error:#}"));
            if let Some(advice) = fusion_cli::advice_on(&error) {
                failure(format_args!("try:   {advice}"));
            }
            ExitCode::FAILURE
        }
    }
}
