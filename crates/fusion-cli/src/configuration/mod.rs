//! Settings that are not typed: the environment and `fusion.toml`.
//!
//! ```text
//!   flag  >  FUSION_<COMMAND>_<FLAG>  >  [command] of the file  >  top of the file  >  default
//! ```
//! Keys of the file are the long names of flags, and whatever is not one is an error. The file is
//! the user's own or one that was named, never one that lies in the current directory. No token is
//! in it: `token-file` names where that is.
//!
//! ```text
//!   keys    what can be set          file    where it is, what is in it    environment
//!   value   as words to be typed     layers  which value counts            show  `fusion config`
//! ```

mod environment;
mod file;
mod keys;
mod layers;
mod show;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

pub(crate) use show::run;

use crate::cli::{Cli, Command};
use environment::{Variables, environment};
use file::{ConfigFile, Location};
use layers::{resolve, typed};

/// The command that was typed, with what the environment and the configuration file add to it;
/// `words` begin with the program's name.
///
/// # Errors
/// A line that is no command, a request for help or the version, a file or a variable that cannot
/// be used.
pub fn command_line(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, clap::Error> {
    parse(words.into_iter().map(Into::into).collect(), &environment())
}

fn parse(words: Vec<OsString>, variables: &Variables) -> Result<Cli, clap::Error> {
    let mut root = Cli::command();
    root.build();
    let typed = typed(&root, &words)?;
    let needs_file = typed.subcommand_name().is_some_and(keys::has_settings);
    let refuse = |reason: String| clap::Error::raw(ErrorKind::InvalidValue, format!("{reason}\n"));
    let file =
        if needs_file { ConfigFile::read(&Location::of(config_flag(&typed).as_deref(), variables), &root).map_err(refuse)? } else { None };
    let resolved = resolve(&root, words, &typed, file.as_ref(), variables).map_err(refuse)?;
    let matches = root.clone().try_get_matches_from(&resolved.words).map_err(|error| resolved.explain(error))?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut root))?;
    if let Command::Config(args) = &mut cli.command {
        args.file = cli.config.clone();
    }
    Ok(cli)
}

/// `--config`, wherever it was typed.
fn config_flag(typed: &clap::ArgMatches) -> Option<PathBuf> {
    let inner = typed.subcommand().and_then(|(_, matches)| matches.get_one::<PathBuf>("config"));
    inner.or_else(|| typed.get_one("config")).cloned()
}

#[cfg(test)]
mod tests;
