//! Disks that are full, and state that cannot be written.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use super::{BATCH, batches_counted, recover};
use crate::harness::User;

/// `nobody` of every Unix.
const NOBODY: u32 = 65_534;

#[track_caller]
fn clear_error(ended: &Output) -> String {
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("error: ") && !text.contains("panicked"), "{text}");
    text
}

/// A file that cannot grow beyond `blocks` of 512 bytes stands for a disk that is full there: from
/// no file at all, over the first bytes of the database and of the run, to the hint. (The signal
/// that comes with it is ignored, so that writes fail as they do on a full disk.)
#[test]
fn a_disk_that_is_full_at_any_file_is_an_error_and_the_run_goes_on_with_room() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let address = &server.address;
    let mut seen = Vec::new();
    for power in 0.. {
        let blocks = (1u64 << power) - 1;
        // A state of its own each time: what is written must be written again.
        let home = user.path(&format!("home{power}"));
        let run = format!("full{power}");
        let line = user.command(&format!("query {BATCH} --server {address} --out {{{run}}}"));
        let mut limited = Command::new("sh");
        limited.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"")).arg("sh").arg(line.get_program());
        limited.args(line.get_args()).env("FUSION_HOME", &home).current_dir(user.path("."));
        let ended = limited.output().unwrap();
        if ended.status.success() {
            break;
        }
        let text = clear_error(&ended);
        let tells = ["File too large", "free space", "full"];
        assert!(tells.iter().any(|words| text.contains(words)), "no word of the disk: {text}");
        seen.push((blocks, text));
        fs::rename(&home, user.path("home")).unwrap();
        recover(&user, &run, address);
        assert_eq!(batches_counted(&user), 1, "with {blocks} blocks");
        fs::remove_dir_all(user.path("home")).unwrap();
    }
    assert!(seen.len() >= 4, "files of several sizes are written: {seen:?}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_before_anything_runs() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    // Root may write anywhere: the client is somebody else then, who can read what it needs.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let public = tempfile::tempdir().unwrap();
    fs::set_permissions(public.path(), Permissions::from_mode(0o755)).unwrap();
    let program = public.path().join("fusion");
    fs::copy(crate::harness::binary(), &program).unwrap();
    let digit = public.path().join("digit.png");
    fs::copy(crate::harness::asset("queries/digit-00.png"), &digit).unwrap();
    fs::set_permissions(&digit, Permissions::from_mode(0o644)).unwrap();
    let (home, runs) = (public.path().join("home"), public.path().join("runs"));
    for folder in [&home, &runs] {
        fs::create_dir(folder).unwrap();
        if is_root {
            chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let query = |out: &str| {
        let mut query = Command::new(&program);
        query.arg("query").arg(&digit).args(["--public-mnist", "--copies", "2", "--public", "2", "--tau", "1", "--max-inconclusive", "1"]);
        query.args(["--allow-unsound", "--lanes", "1", "--server", &server.address, "--out"]).arg(runs.join(out));
        query.env_clear().env("FUSION_HOME", &home).current_dir(public.path());
        if is_root {
            query.uid(NOBODY).gid(NOBODY);
        }
        query.output().unwrap()
    };
    for (folder, out) in [(&home, "a"), (&runs, "b")] {
        fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
        let text = clear_error(&query(out));
        assert!(text.contains(&*folder.to_string_lossy()), "it does not name {}: {text}", folder.display());
        assert!(!runs.join(out).join("answers.jsonl").exists(), "lanes were run: {text}");
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        let ended = query(out);
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}
