//! Connections that do nothing, or say half of something: they end in time, and keep nobody out.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::*;
use fusion_net::{LimitName, Limits, Server};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// HEADERS of stream 1 that CONTINUATION frames must end, and one of these that does not.
const HALF_HEADERS: &[u8] = &[0, 0, 2, 1, 0, 0, 0, 0, 1, 0x83, 0x86];
const CONTINUATION: &[u8] = &[0, 0, 5, 9, 0, 0, 0, 0, 1, 0, 1, b'a', 1, b'b'];
/// The head of a TLS record with a client hello, and nothing after it.
const HALF_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// A name, how a connection begins, and what drips into it afterwards.
type Hold = (&'static str, &'static [&'static [u8]], &'static [u8]);

const KINDS: [Hold; 5] = [
    ("nothing", &[], &[]),
    ("half a preface", &[PREFACE.split_at(10).0], &[]),
    ("a preface only", &[PREFACE, SETTINGS], &[]),
    ("headers without an end", &[PREFACE, SETTINGS, HALF_HEADERS], CONTINUATION),
    ("half a TLS hello", &[HALF_HELLO], &[0]),
];

/// A connection from an address of this machine.
fn connect_from(source: [u8; 4], server: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::from(source), 0).into()).unwrap();
        let stream = socket.connect(server).await.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    })
}

/// Whether the server has closed a connection; reads what it says until then.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }
}

fn honest_work(server: &Server) {
    let client = connect(server);
    client.describe().unwrap();
    assert_eq!(echo(&mut client.open_lane(lane(ECHO)).unwrap(), b"on"), b"on");
}

#[test]
fn a_connection_that_asks_nothing_is_closed_in_time() {
    let first_request = Duration::from_millis(600);
    let server = serve(Limits { first_request, ..Limits::default() });
    for (kind, begin, drip) in KINDS {
        let mut stream = connect_from([127, 0, 0, 2], server.local_addr());
        let began = Instant::now();
        begin.iter().for_each(|bytes| stream.write_all(bytes).unwrap());
        while !is_closed(&mut stream) {
            assert!(began.elapsed() < 8 * first_request, "{kind}: still open");
            // Fails when the server has closed.
            let _ = stream.write_all(drip);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    eventually("all are gone", || server.counters().connections_open == 0);
    let reached = server.counters().refusals.get(&LimitName::FirstRequest).copied();
    assert!(reached >= Some(3), "{reached:?}");
    honest_work(&server);
}

#[test]
fn a_connection_is_closed_when_nothing_is_in_progress_and_its_client_comes_back() {
    let limits = Limits { connection_idle: Duration::from_millis(300), first_request: Duration::from_millis(300), ..Limits::default() };
    let server = serve(limits);
    let client = connect(&server);
    client.describe().unwrap();
    let mut working = client.open_lane(lane(ECHO)).unwrap();
    eventually("the idle connection is closed", || server.counters().connections_open == 1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(echo(&mut working, b"a lane is not idle"), b"a lane is not idle");
    client.describe().unwrap();
}

/// So many connections of all kinds, each held open by the caller.
fn crowd(count: usize, source: impl Fn(usize) -> [u8; 4], server: &Server) -> Vec<TcpStream> {
    let open = |i: usize| {
        let mut stream = connect_from(source(i), server.local_addr());
        // Fails where the server has closed it at once.
        let _ = stream.write_all(&KINDS[i % KINDS.len()].1.concat());
        stream
    };
    (0..count).map(open).collect()
}

/// Few connections in all, and much more time than a test takes before any is closed for silence.
fn small() -> Limits {
    Limits {
        connections_total: 64,
        connections_per_address: 32,
        connections_reserved: 16,
        first_request: Duration::from_secs(600),
        ..Limits::default()
    }
}

#[test]
fn one_address_with_many_connections_keeps_nobody_out() {
    let server = serve(small());
    let client = connect(&server);
    let mut before = client.open_lane(lane(ECHO)).unwrap();
    let crowd = crowd(400, |_| [127, 0, 0, 2], &server);
    honest_work(&server);
    assert_eq!(echo(&mut before, b"still"), b"still");
    let counters = server.counters();
    assert!(counters.connections_open <= 36 && counters.connections_accepted >= 404, "{counters:?}");
    drop(crowd);
}

#[test]
fn many_connections_of_the_same_address_keep_nobody_out_either() {
    let server = serve(small());
    let client = connect(&server);
    let mut before = client.open_lane(lane(ECHO)).unwrap();
    let crowd = crowd(400, |_| [127, 0, 0, 1], &server);
    honest_work(&server);
    assert_eq!(echo(&mut before, b"still"), b"still");
    drop(crowd);
}

#[test]
fn many_addresses_with_few_connections_each_keep_nobody_out() {
    let server = serve(small());
    let client = connect(&server);
    let mut before = client.open_lane(lane(ECHO)).unwrap();
    let crowd = crowd(400, |i| [127, 0, 1, (i / 3) as u8], &server);
    honest_work(&server);
    assert_eq!(echo(&mut before, b"still"), b"still");
    assert!(server.counters().connections_open <= 64);
    drop(crowd);
}

#[test]
fn a_request_that_is_begun_and_not_ended_is_refused_in_time() {
    let server = serve(Limits { first_request: Duration::from_millis(500), ..Limits::default() });
    let raw = raw::RawClient::connect(server.local_addr());
    let status = raw.describe_without_end();
    assert_eq!(status.metadata().get("fusion-reason").map(|value| value.to_str().unwrap()), Some("first_request_seconds"), "{status}");
    honest_work(&server);
}
