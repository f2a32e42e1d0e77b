//! `fusion inspect`: what a file is, and what is in it.

mod model;
mod report;
mod run;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cli::InspectArgs;

/// What can be shown, for whoever gave something else.
const EXPECTED: &str = "expected a package (the directory that `fusion prepare` wrote), a model card (its card.pb), the directory of a run \
     (`fusion query --out`) or a report (`query --json`, `verify --json`)";

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A package, or a card.
    Model,
    /// The directory of a run.
    Run,
    /// A report in JSON.
    Report,
}

/// What is at `path`, by the names in a directory and the first bytes of a file.
///
/// # Errors
/// Nothing is there, or nothing that can be shown.
fn kind(path: &Path) -> Result<Kind> {
    let there = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    let has = |name: &str| path.join(name).exists();
    if there.is_dir() {
        return match (has("card.pb"), has("run.json") || has("batch.secret")) {
            (true, _) => Ok(Kind::Model),
            (false, true) => Ok(Kind::Run),
            (false, false) => bail!("{} holds neither card.pb nor run.json: {EXPECTED}", path.display()),
        };
    }
    let mut first = Vec::new();
    File::open(path).and_then(|file| file.take(64).read_to_end(&mut first)).with_context(|| format!("cannot read {}", path.display()))?;
    match first.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(Kind::Report),
        Some(_) => Ok(Kind::Model),
        None => bail!("{} is empty: {EXPECTED}", path.display()),
    }
}

/// Runs the command.
///
/// # Errors
/// A file that is nothing that can be shown, or is damaged; a file that cannot be written.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let (path, json) = (args.file.as_path(), args.json.as_deref());
    match kind(path)? {
        Kind::Model if path.is_file() => {
            model::inspect(path, json).with_context(|| format!("{} is no model card: {EXPECTED}", path.display()))
        }
        Kind::Model => model::inspect(path, json),
        Kind::Run => run::inspect(path, json),
        Kind::Report => report::inspect(path, json).with_context(|| format!("{} is JSON, but no report: {EXPECTED}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_what_is_in_them_and_others_are_told_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            path
        };
        put("package/card.pb", b"x");
        put("run/run.json", b"{}");
        put("killed/batch.secret", b"x");
        put("other/photo.png", b"x");
        for (path, expected) in [("package", Kind::Model), ("run", Kind::Run), ("killed", Kind::Run)] {
            assert_eq!(kind(&folder.path().join(path)).unwrap(), expected, "{path}");
        }
        assert_eq!(kind(&put("outcome", b" \n{\"verdict\"")).unwrap(), Kind::Report);
        assert_eq!(kind(&put("card", &[8, 3, 18])).unwrap(), Kind::Model);
        for wrong in
            [folder.path().join("other"), put("empty", b" \n"), put("photo.jpg", &[0xff, 0xd8]), put("run.json", b"{\"slices\": []}")]
        {
            let error = format!("{:#}", run(&InspectArgs { file: wrong.clone(), json: None }).unwrap_err());
            assert!(error.contains("expected a package") && error.contains(&wrong.display().to_string()), "{error}");
        }
        assert!(kind(&folder.path().join("nothing")).unwrap_err().to_string().contains("cannot read"));
    }
}
