//! Which packages are meant: each itself, or all that lie in a folder.

use std::path::{Path, PathBuf};

use fusion_model::package::Package;

use crate::error::Error;

/// The packages named by `paths`, in their order; those of a folder by name. A path that is neither
/// stays, so that opening it says what is wrong.
pub(super) fn packages(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut packages = Vec::new();
    for path in paths {
        let inside = if is_package(path) { Vec::new() } else { inside(path)? };
        if inside.is_empty() {
            packages.push(path.clone());
        }
        packages.extend(inside);
    }
    Ok(packages)
}

fn is_package(path: &Path) -> bool {
    path.join(Package::PRIVATE_PART).exists()
}

fn inside(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(Error::file(folder))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file(folder))?.path();
        // What a package is called while it is written.
        if is_package(&path) && path.extension().is_none_or(|extension| extension != "partial") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
