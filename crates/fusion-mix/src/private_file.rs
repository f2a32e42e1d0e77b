//! Files that only their owner may read, written all or not at all.
//!
//! Every file is first written under another name in the same directory, with mode 0600, and
//! brought to the disk. Then it gets its own name in one step. So a process that is killed, or a
//! machine that loses its power, leaves the old file or the new one, never a part of either.
//!
//! ```
//! use fusion_mix::private_file;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("secret");
//! private_file::create_new(&path, b"first")?;
//! assert!(private_file::create_new(&path, b"second").is_err(), "it is there already");
//! private_file::replace(&path, b"second")?;
//! assert_eq!(private_file::read(&path, 1024)?[..], *b"second");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use zeroize::Zeroizing;

use crate::MixError;

/// Creates `path` with mode 0600, holding `bytes`, in one step.
///
/// # Errors
/// [`MixError::File`] if something of that name exists, be it a link, or if the disk refuses.
pub fn create_new(path: &Path, bytes: &[u8]) -> Result<(), MixError> {
    publish(path, bytes, link_new)
}

/// Puts a file of mode 0600 that holds `bytes` in the place of `path`, in one step, whether or not
/// there was one before.
///
/// # Errors
/// [`MixError::File`] if the disk refuses; what was at `path` is unchanged then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), MixError> {
    publish(path, bytes, |draft, path| fs::rename(draft, path))
}

/// Reads a file of at most `limit` bytes that no one but its owner may read.
///
/// # Errors
/// [`MixError::File`] if it cannot be read, [`MixError::BadFile`] if others may read it or it is
/// larger.
pub fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, MixError> {
    let file = File::open(path).map_err(|e| failed(path, e))?;
    let metadata = file.metadata().map_err(|e| failed(path, e))?;
    if !is_owner_only(&metadata) {
        return Err(MixError::BadFile { path: path.to_owned(), reason: "others may read it: its mode must be 0600".to_owned() });
    }
    read_bounded(path, file, metadata.len(), limit)
}

/// Reads a file of at most `limit` bytes, whatever its mode is; `None` if there is no such file.
///
/// # Errors
/// [`MixError::File`] if it cannot be read, [`MixError::BadFile`] if it is larger.
pub fn read_if_there(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, MixError> {
    match File::open(path) {
        Ok(file) => {
            let length = file.metadata().map_err(|e| failed(path, e))?.len();
            read_bounded(path, file, length, limit).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

/// Writes a draft beside `path` and hands it over to `name`, which gives it its name.
fn publish(path: &Path, bytes: &[u8], name: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<(), MixError> {
    let (draft, mut file) = create_draft(path).map_err(|e| failed(path, e))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| name(&draft, path));
    drop(file);
    // A draft that was renamed is gone; any other is of no use, and the error to report is
    // `written`.
    let _ = fs::remove_file(&draft);
    written.map_err(|e| failed(path, e))?;
    sync_directory(path);
    Ok(())
}

/// Gives the draft a second name, which must be free.
fn link_new(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        // Some file systems have no links. There a name that is taken at this very moment by
        // another process would be lost.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            if path.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(draft, path)
        }
        other => other,
    }
}

/// A new file of mode 0600 beside `path`, under a name that nothing else has.
fn create_draft(path: &Path) -> io::Result<(PathBuf, File)> {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut options = OpenOptions::new();
    // A link of that name is not followed: creating anew refuses whatever exists.
    options.write(true).create_new(true);
    owner_only(&mut options);
    loop {
        let mut name = name.to_owned();
        name.push(format!(".{}-{}.new", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
        let draft = path.with_file_name(name);
        match options.open(&draft) {
            // Left over by a process that was killed and had the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (draft, file)),
        }
    }
}

fn read_bounded(path: &Path, file: File, length: u64, limit: u64) -> Result<Zeroizing<Vec<u8>>, MixError> {
    if length > limit {
        return Err(MixError::BadFile {
            path: path.to_owned(),
            reason: format!("{length} bytes are more than the {limit} that it can need"),
        });
    }
    // Room for all of it at once: growing would leave unwiped pieces behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    file.take(length).read_to_end(&mut bytes).map_err(|e| failed(path, e))?;
    Ok(bytes)
}

fn failed(path: &Path, source: io::Error) -> MixError {
    MixError::File { path: path.to_owned(), source }
}

/// Brings the new name to the disk: it belongs to the directory, not to the file. Some file systems
/// refuse that for directories, and the file is in place all the same, so this cannot fail.
#[cfg(unix)]
fn sync_directory(path: &Path) {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
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

// Elsewhere a file takes the access rules of its directory, which for a user's own directories are
// private, and a directory cannot be opened as a file.
#[cfg(not(unix))]
fn sync_directory(_: &Path) {}

#[cfg(not(unix))]
fn owner_only(_: &mut OpenOptions) {}

#[cfg(not(unix))]
fn is_owner_only(_: &fs::Metadata) -> bool {
    true
}
