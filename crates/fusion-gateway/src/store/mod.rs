//! What a gateway must not forget: images, provisional answers, batches and their verdicts.
//!
//! ```text
//!   gateway.sqlite3   images     who, when, in which state, both answers        images
//!                     pictures   the bytes, until they are erased
//!                     batches    which images, the verdict, the report          batches
//!                     memo       the last model seen, a wish for a batch        memo
//! ```
//! Every change is one transaction, on disk when the call returns (`synchronous = FULL`). So after
//! a kill at any moment an image is waiting, in a running batch, or ended, never two of these; and
//! an answer that was once given is given. `secure_delete` overwrites what is erased, and the
//! write-ahead log is emptied after every erasure: the images are the clients' secret.
//!
//! One process has the database; its calls take turns.

mod batches;
mod images;
mod memo;
mod rows;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::GatewayError;

pub(crate) use batches::{Ending, Label, Member};
pub(crate) use images::{Added, Deleted, NewImage, PROVISIONAL_TRIES, Room, ToAsk};
pub(crate) use memo::SeenModel;
pub(crate) use rows::{Answer, BatchRow, BatchState, ImageRow, ImageState};

/// Version of the tables.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE images (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, name TEXT NOT NULL, key TEXT, sent TEXT,
        received INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
        p_label INTEGER, p_class TEXT, p_model TEXT, p_at INTEGER,
        batch TEXT REFERENCES batches (id), place INTEGER, label INTEGER, class TEXT, ended INTEGER, reason TEXT,
        UNIQUE (batch, place), UNIQUE (user, key),
        CHECK (state IN ('waiting', 'running', 'verified', 'rejected', 'inconclusive', 'unfit')),
        CHECK ((batch IS NULL) = (place IS NULL)),
        CHECK ((state = 'waiting') <= (batch IS NULL)),
        CHECK ((label IS NOT NULL) = (state = 'verified')),
        CHECK ((ended IS NULL) = (state IN ('waiting', 'running')))
    ) STRICT;
    CREATE INDEX images_by_user ON images (user, seq);
    CREATE INDEX images_by_state ON images (state, seq);
    CREATE TABLE pictures (image INTEGER PRIMARY KEY REFERENCES images (seq) ON DELETE CASCADE, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE batches (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, begun INTEGER NOT NULL, ended INTEGER,
        hint TEXT NOT NULL, model TEXT NOT NULL, images INTEGER NOT NULL, report TEXT, reason TEXT,
        acknowledged INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0, erased INTEGER NOT NULL DEFAULT 0,
        CHECK (state IN ('running', 'accepted', 'rejected', 'unavailable')),
        CHECK ((ended IS NULL) = (state = 'running'))
    ) STRICT;
    CREATE UNIQUE INDEX one_batch_runs ON batches (state) WHERE state = 'running';
    CREATE TABLE memo (key TEXT NOT NULL PRIMARY KEY, text TEXT, bytes BLOB) STRICT, WITHOUT ROWID;
";

/// The open database.
pub(crate) struct Store {
    connection: Mutex<Connection>,
    /// Held for as long as the database is open.
    _lock: File,
}

impl Store {
    /// Opens the database in `directory`, which is made if it is not there: mode 0700, its files
    /// 0600.
    pub(crate) fn open(directory: &Path) -> Result<Self, GatewayError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory).map_err(GatewayError::file(directory))?;
        // One that was there, as from a backup, may be open to others.
        #[cfg(unix)]
        restrict(directory, 0o700)?;
        let lock = owner_only(&directory.join("lock"))?;
        if lock.try_lock().is_err() {
            return Err(GatewayError::Busy { path: directory.to_owned() });
        }
        let path = directory.join("gateway.sqlite3");
        // SQLite gives its other files the mode of this one, when it makes them.
        drop(owner_only(&path)?);
        for other in ["gateway.sqlite3-wal", "gateway.sqlite3-shm"].map(|name| directory.join(name)) {
            if other.exists() {
                drop(owner_only(&other)?);
            }
        }
        let mut connection = Connection::open(&path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        // What is sorted stays out of the system's folder for temporary files: images are in it.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "trusted_schema", "OFF")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match found {
            VERSION => {}
            0 => {
                transaction.execute_batch(TABLES)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            _ => return Err(GatewayError::Version { path, found, known: VERSION }),
        }
        transaction.commit()?;
        let store = Self { connection: Mutex::new(connection), _lock: lock };
        store.empty_log()?;
        Ok(store)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A thread that panicked in a transaction has taken it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in a transaction that writes; if it fails, nothing is changed.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Brings the write-ahead log into the database and cuts it: what was erased stands in it, too.
    fn empty_log(&self) -> rusqlite::Result<()> {
        self.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
    }
}

/// Opens a file of mode 0600 for writing, or makes it.
fn owner_only(path: &Path) -> Result<File, GatewayError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(GatewayError::file(path))?;
    #[cfg(unix)]
    restrict(path, 0o600)?;
    Ok(file)
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> Result<(), GatewayError> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).map_err(GatewayError::file(path))
}
