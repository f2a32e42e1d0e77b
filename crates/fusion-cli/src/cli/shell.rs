//! Flags of what goes with an installed command: `fusion completions` and `fusion man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `fusion completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion completions bash > ~/.local/share/bash-completion/completions/fusion\n  fusion completions zsh > ~/.zfunc/_fusion\n  fusion completions fish > ~/.config/fish/completions/fusion.fish"
)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// `fusion man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fusion man --out ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Directory to write the pages to; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
