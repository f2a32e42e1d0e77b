//! Flags of `fusion plan`.

use std::path::PathBuf;

use clap::Args;

use super::query::{ConnectArgs, MixArgs};

/// `fusion plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion plan --queries 512 --claimed-accuracy 0.747 --detect-below 0.60\n  fusion plan --queries 64 --claimed-accuracy 0.98 --copies 7 --public 110 --tau 6 --max-inconclusive 0\n  fusion plan --queries 16 --model mnist.fusion --measured run1.json\n  fusion plan --queries 1 --server vision.example:7878 --tls-ca ca.pem"
)]
pub struct PlanArgs {
    /// Queries in the batch.
    #[arg(long, value_name = "R")]
    pub queries: u32,
    /// The mix.
    #[command(flatten)]
    pub mix: MixArgs,
    /// Public samples that can be had, at most.
    #[arg(long, value_name = "N")]
    pub pool: Option<u32>,
    /// Package, or model card, to predict time and bytes for; with --server also the name or digest
    /// of one of its models [default: the only model of --server, if one is given]. What it claims,
    /// and how often copies flip, are the defaults of the plan.
    #[arg(long, value_name = "PATH|NAME", visible_alias = "card")]
    pub model: Option<PathBuf>,
    /// Where the server is.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Outcome of an earlier run (`query --json` or `demo --json`), whose rate of bytes predicts
    /// the time.
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,
    /// Rate of the link each way, by which time is predicted unless a run was measured.
    #[arg(long, value_name = "MBIT", default_value_t = 400.0)]
    pub link: f64,
    /// Write the plan as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
