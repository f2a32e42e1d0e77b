//! What a client remembers between runs: whom it has met, and what public samples have shown.
//!
//! ```text
//!   memory.sqlite3   known_models   the first model digest seen at each address     known_models
//!                    tallies, batches, outcomes   see `fusion_mix::audit`           tally
//! ```
//!
//! # Why SQLite
//! Any number of clients of one user run at the same time, as processes of their own, and each of
//! them may be killed at any moment. SQLite lets several processes write, one after the other, in
//! transactions that are on disk whole or not at all, without a server. (`redb` would do without C,
//! but locks its file for one process: the second client could not run.) JSON files that are read,
//! changed and replaced, as before, lose what another client wrote in between.
//!
//! Every call opens the file anew, so that a lane of hours holds neither a lock nor a file that
//! somebody has moved away meanwhile. Transactions that write take their lock at once
//! (`IMMEDIATE`), because one that reads first and then cannot write would have to be begun again.
//! The rollback journal, not the write-ahead log, because that needs shared memory, which file
//! systems of a network do not have; `synchronous = EXTRA`, which is `FULL` and also brings the end
//! of the journal to the disk.
//!
//! # Files of earlier versions
//! `known-models.json` and `tally.json` are taken over once, in the transaction that makes the
//! tables, and are left where they are: an earlier version that is still used goes on knowing its
//! models. A damaged one is an error, not a fresh start. `audit.json`, which is older still, is not
//! taken over: it knew samples by their place in a pool and batches without their soundness, and
//! nothing valid can be said of its numbers together with later ones.

mod error;
mod known_models;
mod migrate;
mod rows;
mod tally;

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

pub use error::MemoryError;
pub use tally::audit_log;

use error::Failed;

/// Version of the tables, as `PRAGMA user_version` has it. Zero is a file without any.
const VERSION: i64 = 1;

/// How long one call waits for other processes that write. Each of them takes milliseconds.
const BUSY: Duration = Duration::from_secs(30);

const TABLES: &str = "
    CREATE TABLE known_models (address TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE tallies (hint TEXT NOT NULL PRIMARY KEY, batches INTEGER NOT NULL, rejected INTEGER NOT NULL, chances REAL NOT NULL)
        STRICT, WITHOUT ROWID;
    CREATE TABLE batches (hint TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (hint, name)) STRICT, WITHOUT ROWID;
    CREATE TABLE outcomes (hint TEXT NOT NULL, image TEXT NOT NULL, truth INTEGER, certified INTEGER, PRIMARY KEY (hint, image))
        STRICT, WITHOUT ROWID;
";

/// The memory of the clients with one home directory.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    home: PathBuf,
    path: PathBuf,
}

impl Memory {
    /// The memory in the directory `home`, which is made when something is written.
    pub(crate) fn of(home: &Path) -> Self {
        Self { home: home.to_owned(), path: home.join("memory.sqlite3") }
    }

    /// Whether a batch can be recorded: writes something, and takes it back. For a moment at which
    /// an error costs nothing yet.
    pub(crate) fn check(&self) -> Result<(), MemoryError> {
        self.write(|transaction| {
            transaction.execute("INSERT INTO tallies VALUES ('', 0, 0, 0)", ()).map_err(|error| self.failed(error))?;
            transaction.execute("DELETE FROM tallies WHERE hint = ''", ()).map(drop).map_err(|error| self.failed(error))
        })
    }

    /// Runs `work` in a transaction that writes; if it fails, nothing is changed.
    fn write<T, E: From<MemoryError>>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.open()?;
        let transaction = self.begin(&mut connection)?;
        // An error drops the transaction, which takes it back.
        let done = work(&transaction)?;
        transaction.commit().map_err(|error| self.failed(error))?;
        Ok(done)
    }

    fn begin<'a>(&self, connection: &'a mut Connection) -> Result<Transaction<'a>, MemoryError> {
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| self.failed(error))
    }

    /// Opens the file; makes it, and takes over those of earlier versions, if it has no tables yet.
    fn open(&self) -> Result<Connection, MemoryError> {
        self.make_file().map_err(|cause| MemoryError::Disk { path: self.path.clone(), cause: Failed::System(cause) })?;
        let mut connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        match self.version(&connection)? {
            VERSION => Ok(connection),
            0 => {
                let transaction = self.begin(&mut connection)?;
                // Another process may have been faster.
                if self.version(&transaction)? == 0 {
                    transaction.execute_batch(TABLES).map_err(|error| self.failed(error))?;
                    migrate::take_over(&transaction, &self.home).map_err(|error| error.unless_old(|error| self.failed(error)))?;
                    transaction.pragma_update(None, "user_version", VERSION).map_err(|error| self.failed(error))?;
                }
                transaction.commit().map_err(|error| self.failed(error))?;
                Ok(connection)
            }
            found => Err(MemoryError::Version { path: self.path.clone(), found, known: VERSION }),
        }
    }

    /// Opens the file to read it, also where nothing can be written; none if nothing is remembered.
    fn look(&self) -> Result<Option<Connection>, MemoryError> {
        if !self.path.exists() {
            return if migrate::is_due(&self.home) { self.open().map(Some) } else { Ok(None) };
        }
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        if self.version(&connection)? == VERSION { Ok(Some(connection)) } else { self.open().map(Some) }
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, MemoryError> {
        let set_up = || {
            let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "synchronous", "EXTRA")?;
            Ok(connection)
        };
        set_up().map_err(|error| self.failed(error))
    }

    fn version(&self, connection: &Connection) -> Result<i64, MemoryError> {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> MemoryError {
        MemoryError::of(&self.path, error, BUSY)
    }

    /// Makes the file, which its owner alone may read: SQLite would go by the umask. Its journal
    /// gets the mode of the file.
    fn make_file(&self) -> io::Result<()> {
        let mut directory = DirBuilder::new();
        directory.recursive(true);
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        owner_only(&mut directory, &mut options);
        directory.create(&self.home)?;
        tighten(&options.open(&self.path)?)
    }
}

#[cfg(unix)]
fn owner_only(directory: &mut DirBuilder, file: &mut OpenOptions) {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    directory.mode(0o700);
    file.mode(0o600);
}

/// Takes away what an earlier mode gave to others.
#[cfg(unix)]
fn tighten(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { file.set_permissions(Permissions::from_mode(0o600)) }
}

// Elsewhere a file takes the access rules of its directory.
#[cfg(not(unix))]
fn owner_only(_: &mut DirBuilder, _: &mut OpenOptions) {}

#[cfg(not(unix))]
fn tighten(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
