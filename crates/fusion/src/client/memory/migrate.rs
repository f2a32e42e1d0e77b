//! Takes over what earlier versions remembered in JSON files.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_mix::audit::AuditLog;
use fusion_mix::private_file;
use rusqlite::{Connection, params};

use super::error::MemoryError;
use super::rows::write_tally;

/// The first hint digest seen at each address.
const KNOWN_MODELS: &str = "known-models.json";
/// What public samples have shown.
const TALLY: &str = "tally.json";

/// The largest list of models that is read, bytes.
const LARGEST: u64 = 1 << 26;

/// Why nothing was taken over.
pub(super) enum Fault {
    /// A file of an earlier version.
    Old(MemoryError),
    /// The database.
    Database(rusqlite::Error),
}

impl Fault {
    /// The error, that of the database by `failed`.
    pub(super) fn unless_old(self, failed: impl FnOnce(rusqlite::Error) -> MemoryError) -> MemoryError {
        match self {
            Self::Old(error) => error,
            Self::Database(error) => failed(error),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Whether there is something to take over.
pub(super) fn is_due(home: &Path) -> bool {
    [KNOWN_MODELS, TALLY].iter().any(|name| home.join(name).exists())
}

/// Fills empty tables with what the files in `home` say.
pub(super) fn take_over(connection: &Connection, home: &Path) -> Result<(), Fault> {
    let path = home.join(KNOWN_MODELS);
    let old = |reason: String| Fault::Old(MemoryError::Old { path: path.clone(), reason });
    if let Some(bytes) = private_file::read_if_there(&path, LARGEST).map_err(|error| old(error.to_string()))? {
        let known: BTreeMap<String, String> =
            serde_json::from_slice(&bytes).map_err(|error| old(format!("it is no list of models: {error}")))?;
        for (address, hint) in known {
            connection.execute("INSERT INTO known_models VALUES (?1, ?2)", params![address, hint])?;
        }
    }
    let path = home.join(TALLY);
    let log = AuditLog::load(&path).map_err(|error| Fault::Old(MemoryError::Old { path, reason: error.to_string() }))?;
    for (hint, tally) in log.tallies() {
        write_tally(connection, hint, tally, tally.images.keys().map(String::as_str))?;
    }
    Ok(())
}
