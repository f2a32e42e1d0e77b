//! The checkout as a list of files.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the checkout: where it is, relative to the root and with `/`, and what it says.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Tests and what only they use: rules about shape are looser there.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testing.rs" | "testing" | "benches" | "integration-tests"))
    }

    /// Written by `cargo xtask codegen`.
    pub(crate) fn is_generated(&self) -> bool {
        self.path.ends_with(".rs") && self.path.contains("/proto/")
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All files of the checkout whose names end in one of `extensions`, in order of their paths.
pub(crate) fn files(extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    let wanted = |path: &PathBuf| path.extension().is_some_and(|end| extensions.contains(&&*end.to_string_lossy()));
    let files: Vec<File> = found
        .iter()
        .filter(|path| wanted(path))
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            File { text: fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}")), path: name }
        })
        .collect();
    assert!(!files.is_empty(), "no file ends in {extensions:?}");
    files
}

/// Rust sources that people wrote.
pub(crate) fn rust() -> Vec<File> {
    files(&["rs"]).into_iter().filter(|file| !file.is_generated()).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let name = entry.file_name();
        if kind.is_dir()
            && !matches!(&*name.to_string_lossy(), "target" | "node_modules" | ".git")
            && !entry.path().join("CACHEDIR.TAG").exists()
        {
            walk(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Fails with all of `faults`, so that one run shows everything there is to mend.
#[track_caller]
pub(crate) fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
