//! Flags of `fusion models`.

use std::path::PathBuf;

use clap::Args;

use super::ConnectArgs;

/// `fusion models`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fusion models\n  fusion models --server infer.example.com:7878 --tls-ca ca.pem --json models.json")]
pub struct ModelsArgs {
    /// Where the server is.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Write the list as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
