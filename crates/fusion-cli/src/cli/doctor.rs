//! Flags of `fusion doctor`.

use std::path::PathBuf;

use clap::Args;

use super::query::{ConnectArgs, ModelArgs};

/// `fusion doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion doctor\n  fusion doctor --server infer.example.com:7878 --tls-ca ca.pem --json doctor.json\n\nExit code: 0 if there is no problem, else 1."
)]
pub struct DoctorArgs {
    /// The server to look at; without one only this machine is.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Which of its models.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Write the findings as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
