//! The `fusion` command.
#![forbid(unsafe_code)]
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use fusion_cli::diagnostics;

fn main() -> ExitCode {
    let cli = fusion_cli::command_line(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let _last_lines = diagnostics::start(cli.log_format, cli.verbose);
    // A tier that cannot be had is an error now, and not a panic in some kernel later.
    if let Err(error) = fusion::simd::select() {
        diagnostics::failed(error, None);
        return ExitCode::FAILURE;
    }
    match fusion_cli::run(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            diagnostics::failed(format_args!("{error:#}"), fusion_cli::advice_on(&error));
            ExitCode::FAILURE
        }
    }
}
