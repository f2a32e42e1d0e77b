//! The client's cache of hints. A hint is under its own name only when it is complete and has the
//! right digest; until then its beginning is kept beside it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Misbehaviour, NetError};
use fusion_ring::symmetric::digest::{Digest, Hasher};

/// Bytes read at a time when a file is hashed.
const READ_BYTES: usize = 1 << 20;

/// A directory of hints, which any number of processes of one user may use at the same time.
///
/// `<digest>.hint` is a whole hint, `<digest>.part` the beginning of one. A process that downloads
/// holds the lock on `<digest>.lock`; others wait for it and then find the hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintCache {
    directory: PathBuf,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintProgress {
    /// Bytes on disk.
    pub done: u64,
    /// Bytes of the whole hint.
    pub total: u64,
    /// What the download waits for, while it does.
    pub waits_for: Option<HintWait>,
}

/// What a download waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HintWait {
    /// Another process on this machine downloads the same file.
    OtherProcess,
    /// The server has no room for another download, cut this one, or cannot be reached; the next
    /// try comes after this time.
    Server(Duration),
}

impl HintCache {
    /// A cache in a directory, which is made when the first hint arrives.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Where the whole hint of this digest is or will be.
    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}.hint"))
    }

    /// Where the part of a hint that has arrived is kept.
    #[must_use]
    pub fn part_path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}.part"))
    }

    /// Waits until no other process works on this hint, and says so before it does. Dropping the
    /// file releases the lock.
    pub(crate) fn lock(&self, digest: Digest, waits: &mut dyn FnMut()) -> Result<File, NetError> {
        let path = self.directory.join(format!("{digest}.lock"));
        fs::create_dir_all(&self.directory).map_err(|error| NetError::disk(&self.directory, &error))?;
        let lock = OpenOptions::new().create(true).append(true).open(&path).map_err(|error| NetError::disk(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => waits(),
            Err(TryLockError::Error(error)) => return Err(NetError::disk(&path, &error)),
        }
        lock.lock().map_err(|error| NetError::disk(&path, &error))?;
        Ok(lock)
    }

    /// The whole hint, if it is there and has its digest. A file that was damaged on disk is
    /// deleted: a wrong hint would make honest answers look wrong.
    pub(crate) fn lookup(&self, digest: Digest) -> Result<Option<PathBuf>, NetError> {
        let path = self.path(digest);
        match hash_file(&path) {
            Ok((hasher, len)) => {
                if hasher.finish() == digest {
                    return Ok(Some(path));
                }
                tracing::warn!(path = %path.display(), len, "deleting a damaged hint");
                fs::remove_file(&path).map_err(|error| NetError::disk(&path, &error))?;
                Ok(None)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NetError::disk(&path, &error)),
        }
    }
}

/// The part of a hint on disk. Its owner holds the hint's lock.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    len: u64,
    total: u64,
}

impl Part {
    /// Opens the part and hashes what it has. A part that is longer than the hint starts anew.
    pub(crate) fn open(path: PathBuf, total: u64) -> Result<Self, NetError> {
        let fail = |error: std::io::Error| NetError::disk(&path, &error);
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(fail)?;
        let (mut hasher, mut len) = hash_file(&path).map_err(fail)?;
        if len > total {
            file.set_len(0).map_err(fail)?;
            (hasher, len) = (Hasher::default(), 0);
        }
        Ok(Self { path, file, hasher, len, total })
    }

    /// How far the download is.
    pub(crate) fn progress(&self) -> HintProgress {
        HintProgress { done: self.len, total: self.total, waits_for: None }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.len == self.total
    }

    /// Adds the next piece, which must begin where the part ends and not go beyond the hint.
    pub(crate) fn append(&mut self, offset: u64, data: &[u8]) -> Result<(), NetError> {
        if offset != self.len {
            return Err(Misbehaviour::HintOrder { expected: self.len, found: offset }.into());
        }
        if data.len() as u64 > self.total - self.len {
            return Err(Misbehaviour::HintTooLong { announced: self.total }.into());
        }
        self.file.write_all(data).map_err(|error| NetError::disk(&self.path, &error))?;
        self.hasher.update(data);
        self.len += data.len() as u64;
        Ok(())
    }

    /// Turns a complete part into the hint, or deletes it if it is another one.
    pub(crate) fn finish(self, announced: Digest, whole: &Path) -> Result<(), NetError> {
        let fail = |error: std::io::Error| NetError::disk(&self.path, &error);
        let found = self.hasher.finish();
        if found != announced {
            fs::remove_file(&self.path).map_err(fail)?;
            return Err(Misbehaviour::HintDigest { announced, found }.into());
        }
        self.file.sync_all().map_err(fail)?;
        fs::rename(&self.path, whole).map_err(fail)
    }
}

fn hash_file(path: &Path) -> std::io::Result<(Hasher, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut len = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hasher, len));
        }
        hasher.update(&buffer[..n]);
        len += n as u64;
    }
}
