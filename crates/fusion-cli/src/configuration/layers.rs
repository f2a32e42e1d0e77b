//! Which value of a flag counts: the typed one, else the environment's, else the file's.
//!
//! What was not typed is put into the line as if it had been, behind the command's name. So the
//! rules of the flags hold for it too: what a flag requires may come from the file. Defaults of the
//! parser would not do, since it takes those for absent when it applies the rules.
//!
//! What conflicts with something above it yields: `--public-mnist`, typed, drops the `public-dir`
//! of the file. What requires the dropped one stays, and says nothing: the parser forgives a lack
//! that a conflict explains. Two values of one layer that conflict are an error, as two typed ones
//! are.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

use super::environment::Variables;
use super::file::ConfigFile;
use super::keys::{flags, has_settings, variable};
use super::value::Given;

/// Where a value comes from, the strongest last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Nothing says: the command decides.
    Unset,
    /// The flag's own default.
    Default,
    /// The top of the file.
    FileTop(PathBuf),
    /// The command's table of the file.
    FileTable(PathBuf, String),
    /// A variable of the environment.
    Variable(String),
    /// The line that was typed.
    Typed,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unset => f.write_str("not set"),
            Self::Default => f.write_str("default"),
            Self::FileTop(path) => write!(f, "{}", path.display()),
            Self::FileTable(path, table) => write!(f, "[{table}] of {}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Typed => f.write_str("flag"),
        }
    }
}

/// One flag of the command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub(super) flag: String,
    pub(super) value: String,
    pub(super) origin: Origin,
    /// What was set and does not count, since something above it excludes it.
    pub(super) dropped: Option<(String, Origin)>,
}

/// What a value that was not typed sets.
#[derive(Debug, Clone)]
struct Candidate<'a> {
    arg: &'a Arg,
    long: &'a str,
    given: Given,
    origin: Origin,
}

/// A line with everything in it that counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved {
    /// The words to parse.
    pub(super) words: Vec<OsString>,
    /// All flags of the command that can be set.
    pub(super) settings: Vec<Setting>,
}

impl Resolved {
    /// Adds to an error of the parser where the value came from that it is about, if it was not
    /// typed.
    pub(super) fn explain(&self, mut error: clap::Error) -> clap::Error {
        let about = named(&error);
        let not_typed = self.settings.iter().filter(|setting| setting.origin > Origin::Default && setting.origin < Origin::Typed);
        let meant = not_typed.filter(|setting| about.contains(&setting.flag));
        let tips: Vec<_> = meant.map(|setting| format!("--{} is set by {}", setting.flag, setting.origin).into()).collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
        error
    }
}

/// The long names of the flags that an error names.
fn named(error: &clap::Error) -> Vec<String> {
    let values = [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().filter_map(|kind| error.get(kind));
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the library's many kinds of values two name flags")]
    let texts = values.flat_map(|value| match value {
        ContextValue::String(text) => vec![text.clone()],
        ContextValue::Strings(texts) => texts.clone(),
        _ => Vec::new(),
    });
    let long = |text: String| text.strip_prefix("--").map(|rest| rest.split([' ', '=', '[', '<']).next().unwrap_or(rest).to_owned());
    texts.filter_map(long).collect()
}

/// What was typed, as far as it can be understood; `root` must have been built.
///
/// # Errors
/// A request for help or for the version.
pub(super) fn typed(root: &Command, words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    root.clone().ignore_errors(true).try_get_matches_from(words)
}

/// Puts into the line what the environment and the file say; `typed` is what [`typed`] gives.
///
/// # Errors
/// A variable whose value its flag does not take.
pub(super) fn resolve(
    root: &Command,
    words: Vec<OsString>,
    typed: &ArgMatches,
    file: Option<&ConfigFile>,
    variables: &Variables,
) -> Result<Resolved, String> {
    let Some((name, matches)) = typed.subcommand().filter(|(name, _)| has_settings(name)) else {
        return Ok(Resolved { words, settings: Vec::new() });
    };
    let Some(command) = root.find_subcommand(name) else { return Ok(Resolved { words, settings: Vec::new() }) };
    let is_typed = |id: &Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let mut kept = Vec::new();
    for (long, arg) in flags(command).filter(|(_, arg)| !is_typed(arg.get_id())) {
        kept.extend(candidate(name, long, arg, file, variables)?);
    }
    let mut dropped = Vec::new();
    let all = kept.clone();
    kept.retain(|candidate| {
        let excluded = excluded(command, candidate, &all, &is_typed);
        if excluded {
            dropped.push(candidate.clone());
        }
        !excluded
    });
    let at = position_of_command(root, &words, name);
    let mut line = words;
    line.splice(at..at, kept.iter().flat_map(|candidate| candidate.given.words(candidate.long)));
    let settings = flags(command).map(|(long, arg)| setting(long, arg, matches, &kept, &dropped, is_typed(arg.get_id()))).collect();
    Ok(Resolved { words: line, settings })
}

fn candidate<'a>(
    command: &str,
    long: &'a str,
    arg: &'a Arg,
    file: Option<&ConfigFile>,
    variables: &Variables,
) -> Result<Option<Candidate<'a>>, String> {
    let own = variable(command, long);
    let names = [Some(own), arg.get_env().map(|name| name.to_string_lossy().into_owned())];
    for name in names.into_iter().flatten() {
        if let Some(value) = variables.get(&name).filter(|value| !value.is_empty()) {
            let given = Given::from_variable(arg, value).map_err(|reason| format!("the environment variable {name} {reason}"))?;
            return Ok(Some(Candidate { arg, long, given, origin: Origin::Variable(name) }));
        }
    }
    let found = file.and_then(|file| Some((file, file.get(command, long, arg)?)));
    Ok(found.map(|(file, (given, table))| {
        let path = file.path.clone();
        let origin = table.map_or_else(|| Origin::FileTop(path.clone()), |table| Origin::FileTable(path.clone(), table));
        Candidate { arg, long, given, origin }
    }))
}

/// Whether something above the candidate excludes it.
fn excluded(command: &Command, candidate: &Candidate<'_>, all: &[Candidate<'_>], is_typed: &impl Fn(&Id) -> bool) -> bool {
    let conflict = |a: &Arg, b: &Arg| {
        let names = |of: &Arg, other: &Arg| command.get_arg_conflicts_with(of).iter().any(|arg| arg.get_id() == other.get_id());
        a.get_id() != b.get_id() && (names(a, b) || names(b, a))
    };
    let typed = || command.get_arguments().filter(|arg| is_typed(arg.get_id()));
    // A run knows its own server, which the file's is not meant to replace.
    let of_file = candidate.origin < Origin::Variable(String::new());
    let resumed = of_file && candidate.long == "server" && typed().any(|arg| arg.get_long() == Some("resume"));
    let by_typed = resumed || typed().any(|arg| conflict(candidate.arg, arg));
    let above = all.iter().filter(|other| other.origin > candidate.origin && other.given.is_active());
    candidate.given.is_active() && (by_typed || above.into_iter().any(|other| conflict(candidate.arg, other.arg)))
}

/// Behind the name of the command, which flags of the program itself may precede.
fn position_of_command(root: &Command, words: &[OsString], name: &str) -> usize {
    let takes_value = |word: &str| {
        let long = word.strip_prefix("--").and_then(|long| root.get_arguments().find(|arg| arg.get_long() == Some(long)));
        long.is_some_and(|arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append))
    };
    let mut at = 1;
    while let Some(word) = words.get(at).filter(|word| *word != name) {
        at += if takes_value(&word.to_string_lossy()) { 2 } else { 1 };
    }
    (at + 1).min(words.len())
}

fn setting(long: &str, arg: &Arg, matches: &ArgMatches, kept: &[Candidate<'_>], dropped: &[Candidate<'_>], is_typed: bool) -> Setting {
    let of = |list: &[Candidate<'_>]| list.iter().find(|candidate| candidate.long == long).map(|c| (c.given.to_string(), c.origin.clone()));
    let default = || {
        let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if values.is_empty() { (String::new(), Origin::Unset) } else { (values.join(" "), Origin::Default) }
    };
    let (value, origin) = if is_typed { (typed_value(arg, matches), Origin::Typed) } else { of(kept).unwrap_or_else(default) };
    Setting { flag: long.to_owned(), value, origin, dropped: of(dropped) }
}

fn typed_value(arg: &Arg, matches: &ArgMatches) -> String {
    let id = arg.get_id().as_str();
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other actions keep the words")]
    match arg.get_action() {
        ArgAction::SetTrue => "true".to_owned(),
        ArgAction::Count => matches.get_count(id).to_string(),
        _ => matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" "),
    }
}
