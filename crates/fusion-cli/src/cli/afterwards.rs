//! Flags of the commands that look at what runs have left: `fusion verify` and `fusion audit`.

use std::path::PathBuf;

use clap::Args;

/// `fusion verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fusion verify run1 --html report.html")]
pub struct VerifyArgs {
    /// The run directory of a query.
    pub run: PathBuf,
    /// Show the answers of a rejected batch. They may be wrong on purpose.
    #[arg(long)]
    pub show_rejected_answers: bool,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the answers as CSV.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the report as a self-contained HTML page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `fusion audit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fusion audit\n  fusion audit --digest DIGEST --json audit.json")]
pub struct AuditArgs {
    /// Digest of the hint [default: all that there are].
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
    /// Write the tallies as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
