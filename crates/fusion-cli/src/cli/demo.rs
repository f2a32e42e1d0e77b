//! Flags of `fusion demo`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `fusion demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fusion demo\n  fusion demo --server tampering --queries 32\n  fusion demo --json demo.json")]
pub struct DemoArgs {
    /// Which server the client meets.
    #[arg(long, value_enum, default_value_t = DemoServer::Honest)]
    pub server: DemoServer,
    /// Digits to classify.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub queries: u32,
    /// Soundness in bits.
    #[arg(long, default_value_t = 40.0)]
    pub lambda: f64,
    /// Write everything that is shown as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The demo's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoServer {
    /// Serves what it advertises.
    Honest,
    /// Advertises the good model's accuracy and serves a clearly worse one.
    LowQuality,
    /// Corrupts a fraction of the samples.
    Tampering,
}
