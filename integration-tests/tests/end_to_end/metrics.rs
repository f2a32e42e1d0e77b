//! What `fusion serve --metrics` says, against what ran.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::User;

/// The page, without the head of the reply.
pub(crate) fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, page) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("openmetrics-text"), "{head}");
    page.to_owned()
}

/// Samples by name and labels.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap())).unwrap()).collect()
}

/// Names and kinds that a page has.
pub(crate) fn families(page: &str) -> BTreeMap<String, String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    lines.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_numbers_are_those_of_what_ran() {
    let user = User::new();
    user.prepare("p");
    std::fs::write(user.path("token"), "0123456789abcdef-right").unwrap();
    std::fs::write(user.path("wrong"), "0123456789abcdef-wrong").unwrap();
    for token in ["token", "wrong"] {
        #[cfg(unix)]
        std::fs::set_permissions(user.path(token), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let (_server, address, metrics) = user.operate("p", "--metrics 127.0.0.1:0 --token-file {token}");
    let metrics = metrics.unwrap();
    let before = samples(&scrape(&metrics));
    assert!(before["fusion_lanes_begun_total"] == 0.0 && before["fusion_lane_bytes_total{direction=\"sent\"}"] == 0.0, "{before:?}");

    let query = "query <queries/digit-00.png> <queries/digit-01.png> --public-mnist --copies 4 --public 16 --tau 3 --max-inconclusive 2 --allow-unsound";
    let line = format!("{query} --server {address} --token-file {{token}} --lanes 1 --lane-samples 4 --out {{run}} --json {{run.json}}");
    let mut client = user.start(&line);
    user.wait_for_first_lane("run", &mut client);
    let during = samples(&scrape(&metrics));
    assert!(during["fusion_lanes_done_total"] >= 1.0 && during["fusion_lanes_begun_total"] <= 6.0, "{during:?}");
    client.end().expect(0);

    // What a token keeps out.
    user.run(&format!("{query} --server {address} --token-file {{wrong}} --out {{none}}")).expect_error(&["credentials"]);

    let outcome = user.json("run.json");
    let bytes = |way: &str| outcome["bytes"][way].as_u64().unwrap() as f64;
    let page = scrape(&metrics);
    let after = samples(&page);
    assert_eq!(after["fusion_lane_bytes_total{direction=\"received\"}"], bytes("client_to_server"));
    assert_eq!(after["fusion_lane_bytes_total{direction=\"sent\"}"], bytes("server_to_client"));
    let lanes = outcome["seconds"]["by_lane"].as_array().unwrap().len() as f64;
    assert_eq!((after["fusion_lanes_begun_total"], after["fusion_lanes_done_total"], lanes), (6.0, 6.0, 6.0));
    assert_eq!((after["fusion_samples_done_total"], after["fusion_lanes_running"]), (24.0, 0.0));
    assert!(after["fusion_hint_bytes_total"] > 100_000.0, "{page}");
    for phase in ["setup", "linear", "random_ot", "activation", "pooling", "argmax"] {
        let name = format!("fusion_lane_phase_seconds_total{{phase=\"{phase}\"}}");
        assert!(after.get(&name).is_some_and(|seconds| *seconds > 0.0), "{name}: {page}");
    }
    assert!(after["fusion_wrong_tokens_total"] >= 1.0 && after["fusion_connections_accepted_total"] >= 7.0, "{page}");
    // Nothing of who asked.
    let port = address.rsplit(':').next().unwrap();
    assert!(!page.contains("127.0.0.1") && !page.contains(port) && !page.contains("0123456789abcdef"), "{page}");
}

#[test]
fn lanes_that_reach_a_limit_are_counted_by_it() {
    let user = User::new();
    user.prepare("p");
    let (_server, address, metrics) = user.operate("p", "--metrics 127.0.0.1:0 --max-lane-bytes 100000");
    let query = "query <queries/digit-00.png> --public-mnist --copies 2 --public 2 --tau 1 --max-inconclusive 1 --allow-unsound --lanes 1";
    assert_ne!(user.run(&format!("{query} --server {address} --max-failures 0 --out {{run}}")).code, Some(0));
    let after = samples(&scrape(&metrics.unwrap()));
    assert!(after["fusion_refusals_total{limit=\"bytes_per_lane\"}"] >= 1.0, "{after:?}");
    assert!(after["fusion_lanes_failed_total{kind=\"limit\"}"] >= 1.0 && after["fusion_lanes_done_total"] == 0.0, "{after:?}");
}

#[test]
fn others_do_not_read_the_metrics_unless_that_is_meant() {
    let user = User::new();
    user.prepare("p");
    let refused = user.run("serve {p} --listen 127.0.0.1:0 --metrics 0.0.0.0:0").expect_error(&["--insecure-metrics", "0.0.0.0:0"]);
    assert!(!refused.stdout.contains("listening"), "{}", refused.stdout);
    let (server, _, metrics) = user.operate("p", "--metrics 0.0.0.0:0 --insecure-metrics");
    let port = metrics.unwrap().rsplit(':').next().unwrap().to_owned();
    // Whoever holds connections and says nothing is not waited for.
    let held: Vec<_> = (0..20).map(|_| TcpStream::connect(format!("127.0.0.1:{port}")).unwrap()).collect();
    assert!(families(&scrape(&format!("127.0.0.1:{port}"))).len() > 10);
    drop((held, server));
}
