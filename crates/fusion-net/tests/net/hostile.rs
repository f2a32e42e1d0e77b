//! Bytes that no honest peer sends, at every point of a lane.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::raw::RawClient;
use crate::support::*;
use bytes::Bytes;
use fusion_net::proto::frame::Kind;
use fusion_net::{Client, Limits, Server};
use fusion_ring::channel::Channel as _;
use proptest::prelude::*;
use tonic::Code;

fn still_serves(server: &Server) {
    eventually("all lanes are free", || server.lanes_running() == 0);
    assert_eq!(echo(&mut connect(server).open_lane(lane(ECHO)).unwrap(), b"on"), b"on");
}

#[test]
fn each_malformed_opening_is_refused_with_its_reason() {
    let server = serve(Limits::default());
    let raw = RawClient::connect(server.local_addr());
    let invalid = Code::InvalidArgument;
    let cases = [
        (vec![], invalid, "the first frame is not `open`"),
        (vec![raw.frame(Kind::Payload(Bytes::from_static(b"x")))], invalid, "the first frame is not `open`"),
        (vec![Bytes::new()], invalid, "the first frame is not `open`"),
        (vec![Bytes::from_static(b"\xff\xff\xff")], invalid, "malformed message"),
        (vec![raw.open_with(|open| open.card_digest = Bytes::from_static(b"short"))], invalid, "a digest of 5 bytes, expected 32"),
        (vec![raw.open_with(|open| open.n_samples = 0)], invalid, "a lane with 0 samples"),
        (vec![raw.open_with(|open| open.reveal = 0)], invalid, "unknown value 0 of `reveal`"),
        (vec![raw.open_with(|open| open.reveal = 77)], invalid, "unknown value 77 of `reveal`"),
        (vec![raw.open_with(|open| open.split = 0)], invalid, "unknown value 0 of `split`"),
        (vec![raw.open_with(|open| open.split = 9)], invalid, "unknown value 9 of `split`"),
        (vec![raw.open_with(|open| open.extension = 0)], invalid, "unknown value 0 of `extension`"),
        (vec![raw.open_with(|open| open.extension = 4)], invalid, "unknown value 4 of `extension`"),
        (vec![raw.open_with(|open| open.protocol_version += 1)], Code::FailedPrecondition, "protocol_version"),
        (vec![raw.open_with(|open| open.params_version += 1)], Code::FailedPrecondition, "params_version"),
        (vec![raw.open_with(|open| open.card_digest = vec![0; 32].into())], Code::FailedPrecondition, "card_digest"),
        (vec![raw.open(u32::MAX)], Code::ResourceExhausted, "samples_per_lane"),
    ];
    for (messages, code, text) in cases {
        let status = raw.lane(messages);
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(text), "{status}");
    }
    still_serves(&server);
}

#[test]
fn each_malformed_frame_inside_a_lane_ends_it_with_its_reason() {
    let server = serve(Limits::default());
    let raw = RawClient::connect(server.local_addr());
    let length = raw.frame(Kind::Payload(Bytes::copy_from_slice(&100u32.to_le_bytes())));
    let cases = [
        (raw.open(ECHO), "a second `open` frame"),
        (raw.frame(Kind::Payload(Bytes::new())), "empty frame"),
        (Bytes::new(), "empty frame"),
        (Bytes::from_static(b"\x12\x7f"), "malformed message"),
        (Bytes::from_static(b"\x0a\x05\xff\xff\xff\xff\xff"), "malformed message"),
    ];
    for (bad, text) in cases {
        for before in [vec![], vec![length.clone()]] {
            let messages = [vec![raw.open(ECHO)], before, vec![bad.clone()]].concat();
            let status = raw.lane_open_ended(messages).join().unwrap();
            assert_eq!(status.code(), Code::InvalidArgument, "{status}");
            assert!(status.message().contains(text), "{status}");
        }
    }
    // An end in the middle of the protocol is the client's leave.
    assert_eq!(raw.lane(vec![raw.open(ECHO), length]).code(), Code::Cancelled);
    still_serves(&server);
}

#[test]
fn random_messages_never_get_past_the_checks() {
    let server = serve(Limits { idle: Duration::from_secs(2), ..Limits::default() });
    let raw = RawClient::connect(server.local_addr());
    let message = proptest::collection::vec(any::<u8>(), 0..60);
    let strategy = (any::<bool>(), proptest::collection::vec(message, 1..4));
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) });
    let outcome = runner.run(&strategy, |(opened, messages)| {
        let mut all: Vec<Bytes> = if opened { vec![raw.open(SEND_AND_END)] } else { vec![] };
        all.extend(messages.into_iter().map(Bytes::from));
        let status = raw.lane(all);
        // A lane that opened may have ended before it met the garbage.
        let expected: &[Code] = if opened { &[Code::Ok, Code::InvalidArgument] } else { &[Code::InvalidArgument] };
        prop_assert!(expected.contains(&status.code()), "{status}");
        Ok(())
    });
    outcome.unwrap();
    still_serves(&server);
}

#[test]
fn bytes_that_are_no_http2_do_no_harm() {
    let server = serve(Limits::default());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    for garbage in [&noise(100_000)[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 50_000], b"\x16\x03\x01\x02\x00\x01"] {
        for before in [&[][..], preface, &[preface, settings].concat()] {
            let mut socket = TcpStream::connect(server.local_addr()).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // The server may hang up before it has taken all.
            let _ = socket.write_all(before).and_then(|()| socket.write_all(garbage));
            let _ = socket.shutdown(std::net::Shutdown::Write);
            // It says goodbye or cuts the connection, and does not wait for more.
            let started = Instant::now();
            let _ = socket.read_to_end(&mut Vec::new());
            assert!(started.elapsed() < Duration::from_secs(15));
        }
    }
    still_serves(&server);
}

/// Runs only as the process that the next test starts and kills.
#[test]
fn client_to_be_killed() {
    let Ok(address) = std::env::var("FUSION_NET_TEST_SERVER") else { return };
    let client = Client::connect(settings(address.parse().unwrap())).unwrap();
    let mut idle = client.open_lane(lane(ECHO)).unwrap();
    echo(&mut idle, b"x");
    let mut busy = client.open_lane(lane(FLOOD)).unwrap();
    busy.recv_vec(1).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_client_frees_its_lanes_at_once() {
    let server = serve(Limits::default());
    let mut other = connect(&server).open_lane(lane(ECHO)).unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::client_to_be_killed"])
        .env("FUSION_NET_TEST_SERVER", server.local_addr().to_string())
        .spawn()
        .unwrap();
    eventually("the client's lanes run", || server.lanes_running() == 3);
    process.kill().unwrap();
    process.wait().unwrap();
    let killed = Instant::now();
    eventually("its lanes are free", || server.lanes_running() == 1);
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    assert_eq!(echo(&mut other, b"other lanes go on"), b"other lanes go on");
}
