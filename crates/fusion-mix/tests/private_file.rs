//! Private files: their mode, their one step, and what is refused.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use fusion_mix::{MixError, private_file};

/// The names in a folder, in order.
fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn creates_once_and_replaces_ever_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    private_file::create_new(&path, b"one").unwrap();
    assert!(matches!(private_file::create_new(&path, b"two"), Err(MixError::File { .. })));
    assert_eq!(private_file::read(&path, 3).unwrap()[..], *b"one", "the refused one changed nothing");
    private_file::replace(&path, b"three").unwrap();
    assert_eq!(private_file::read(&path, 5).unwrap()[..], *b"three");
    private_file::replace(&folder.path().join("new"), b"").unwrap();
    assert_eq!(names(folder.path()), ["file", "new"], "no draft is left");
}

#[test]
fn a_refused_file_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A directory cannot be replaced by a file.
    let path = folder.path().join("directory");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("inside"), b"x").unwrap();
    assert!(private_file::replace(&path, b"bytes").is_err());
    assert!(private_file::create_new(&path, b"bytes").is_err());
    assert_eq!(names(folder.path()), ["directory"]);
    assert!(private_file::replace(&folder.path().join("none").join("file"), b"bytes").is_err());
    assert!(private_file::replace(std::path::Path::new("/"), b"bytes").is_err());
}

#[test]
fn many_writers_leave_one_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let (replaced, created) = (folder.path().join("replaced"), folder.path().join("created"));
    let successes: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8u8)
            .map(|writer| {
                let (replaced, created) = (&replaced, &created);
                scope.spawn(move || {
                    private_file::replace(replaced, &[writer; 4096]).unwrap();
                    usize::from(private_file::create_new(created, &[writer; 4096]).is_ok())
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(successes, 1, "only one may create it");
    for path in [&replaced, &created] {
        let bytes = private_file::read(path, 4096).unwrap();
        assert_eq!(bytes.len(), 4096);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "it mixes two writers");
    }
    assert_eq!(names(folder.path()), ["created", "replaced"]);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    assert!(private_file::read_if_there(&path, 10).unwrap().is_none());
    assert!(matches!(private_file::read(&path, 10), Err(MixError::File { .. })));
    private_file::create_new(&path, &[7; 11]).unwrap();
    assert!(matches!(private_file::read(&path, 10), Err(MixError::BadFile { .. })));
    assert!(matches!(private_file::read_if_there(&path, 10), Err(MixError::BadFile { .. })));
    assert_eq!(private_file::read_if_there(&path, 11).unwrap().unwrap()[..], [7; 11]);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it_and_links_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (path, link, target) = (folder.path().join("file"), folder.path().join("link"), folder.path().join("target"));
    let mode = |path| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    std::fs::write(&path, b"open").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(private_file::read(&path, 10).unwrap_err().to_string().contains("0600"));
    private_file::replace(&path, b"private").unwrap();
    assert_eq!(mode(&path), 0o600, "the old file's mode does not stay");

    symlink(&target, &link).unwrap();
    assert!(private_file::create_new(&link, b"bytes").is_err());
    private_file::replace(&link, b"bytes").unwrap();
    assert!(!target.exists(), "the link was replaced, not followed");
    assert_eq!(mode(&link), 0o600);
}
