//! A value that was not typed, and the words that would have to be typed for it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ValueHint};
use toml::Value;

/// What a flag is set to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    /// A flag with values: one, or several where it can be repeated.
    Values(Vec<OsString>),
    /// A flag that is there or not.
    Switch(bool),
    /// A flag that counts.
    Count(u8),
}

impl Given {
    /// From a file in the directory `base`, to which paths are relative.
    ///
    /// # Errors
    /// What the flag takes instead.
    pub(super) fn from_toml(arg: &Arg, value: &Value, base: &Path) -> Result<Self, String> {
        match (arg.get_action(), value) {
            (ArgAction::SetTrue, Value::Boolean(on)) => Ok(Self::Switch(*on)),
            (ArgAction::SetTrue, _) => Err("is true or false".to_owned()),
            (ArgAction::Count, Value::Integer(count)) => u8::try_from(*count).map(Self::Count).map_err(|_| "is a small number".to_owned()),
            (ArgAction::Count, _) => Err("is a number".to_owned()),
            (ArgAction::Append, Value::Array(values)) => {
                values.iter().map(|value| word(arg, value, base)).collect::<Result<_, _>>().map(Self::Values)
            }
            (_, value) => Ok(Self::Values(vec![word(arg, value, base)?])),
        }
    }

    /// From an environment variable: paths are relative to where the command runs, as they are when
    /// typed.
    ///
    /// # Errors
    /// What the flag takes instead.
    pub(super) fn from_variable(arg: &Arg, value: &OsStr) -> Result<Self, String> {
        let text = value.to_string_lossy().to_lowercase();
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            return match text.as_str() {
                "1" | "true" | "yes" | "on" => Ok(Self::Switch(true)),
                "0" | "false" | "no" | "off" => Ok(Self::Switch(false)),
                _ => Err("is true or false".to_owned()),
            };
        }
        if matches!(arg.get_action(), ArgAction::Count) {
            return text.parse().map(Self::Count).map_err(|_| "is a small number".to_owned());
        }
        Ok(Self::Values(vec![value.to_owned()]))
    }

    /// Whether it does more than switch something off.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self, Self::Switch(false) | Self::Count(0))
    }

    /// What would be typed for it.
    pub(super) fn words(&self, long: &str) -> Vec<OsString> {
        let flag = OsString::from(format!("--{long}"));
        match self {
            Self::Values(values) => {
                let typed = |value: &OsString| [flag.as_os_str(), OsStr::new("="), value].into_iter().collect();
                values.iter().map(typed).collect()
            }
            Self::Switch(on) => vec![flag; usize::from(*on)],
            Self::Count(count) => vec![flag; usize::from(*count)],
        }
    }

    /// Whether the flag can take it, as far as its possible values say.
    pub(super) fn suits(&self, arg: &Arg) -> bool {
        let possible = arg.get_possible_values();
        let Self::Values(values) = self else { return true };
        possible.is_empty()
            || values.iter().all(|value| possible.iter().any(|known| value.to_str().is_some_and(|value| known.matches(value, false))))
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => f.write_str(&values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ")),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// One value as a word.
fn word(arg: &Arg, value: &Value, base: &Path) -> Result<OsString, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(_) | Value::Datetime(_) | Value::Table(_) => return Err("is a text or a number".to_owned()),
        Value::Array(_) => return Err("is one value, not a list".to_owned()),
    };
    let is_path = arg.get_value_hint() == ValueHint::AnyPath;
    Ok(if is_path { relative_to(base, &text).into_os_string() } else { text.into() })
}

/// A path of the file: relative to the file, or with `~/` to the user's home.
fn relative_to(base: &Path, text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => base.join(text),
    }
}
