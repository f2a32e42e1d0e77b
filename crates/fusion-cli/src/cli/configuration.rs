//! Flags of `fusion config`, which shows what is set where.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `fusion config`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion config path\n  fusion config show query\n  fusion config show query --lanes 4 photos/\n\nA flag that is typed counts most, then the variable FUSION_<COMMAND>_<FLAG>, then the file, then the default."
)]
pub struct ConfigArgs {
    /// What to show.
    #[command(subcommand)]
    pub what: ConfigCommand,
    /// The file of --config, which belongs to all commands.
    #[arg(skip)]
    pub(crate) file: Option<PathBuf>,
}

/// What `fusion config` shows.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// The flags of one command, or of all, with their values and where those come from.
    Show {
        /// A command, with the flags that would be typed after it.
        #[arg(value_name = "COMMAND", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
        line: Vec<OsString>,
    },
    /// The file that is read, whether or not it is there.
    Path,
}
