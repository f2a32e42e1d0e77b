//! The `fusion` command.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use fusion_cli::cli::Cli;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = ["fusion=warn,fusion_net=warn", "fusion=info,fusion_net=info", "debug"][usize::from(cli.verbose).min(2)];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
    // A tier that cannot be had is an error now, and not a panic in some kernel later.
    if let Err(error) = fusion::simd::select() {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    match fusion_cli::run(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(advice) = fusion_cli::advice_on(&error) {
                eprintln!("try:   {advice}");
            }
            ExitCode::FAILURE
        }
    }
}
