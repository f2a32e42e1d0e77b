//! Files that only their owner may read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use crate::MixError;

fn failed(path: &Path, source: io::Error) -> MixError {
    MixError::File { path: path.to_owned(), source }
}

/// Creates `path` with mode 0600 and writes `bytes` to it. Fails if something of that name exists, so a link cannot redirect it.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), MixError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    owner_only(&mut options);
    let mut file = options.open(path).map_err(|e| failed(path, e))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| failed(path, e))
}

/// Replaces `path` in one step by a file of mode 0600 that holds `bytes`.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), MixError> {
    let mut name = path.file_name().ok_or_else(|| failed(path, io::Error::from(io::ErrorKind::InvalidInput)))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    create(&draft, bytes)?;
    fs::rename(&draft, path).map_err(|e| {
        // The draft is of no use; the rename's error is the one to report.
        let _ = fs::remove_file(&draft);
        failed(path, e)
    })
}

/// Reads a file of at most `limit` bytes that no one but its owner may read.
pub(crate) fn read_secret(path: &Path, limit: u64) -> Result<zeroize::Zeroizing<Vec<u8>>, MixError> {
    let file = File::open(path).map_err(|e| failed(path, e))?;
    let metadata = file.metadata().map_err(|e| failed(path, e))?;
    if !is_owner_only(&metadata) {
        return Err(MixError::BadFile { path: path.to_owned(), reason: "others may read it: its mode must be 0600".to_owned() });
    }
    read_bounded(path, file, metadata.len(), limit)
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read_if_there(path: &Path, limit: u64) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, MixError> {
    match File::open(path) {
        Ok(file) => {
            let length = file.metadata().map_err(|e| failed(path, e))?.len();
            read_bounded(path, file, length, limit).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

fn read_bounded(path: &Path, file: File, length: u64, limit: u64) -> Result<zeroize::Zeroizing<Vec<u8>>, MixError> {
    if length > limit {
        return Err(MixError::BadFile {
            path: path.to_owned(),
            reason: format!("{length} bytes are more than the {limit} that it can need"),
        });
    }
    // Room for all of it at once: growing would leave unwiped pieces behind.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(length as usize + 1));
    file.take(length).read_to_end(&mut bytes).map_err(|e| failed(path, e))?;
    Ok(bytes)
}

#[cfg(unix)]
fn owner_only(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(unix)]
fn is_owner_only(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 == 0
}

// Elsewhere a file takes the access rules of its directory, which for a user's own directories are private.
#[cfg(not(unix))]
fn owner_only(_: &mut OpenOptions) {}

#[cfg(not(unix))]
fn is_owner_only(_: &fs::Metadata) -> bool {
    true
}
