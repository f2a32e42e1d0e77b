//! Where a client keeps what it remembers: room, and who may read it.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::finding::Finding;
use crate::tables::human_bytes;

/// Free bytes below which a hint of a large network may not fit, and below which a run may not.
const LITTLE: (u64, u64) = (2 << 30, 64 << 20);

/// Files of a run, and of the home directory, that are for their owner alone.
const OF_A_RUN: [&str; 3] = ["run.json", "batch.secret", "answers.jsonl"];
const OF_HOME: [&str; 1] = ["memory.sqlite3"];

/// Whether files can be kept in `home`, and whether those that are there are the user's alone.
/// Nothing is made there but a file without a name, for a moment.
pub(super) fn home(home: &Path) -> Vec<Finding> {
    let mut findings = vec![room(home)];
    if home.is_dir() {
        findings.push(modes(home));
    }
    findings
}

fn room(home: &Path) -> Finding {
    // What is not there yet is made by the first query, where the nearest directory lets it.
    let Some(there) = home.ancestors().find(|path| path.is_dir()) else {
        return Finding::problem("home", format!("{} is nowhere", home.display()), "name another directory with FUSION_HOME");
    };
    let new = if there == home { "" } else { ", which a first query will make" };
    if let Err(error) = tempfile::tempfile_in(there) {
        let says = format!("{} cannot be written to: {error}", there.display());
        return Finding::problem("home", says, "make it writable, free space, or name another directory with FUSION_HOME");
    }
    let free = free_bytes(there);
    let room = free.map_or_else(|| "writable".to_owned(), |free| format!("writable, {} free", human_bytes(free)));
    let says = format!("{}{new}: {room}", home.display());
    let advice = "free space, or name another directory with FUSION_HOME: hints of large networks take gigabytes";
    let finding = match free {
        Some(free) if free < LITTLE.1 => Finding::problem("home", says, advice),
        Some(free) if free < LITTLE.0 => Finding::warning("home", says, advice),
        _ => Finding::ok("home", says),
    };
    finding.with(json!({ "path": home, "free_bytes": free }))
}

#[cfg(target_os = "linux")]
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(target_os = "linux"))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Whether others may read what is secret or tells of images.
fn modes(home: &Path) -> Finding {
    let runs = std::fs::read_dir(home.join("runs")).into_iter().flatten().flatten().map(|entry| entry.path());
    let in_runs = runs.flat_map(|run| OF_A_RUN.map(|name| run.join(name)));
    let secret: Vec<PathBuf> = OF_HOME.iter().map(|name| home.join(name)).chain(in_runs).filter(|path| open_to_others(path)).collect();
    if let Some(first) = secret.first() {
        let more = if secret.len() > 1 { format!(" and {} more", secret.len() - 1) } else { String::new() };
        let says = format!("others may read or change {}{more}", first.display());
        let advice = format!("chmod -R go= {}, and find out who could read it", home.display());
        return Finding::problem("modes", says, advice).with(json!({ "open_to_others": secret }));
    }
    if open_to_others(home) {
        let says = format!("others may look into {}; the files in it are yours alone", home.display());
        return Finding::warning("modes", says, format!("chmod 700 {}", home.display()));
    }
    Finding::ok("modes", format!("{} is yours alone", home.display()))
}

#[cfg(unix)]
fn open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_home_that_is_not_there_yet_is_fine_where_it_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new/fusion");
        let found = home(&new);
        assert!(found.len() == 1 && found[0].state == State::Ok && found[0].says.contains("will make"), "{found:?}");
        assert!(!new.exists() && std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was made");
        let found = home(Path::new("/proc/fusion"));
        assert!(found[0].state == State::Problem && found[0].advice.as_ref().unwrap().contains("FUSION_HOME"), "{found:?}");
    }

    #[cfg(unix)]
    #[test]
    fn files_that_others_can_read_are_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("runs/1");
        std::fs::create_dir_all(&run).unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        for name in ["run.json", "batch.secret", "lock"] {
            std::fs::write(run.join(name), "x").unwrap();
            set(&run.join(name), 0o600);
        }
        let state = || home(folder.path())[1].clone();
        set(folder.path(), 0o700);
        assert_eq!(state().state, State::Ok);
        set(folder.path(), 0o755);
        assert!(state().state == State::Warning && state().advice.unwrap().contains("chmod 700"));
        set(&run.join("lock"), 0o644);
        assert_eq!(state().state, State::Warning, "there is nothing in a lock");
        set(&run.join("batch.secret"), 0o640);
        assert!(state().state == State::Problem && state().says.contains("batch.secret"), "{:?}", state());
    }
}
