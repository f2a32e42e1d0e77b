//! `deploy/` and `docs/operations.md` against the command that they are about.
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use clap::{CommandFactory, Parser};
use fusion_cli::cli::{Cli, Command as Task};
use fusion_net::Limits;

use crate::harness::{User, workspace};
use crate::metrics::{families, scrape};

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of the rows below a heading of `docs/operations.md` that begin with a word in code.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = read("docs/operations.md");
    let part = text.split("\n## ").find(|part| part.starts_with(heading)).unwrap_or_else(|| panic!("no part {heading}")).to_owned();
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    let rows: Vec<_> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "{heading} has no table");
    rows
}

/// Flags of `fusion serve`, as they are typed.
fn flags_of_serve() -> BTreeSet<String> {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let seen = serve.get_arguments().filter(|argument| !argument.is_hide_set());
    seen.filter_map(|argument| argument.get_long()).filter(|flag| *flag != "help").map(|flag| format!("--{flag}")).collect()
}

#[test]
fn the_limits_are_those_of_the_program() {
    let Limits {
        lanes_total,
        lanes_per_client,
        samples_per_lane,
        bytes_per_lane,
        message_bytes,
        idle,
        lane,
        hints_total,
        hints_per_client,
        hint_rate,
        hint_grace,
        hint,
        connections_total,
        connections_per_address,
        connections_reserved,
        first_request,
        connection_idle,
        memory: _,
    } = Limits::default();
    let expected: BTreeMap<&str, String> = [
        ("lanes_total", u64::from(lanes_total)),
        ("lanes_per_client", u64::from(lanes_per_client)),
        ("samples_per_lane", u64::from(samples_per_lane)),
        ("bytes_per_lane", bytes_per_lane),
        ("message_bytes", message_bytes as u64),
        ("idle_seconds", idle.as_secs()),
        ("lane_seconds", lane.as_secs()),
        ("hints_total", u64::from(hints_total)),
        ("hints_per_client", u64::from(hints_per_client)),
        ("hint_rate", hint_rate),
        ("hint_grace_seconds", hint_grace.as_secs()),
        ("hint_seconds", hint.as_secs()),
        ("connections_total", u64::from(connections_total)),
        ("connections_per_address", u64::from(connections_per_address)),
        ("connections_reserved", u64::from(connections_reserved)),
        ("first_request_seconds", first_request.as_secs()),
        ("connection_idle_seconds", connection_idle.as_secs()),
    ]
    .map(|(name, value)| (name, value.to_string()))
    .into_iter()
    .chain([("memory", "half of the machine's or the control group's".to_owned())])
    .collect();
    let rows = rows("Limits");
    let said: BTreeMap<&str, String> = rows.iter().map(|row| (row[0].as_str(), row[1].clone())).collect();
    assert_eq!(said, expected);
    let flags = flags_of_serve();
    for row in rows.iter().filter(|row| !row[2].is_empty()) {
        assert!(flags.contains(&row[2]), "fusion serve has no {}", row[2]);
    }
}

#[test]
fn every_flag_of_a_server_is_explained_and_every_exit_code_named() {
    let text = read("docs/operations.md");
    for flag in flags_of_serve() {
        assert!(text.contains(&format!("`{flag}")) || text.contains(&format!(" {flag} ")), "docs/operations.md says nothing of {flag}");
    }
    for code in 0..5 {
        assert!(text.contains(&format!("\n| {code} |")), "exit code {code}");
    }
}

#[test]
fn every_metric_is_explained_and_every_explained_one_is_there() {
    let user = User::new();
    user.prepare("p");
    let (_server, _, metrics) = user.operate("p", "--metrics 127.0.0.1:0");
    let said: BTreeMap<String, String> = rows("Metrics").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(families(&scrape(&metrics.unwrap())), said);
}

/// The words of a line that begins with `start`, which may go on over lines ending in a backslash.
fn words(text: &str, start: &str) -> Vec<String> {
    let joined = text.replace("\\\n#", "").replace("\\\n", "");
    let line = joined
        .lines()
        .find_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix(start))
        .unwrap_or_else(|| panic!("no {start}"))
        .to_owned();
    line.split_whitespace().map(str::to_owned).collect()
}

/// Panics unless `fusion` takes these words.
fn parses(words: &[String]) -> Cli {
    let line = std::iter::once("fusion").chain(words.iter().map(String::as_str));
    Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

#[test]
fn the_systemd_unit_starts_what_there_is() {
    let unit = read("deploy/fusion.service");
    let line = words(&unit, "ExecStart=/usr/local/bin/fusion ");
    let Task::Serve(args) = parses(&line).command else { panic!("{line:?} serves nothing") };
    let seconds: u64 = words(&unit, "TimeoutStopSec=")[0].parse().unwrap();
    assert!(seconds > args.grace_seconds, "systemd kills a server that drains");
    for file in [&args.tls_cert, &args.tls_key, &args.token_file] {
        let name = file.as_ref().unwrap().file_name().unwrap().to_str().unwrap();
        assert!(unit.contains(&format!("LoadCredential={name}:")), "{name} is not loaded");
    }
    for hardened in ["NoNewPrivileges=yes", "ProtectSystem=strict", "User=fusion", "Restart=on-failure", "KillSignal=SIGTERM", "MemoryMax="]
    {
        assert!(unit.lines().any(|line| line.starts_with(hardened)), "{hardened}");
    }
    let connections = Limits::default().connections_total;
    let files: u32 = words(&unit, "LimitNOFILE=")[0].parse().unwrap();
    assert!(files > 2 * connections, "{files} files for {connections} connections");

    // The program is not where the unit has it, here.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fusion.service");
    fs::write(&path, unit.replace("/usr/local/bin/fusion ", "/bin/true ")).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(checked) => assert!(checked.status.success() && checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr)),
        Err(error) => eprintln!("systemd-analyze verify was not run ({error}); the unit was parsed here only"),
    }
}

#[test]
fn the_image_is_made_of_what_there_is() {
    let file = read("deploy/Dockerfile");
    let build = words(&file, "RUN cargo build ");
    assert!(
        build.windows(2).any(|pair| pair == ["-p", "fusion-cli"]) && build.windows(2).any(|pair| pair == ["--bin", "fusion"]),
        "{build:?}"
    );
    let copies = file.lines().filter_map(|line| line.strip_prefix("COPY --from=build "));
    let copied: Vec<&str> = copies.flat_map(str::split_whitespace).filter(|path| path.starts_with("/src/")).collect();
    for path in &copied {
        let path = path.trim_start_matches("/src/");
        assert!(path == "target/release/fusion" || workspace().join(path).exists(), "there is no {path}");
    }
    assert!(copied.len() >= 3 && file.lines().any(|line| line == "USER 10001:10001") && file.contains("--read-only"));
    let pinned = |line: &&str| line.split(':').nth(1).is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit()));
    assert!(file.lines().filter(|line| line.starts_with("FROM ")).all(|line| pinned(&line)), "a base without a version");
    let minimum =
        read("Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = ").map(|v| v.trim_matches('"').to_owned())).unwrap();
    assert!(file.contains(&format!("FROM rust:{minimum}")), "the image builds with another Rust than {minimum}");

    let list = |start: &str| serde_json::from_str::<Vec<String>>(file.lines().find_map(|line| line.strip_prefix(start)).unwrap()).unwrap();
    let health = file.lines().find_map(|line| line.starts_with("HEALTHCHECK ").then(|| line.split_once(" CMD ").unwrap().1)).unwrap();
    let health: Vec<String> = serde_json::from_str(health).unwrap();
    assert!(matches!(parses(&health[1..]).command, Task::Health(_)));
    assert!(matches!(parses(&list("CMD ")).command, Task::Serve(_)));
    // As the comment has it.
    assert!(matches!(
        parses(&words(&file, "docker run ").split_off(words(&file, "docker run ").iter().position(|word| word == "fusion").unwrap() + 1))
            .command,
        Task::Serve(_)
    ));
}

/// A command under a umask.
fn under_umask(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 022 && exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

/// All files below `folder` and their modes, with digests and names that change left out.
fn modes(folder: &Path, name: &str, found: &mut BTreeMap<String, String>) {
    let mode = |path: &Path| format!("{:04o}", fs::metadata(path).unwrap().permissions().mode() & 0o7777);
    found.insert(format!("{name}/"), mode(folder));
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let file = match file.split_once('.') {
            Some((stem, end)) if is_digest(stem) => format!("DIGEST.{end}"),
            _ => file.to_owned(),
        };
        if path.is_dir() {
            modes(&path, &format!("{name}/{file}"), found);
        } else {
            found.insert(format!("{name}/{file}"), mode(&path));
        }
    }
}

#[test]
fn files_have_the_modes_that_are_said() {
    let user = User::new();
    let run = |line: &str| {
        let output = under_umask(&user.command(line)).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(
        "prepare <mnist.onnx> --preprocess mnist --calibrate <queries> --answers <queries> --margin 1.5 --claimed-accuracy 0.9 --out {package}",
    );
    let server = user.serve("package", "");
    run(&format!(
        "query <queries/digit-00.png> --public-dir <queries> --copies 2 --public 4 --tau 1 --max-inconclusive 1 --allow-unsound --lanes 1 \
         --server {} --out {{run}}",
        server.address
    ));
    let mut found = BTreeMap::new();
    for (folder, name) in [("package", "PACKAGE"), ("run", "RUN"), ("home", "HOME")] {
        modes(&user.path(folder), name, &mut found);
    }
    let said: BTreeMap<String, String> = rows("What is written where").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(found, said);
}
