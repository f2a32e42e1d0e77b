//! What can be set without being typed: every long flag of every command that does work.

use clap::{Arg, Command};

/// Commands that must run whatever is in the file, and have nothing in it.
const WITHOUT_SETTINGS: [&str; 4] = ["config", "completions", "man", "help"];

/// Flags that belong to one call only; `--config` names the file itself.
const TYPED_ONLY: [&str; 3] = ["help", "version", "config"];

/// Words are taken for a slip of another from this likeness on, where 1 is equal.
const LIKE: f64 = 0.6;

/// The commands that have settings.
pub(super) fn commands(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands().filter(|command| has_settings(command.get_name()))
}

/// Whether the command of this name has settings.
pub(super) fn has_settings(command: &str) -> bool {
    !WITHOUT_SETTINGS.contains(&command)
}

/// The flags of a command that can be set, by their long names.
pub(super) fn flags(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| arg.get_long().map(|long| (long, arg))).filter(|(long, _)| !TYPED_ONLY.contains(long))
}

/// The environment variable of a flag.
pub(super) fn variable(command: &str, flag: &str) -> String {
    format!("FUSION_{command}_{flag}").to_uppercase().replace('-', "_")
}

/// The one of `known` that was probably meant, for an error message.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = known.map(|name| (strsim::normalized_damerau_levenshtein(word, name), name)).filter(|(like, _)| *like >= LIKE);
    likeness.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
