//! Fuzzing without a fuzzer: inputs are mutations of a target's corpus by a seeded generator, so
//! that any machine finds the same again. There is no guidance by coverage.

mod campaign;
mod mutator;
#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own, compiled here once more")]
mod targets;

use std::io;
use std::path::{Path, PathBuf};

pub use campaign::{Campaign, campaign};
pub use mutator::Mutator;
pub use targets::{TARGETS, Target};

/// The corpus of a target.
#[must_use]
pub fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// The files of a target's corpus, in the order of their names.
///
/// # Errors
/// If they cannot be read.
pub fn corpus(target: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = std::fs::read_dir(corpus_folder(target))?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    files.into_iter().map(|file| Ok((file.clone(), std::fs::read(file)?))).collect()
}
