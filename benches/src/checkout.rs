//! Where the sources are that this program was built from.

use std::path::{Path, PathBuf};

/// The root of the checkout, under whose `target/` benchmarks keep what they fetched or made.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
