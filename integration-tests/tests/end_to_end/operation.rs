//! The command in the hands of an operator: nobody reads its log, the system sends it signals.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::User;
use crate::metrics::scrape;

/// A query of one lane.
const SMALL: &str =
    "query <queries/digit-00.png> --public-mnist --copies 2 --public 4 --tau 1 --max-inconclusive 1 --allow-unsound --lanes 1";

/// A query of six lanes, one after the other.
const LONG: &str = "query <queries/digit-00.png> <queries/digit-01.png> <queries/digit-02.png> <queries/digit-03.png> --public-mnist \
                    --copies 3 --public 12 --tau 3 --max-inconclusive 1 --allow-unsound --lanes 1 --lane-samples 4";

fn full_disk() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_query_ends_well_whoever_reads_it() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let query = |name: &str| user.command(&format!("{SMALL} --server {} --out {{{name}}} --json {{{name}.json}}", server.address));
    let accepted = |name: &str| assert_eq!(user.json(&format!("{name}.json"))["verdict"], "accepted", "{name}");

    let status = query("full").stdout(Stdio::null()).stderr(full_disk()).status().unwrap();
    assert_eq!(status.code(), Some(0), "standard error is full");
    accepted("full");

    // Readers that are gone, as after `| head`.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = query("gone").stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(0), "both readers are gone");
    accepted("gone");

    // Standard output is where the answers go: that they could not be printed is an error. What was
    // to be written is there all the same.
    let output = query("out").stdout(full_disk()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot write to standard output") && !stderr.contains("panicked"), "{stderr}");
    accepted("out");
}

/// A server whose standard error is `stderr`, which logs everything that there is to log.
fn noisy(user: &User, stderr: impl Into<Stdio>) -> (Child, String) {
    let mut command = user.command("serve {p} --listen 127.0.0.1:0 -vv");
    let mut child = command.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (child, address)
}

#[test]
fn a_server_works_on_whoever_reads_its_log() {
    let user = User::new();
    user.prepare("p");
    let asleep = std::io::pipe().unwrap();
    let gone = std::io::pipe().unwrap().1;
    let servers = [("full", noisy(&user, full_disk())), ("gone", noisy(&user, gone)), ("asleep", noisy(&user, asleep.1))];
    for (what, (_, address)) in &servers {
        // More connections than a server that dies of its log would live through.
        for _ in 0..30 {
            drop(std::net::TcpStream::connect(address).unwrap());
        }
        for run in 0..2 {
            user.run(&format!("{SMALL} --server {address} --out {{{what}{run}}}")).expect(0);
        }
    }
    // The pipe that nobody read is full, and there is more to come.
    let (mut reader, mut held) = (asleep.0, vec![0; 128 << 10]);
    let mut total = 0;
    while total <= held.len() {
        let n = reader.read(&mut held).unwrap();
        assert!(n > 0, "only {total} bytes were logged");
        total += n;
    }
    for (what, (mut child, _)) in servers {
        assert!(child.try_wait().unwrap().is_none(), "{what}: the server ended");
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{what}");
    }
}

#[test]
fn signals_drain_reload_and_end_at_once() {
    let user = User::new();
    user.prepare("p");
    let (mut server, address, metrics) = user.operate("p", "--grace-seconds 600 --metrics 127.0.0.1:0");
    let metrics = metrics.unwrap();
    let health = || user.run(&format!("health --server {address}"));
    assert_eq!(health().expect(0).stdout, "serving\n");
    server.signal("HUP");

    // A client that falls asleep in the middle of a lane keeps it.
    let mut client = user.start(&format!("{LONG} --server {address} --out {{run}}"));
    user.wait_for_first_lane("run", &mut client);
    let runs = || scrape(&metrics).contains("\nfusion_lanes_running 1\n");
    let moment = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
    while {
        client.signal("STOP");
        moment(100);
        !(runs() && (moment(500), runs()).1)
    } {
        assert!(client.is_running(), "the client ended before it could be stopped within a lane");
        client.signal("CONT");
        moment(10);
    }
    server.signal("TERM");
    let began = Instant::now();
    while health().code == Some(0) {
        assert!(began.elapsed() < Duration::from_secs(10), "a server that drains says that it serves");
    }
    assert_eq!(health().expect(1).stdout, "not serving\n");
    assert!(server.is_running() && runs(), "it drains, and tells of it");
    server.signal("TERM");
    assert_eq!(server.ended_by(), Some(15), "the second signal ends it at once");
    client.kill();

    for signal in ["TERM", "INT"] {
        let (server, _, _) = user.operate("p", "");
        server.signal("HUP");
        server.signal(signal);
        let ended = server.end().expect(0);
        assert!(ended.stderr.contains("looked at the packages again"), "{}", ended.stderr);
    }
    user.run(&format!("health --server {address}")).expect_error(&[&address]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_holds_secrets_leaves_no_core_file() {
    let user = User::new();
    user.prepare("p");
    let (server, _, _) = user.operate("p", "");
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}
