//! Why a client cannot remember.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fusion_mix::MixError;
use rusqlite::ErrorCode;

/// Why what a client remembers cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The file is not what this program wrote.
    #[error(
        "{}, in which this program remembers models and tallies, is damaged: put back a copy, or move it away to begin without a memory: \
         then the next model at every address is trusted as if it were the first",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        cause: rusqlite::Error,
    },
    /// A file of an earlier version, which is to be taken over, is damaged.
    #[error(
        "{} is what an earlier version of this program remembered, and it cannot be taken over: {reason}; mend it, or move it away to begin without it",
        path.display()
    )]
    Old {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file is of a later version.
    #[error("{} is of version {found}, this program reads version {known}: use the newer program that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this program reads.
        known: i64,
    },
    /// Other processes did not let go of the file.
    #[error("another process has kept {} locked for {seconds} s: wait for it to end, or stop it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long this process has waited.
        seconds: u64,
    },
    /// The disk refuses.
    #[error(
        "cannot use {}, in which this program remembers models and tallies: free space, make its directory writable, or name another with FUSION_HOME",
        path.display()
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: Failed,
    },
    /// A tally that cannot be counted with.
    #[error(transparent)]
    Tally(#[from] MixError),
}

/// What a system says that cannot write.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// Of a file or a directory.
    #[error(transparent)]
    System(std::io::Error),
    /// In the words of the database.
    #[error(transparent)]
    Database(rusqlite::Error),
}

impl MemoryError {
    /// An error of the database at `path`, for which a call waits for `busy` at most.
    pub(super) fn of(path: &Path, error: rusqlite::Error, busy: Duration) -> Self {
        let path = path.to_owned();
        #[expect(clippy::wildcard_enum_match_arm, reason = "what the disk does not refuse is content that is not ours")]
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path, seconds: busy.as_secs() },
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::DiskFull
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure,
            ) => Self::Disk { path, cause: Failed::Database(error) },
            _ => Self::Damaged { path, cause: error },
        }
    }
}
