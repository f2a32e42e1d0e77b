//! `fusion config`: what is set, and where.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail};
use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _};

use super::environment::{Variables, environment};
use super::file::{ConfigFile, Location};
use super::keys::{commands, flags, nearest, variable};
use super::layers::{Origin, Setting, resolve, typed};
use crate::cli::{Cli, ConfigArgs, ConfigCommand};
use crate::terminal::show;

/// Variables that are no flags, and whether their values may be seen.
const OTHERS: [(&str, bool); 4] = [("FUSION_CONFIG", true), ("FUSION_HOME", true), ("FUSION_SIMD", true), ("FUSION_TOKEN", false)];

/// Runs the command.
///
/// # Errors
/// A file, a variable or a line that cannot be used.
pub(crate) fn run(args: &ConfigArgs) -> Result<()> {
    let variables = environment();
    let location = Location::of(args.file.as_deref(), &variables);
    match &args.what {
        ConfigCommand::Path => match location.path() {
            Some(path) => show(path.display()),
            None => bail!("no configuration file is read: FUSION_CONFIG is empty, or there is no home directory"),
        },
        ConfigCommand::Show { line } => show(settings(&location, line, &variables)?),
    }
}

/// The settings of the command that `line` begins with, or of all.
pub(super) fn settings(location: &Location, line: &[OsString], variables: &Variables) -> Result<String> {
    let mut root = Cli::command();
    root.build();
    let file = ConfigFile::read(location, &root).map_err(|reason| anyhow!(reason))?;
    let mut text = String::new();
    let read = match (&file, location.path()) {
        (Some(file), _) => file.path.display().to_string(),
        (None, Some(path)) => format!("{} (not there)", path.display()),
        (None, None) => "none".to_owned(),
    };
    writeln!(text, "file: {read}")?;
    let wanted = line.first().map(|name| name.to_string_lossy().into_owned());
    if let Some(name) = wanted.as_ref().filter(|name| !commands(&root).any(|command| command.get_name() == **name)) {
        let known =
            nearest(name, commands(&root).map(Command::get_name)).map_or_else(String::new, |known| format!("; did you mean {known}?"));
        bail!("{name} is no command with settings{known}");
    }
    for name in commands(&root).map(Command::get_name).filter(|name| wanted.as_ref().is_none_or(|wanted| wanted == name)) {
        let flags: &[OsString] = line.get(1..).unwrap_or_default();
        let words: Vec<OsString> = ["fusion".into(), name.into()].into_iter().chain(flags.iter().cloned()).collect();
        let typed = match typed(&root, &words) {
            Ok(typed) => typed,
            // Whoever asks for help gets it.
            Err(help) => return Ok(help.to_string().trim_end().to_owned()),
        };
        let resolved = resolve(&root, words, &typed, file.as_ref(), variables).map_err(|reason| anyhow!(reason))?;
        let wrong = root.clone().try_get_matches_from(&resolved.words).err();
        // A command that must be told more shows what it has been told so far.
        if let Some(error) = wrong.filter(|error| error.kind() != ErrorKind::MissingRequiredArgument) {
            return Err(resolved.explain(error).into());
        }
        write!(text, "\n[{name}]\n{}", table(&resolved.settings))?;
    }
    text.push_str(&others(variables, &root));
    Ok(text.trim_end().to_owned())
}

fn table(settings: &[Setting]) -> String {
    let widest = |of: fn(&Setting) -> usize| settings.iter().map(of).max().unwrap_or(0);
    let (flags, values) = (widest(|setting| setting.flag.len()), widest(|setting| setting.value.chars().count()).min(40));
    let mut text = String::new();
    for Setting { flag, value, origin, dropped } in settings {
        let value = if *origin == Origin::Unset { "-" } else { value };
        text.push_str(&format!("{flag:flags$}  {value:values$}  {origin}\n"));
        if let Some((value, origin)) = dropped {
            text.push_str(&format!("{:flags$}  {value:values$}  {origin}: not used, what counts more excludes it\n", ""));
        }
    }
    text
}

/// The variables that are no flags, and those that look like one and are none.
fn others(variables: &Variables, root: &Command) -> String {
    let mut text = String::new();
    for (name, shown) in OTHERS {
        if let Some(value) = variables.get(name) {
            let value = if shown { value.to_string_lossy().into_owned() } else { "set, and never shown".to_owned() };
            text.push_str(&format!("{name}  {value}\n"));
        }
    }
    let mut known = BTreeMap::new();
    for command in commands(root) {
        let all = flags(command).map(|(long, _)| variable(command.get_name(), long));
        known.insert(variable(command.get_name(), ""), all.collect::<Vec<_>>());
    }
    for name in variables.keys() {
        let Some((_, flags)) = known.iter().find(|(prefix, flags)| name.starts_with(*prefix) && !flags.contains(name)) else { continue };
        let meant = nearest(name, flags.iter().map(String::as_str));
        text.push_str(&format!("{name}  is no flag{}\n", meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"))));
    }
    if text.is_empty() { text } else { format!("\nOther variables\n{text}") }
}
