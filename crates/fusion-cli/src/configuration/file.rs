//! `fusion.toml`: where it is, and what may be in it.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use toml::{Table, Value};

use super::environment::Variables;
use super::keys::{commands, flags, nearest};
use super::value::Given;

/// Names the file; empty: none is read.
const VARIABLE: &str = "FUSION_CONFIG";

/// Where settings are looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Location {
    /// A file that was named: it must be there.
    Named(PathBuf),
    /// The user's own, which need not be there.
    Usual(PathBuf),
    /// Nowhere: that was asked for, or there is no home directory.
    Nowhere,
}

impl Location {
    /// `--config`, else `FUSION_CONFIG`, else `fusion/fusion.toml` in the user's configuration
    /// directory. Never the directory in which the command happens to run: what others can put
    /// there must not name servers and digests. For the same reason a relative `XDG_CONFIG_HOME`
    /// counts as none, which its specification also asks for.
    pub(super) fn of(flag: Option<&Path>, variables: &Variables) -> Self {
        let variable = |name: &str| variables.get(name).map(OsString::as_os_str);
        if let Some(path) = flag {
            return Self::Named(path.to_owned());
        }
        match variable(VARIABLE) {
            Some(path) if path.is_empty() => return Self::Nowhere,
            Some(path) => return Self::Named(path.into()),
            None => {}
        }
        let given = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = variable("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = given.or_else(|| home.map(|home| home.join(".config")));
        folder.map_or(Self::Nowhere, |folder| Self::Usual(folder.join("fusion/fusion.toml")))
    }

    /// The path, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Named(path) | Self::Usual(path) => Some(path),
            Self::Nowhere => None,
        }
    }
}

/// A file whose keys are all known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    table: Table,
}

impl ConfigFile {
    /// Reads the file, if there is one, and checks every key against the flags of `root`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn read(location: &Location, root: &Command) -> Result<Option<Self>, String> {
        let Some(path) = location.path() else { return Ok(None) };
        if matches!(location, Location::Usual(_)) && path.metadata().is_err_and(|error| is_absent(error.kind())) {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read the configuration {}: {error}", path.display()))?;
        let at = |reason: String| format!("{}: {reason}", path.display());
        only_ours(path).map_err(at)?;
        let table: Table = toml::from_str(&text).map_err(|error| at(format!("this is not TOML\n{error}")))?;
        let path = std::path::absolute(path).map_err(|error| at(error.to_string()))?;
        let file = Self { path, table };
        file.check(root).map_err(at)?;
        Ok(Some(file))
    }

    /// What the file says of a flag of `command`: in the command's table, else at the top, where a
    /// key is for all commands whose flag can take its value. With the table's name, if it is in
    /// one.
    pub(super) fn get(&self, command: &str, long: &str, arg: &Arg) -> Option<(Given, Option<String>)> {
        let base = self.path.parent().unwrap_or(Path::new("/"));
        let own = self.table.get(command).and_then(Value::as_table).and_then(|table| table.get(long));
        if let Some(value) = own {
            // Checked when the file was read.
            return Given::from_toml(arg, value, base).ok().map(|given| (given, Some(command.to_owned())));
        }
        let value = self.table.get(long).filter(|value| !value.is_table())?;
        let given = Given::from_toml(arg, value, base).ok().filter(|given| given.suits(arg))?;
        Some((given, None))
    }

    fn check(&self, root: &Command) -> Result<(), String> {
        for (key, value) in &self.table {
            let command = commands(root).find(|command| command.get_name() == key);
            match (value, command) {
                (Value::Table(table), Some(command)) => self.check_table(command, table)?,
                (Value::Table(_), None) => {
                    let known = nearest(key, commands(root).map(Command::get_name));
                    return Err(format!("[{key}] is no command with settings{}", meant(known, "[", "]")));
                }
                (value, _) => self.check_top(root, key, value)?,
            }
        }
        Ok(())
    }

    fn check_table(&self, command: &Command, table: &Table) -> Result<(), String> {
        let name = command.get_name();
        for (key, value) in table {
            let (_, arg) = flags(command)
                .find(|(long, _)| long == key)
                .ok_or_else(|| unknown(key, &format!("`fusion {name}`"), nearest(key, flags(command).map(|(long, _)| long))))?;
            Given::from_toml(arg, value, &self.path).map_err(|reason| format!("{key} in [{name}] {reason}"))?;
        }
        Ok(())
    }

    fn check_top(&self, root: &Command, key: &str, value: &Value) -> Result<(), String> {
        let all = || commands(root).flat_map(flags);
        let knowing: Vec<_> = all().filter(|(long, _)| *long == key).collect();
        if knowing.is_empty() {
            return Err(unknown(key, "any command", nearest(key, all().map(|(long, _)| long))));
        }
        let mut reason = String::new();
        for (_, arg) in knowing {
            match Given::from_toml(arg, value, &self.path) {
                Ok(given) if given.suits(arg) => return Ok(()),
                Ok(given) => reason = format!("no command takes {given} for {key}"),
                Err(wrong) => reason = format!("{key} {wrong}"),
            }
        }
        Err(reason)
    }
}

/// Whether nobody can have meant a file for this user there: a service may run with the home
/// directory of somebody else, or with none.
fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
}

fn unknown(key: &str, of: &str, known: Option<&str>) -> String {
    if key == "token" {
        return "a token is never read from this file: name a file of mode 0600 with token-file, or set FUSION_TOKEN".to_owned();
    }
    format!("{key} is no flag of {of}{}", meant(known, "", ""))
}

fn meant(known: Option<&str>, before: &str, after: &str) -> String {
    known.map_or_else(String::new, |known| format!("; did you mean {before}{known}{after}?"))
}

/// Refuses a file that every user of the machine may change: it names servers and digests.
fn only_ours(path: &Path) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = path.metadata().map_err(|error| error.to_string())?.permissions().mode();
        if mode & 0o002 != 0 && path.is_file() {
            return Err(format!("every user may change this file (mode {:03o}): chmod o-w {}", mode & 0o777, path.display()));
        }
    }
    Ok(())
}
