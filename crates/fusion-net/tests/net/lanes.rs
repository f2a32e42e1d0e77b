//! Lanes end to end over loopback: bytes, counters, endings, refusals.
use std::time::{Duration, Instant};

use crate::support::*;
use fusion_net::{Fault, LimitName, Limits, Misbehaviour, Mismatch, NetError};
use fusion_ring::channel::{Channel as _, ChannelError, MAX_CROSSING_BYTES, Traffic};

#[test]
fn bytes_of_every_size_come_back_and_are_counted() {
    let server = serve(Limits::default());
    let client = connect(&server);
    let mut channel = client.open_lane(lane(ECHO)).unwrap();
    let mut bytes = 0;
    let sizes = [1usize, 2, 1023, 1024, 65_535, 262_143, 262_144, 262_145, 1 << 20, 10_000_001];
    for len in sizes {
        let data = noise(len);
        assert!(echo(&mut channel, &data) == data, "{len} bytes");
        bytes += len as u64;
    }
    channel.send(&0u32.to_le_bytes()).unwrap();
    let traffic = channel.finish().unwrap();
    let turns = sizes.len() as u64;
    assert_eq!(traffic, Traffic { sent: bytes + 4 * (turns + 1), received: bytes, turns });
    eventually("the lane's slot is free", || server.lanes_running() == 0);
}

#[test]
fn both_sides_may_send_the_crossing_allowance_first() {
    let server = serve(Limits::default());
    let mut channel = connect(&server).open_lane(lane(CROSS)).unwrap();
    channel.send(&vec![1; MAX_CROSSING_BYTES]).unwrap();
    channel.flush().unwrap();
    assert!(channel.recv_vec(MAX_CROSSING_BYTES).unwrap().iter().all(|&byte| byte == 2));
    channel.finish().unwrap();
}

#[test]
fn what_the_server_queued_at_its_end_still_arrives() {
    let server = serve(Limits::default());
    let mut channel = connect(&server).open_lane(lane(SEND_AND_END)).unwrap();
    assert_eq!(channel.recv_vec(6).unwrap(), b"result");
    assert_eq!(channel.recv_vec(1), Err(ChannelError::Closed));
    assert_eq!(channel.send(&[1]), Err(ChannelError::Closed), "a dead lane stays dead");
}

#[test]
fn unread_bytes_at_the_end_are_the_servers_fault() {
    let server = serve(Limits::default());
    let mut channel = connect(&server).open_lane(lane(SEND_AND_END)).unwrap();
    channel.recv_vec(2).unwrap();
    let error = channel.finish().unwrap_err();
    assert_eq!(error, Misbehaviour::TrailingBytes(4).into());
    assert_eq!(error.fault(), Fault::Peer);
}

#[test]
fn a_failing_handler_ends_its_lane_with_its_own_kind_of_error() {
    let server = serve(Limits::default());
    let client = connect(&server);
    let failure = |kind| {
        let mut channel = client.open_lane(lane(kind)).unwrap();
        channel.recv_vec(1).unwrap_err();
        channel.failure().cloned().unwrap()
    };
    assert_eq!(failure(ACCUSE), NetError::Rejected("check 3 failed".into()));
    let log = "the server failed; its log says why";
    assert_eq!(failure(BREAK), NetError::PeerFailed(log.into()));
    assert_eq!(failure(PANIC), NetError::PeerFailed(log.into()));
    // The server goes on.
    let mut channel = client.open_lane(lane(ECHO)).unwrap();
    assert_eq!(echo(&mut channel, b"still here"), b"still here");
}

#[test]
fn requests_that_do_not_fit_are_refused_by_name() {
    let server = serve(Limits::default());
    let client = connect(&server);
    let wrong_params = fusion_net::LaneRequest { params_version: PARAMS + 1, ..lane(ECHO) };
    assert_eq!(client.open_lane(wrong_params).unwrap_err(), NetError::Mismatch(Mismatch::ParamsVersion));
    let wrong_card = fusion_net::LaneRequest { card_digest: fusion_net::Digest::of(b"another"), ..lane(ECHO) };
    assert_eq!(client.open_lane(wrong_card).unwrap_err(), NetError::Mismatch(Mismatch::Card));
    let nothing = lane(0);
    assert_eq!(client.open_lane(nothing).unwrap_err(), NetError::Rejected("a lane with 0 samples".into()));
    assert_eq!(server.lanes_running(), 0);
}

#[test]
fn describe_tells_what_is_served() {
    let server = serve(Limits { lanes_total: 11, ..Limits::default() });
    let served = connect(&server).describe().unwrap();
    assert_eq!(&served.description.card[..], CARD);
    assert_eq!(served.card_digest, fusion_net::Digest::of(CARD));
    assert_eq!((served.description.params_version, served.limits.lanes_total), (PARAMS, 11));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let server = serve(Limits::default());
    let address = server.local_addr();
    drop(server);
    eventually("the port is closed", || std::net::TcpStream::connect(address).is_err());
    let error = fusion_net::Client::connect(settings(address)).unwrap_err();
    assert!(matches!(&error, NetError::Unreachable { address: named, .. } if *named == address.to_string()), "{error}");
}

#[test]
fn a_dropped_client_frees_its_lane_and_the_server_goes_on() {
    let server = serve(Limits { lanes_total: 2, ..Limits::default() });
    let client = connect(&server);
    for _ in 0..3 {
        let mut idle = client.open_lane(lane(ECHO)).unwrap();
        assert_eq!(echo(&mut idle, b"x"), b"x");
        let mut flooded = client.open_lane(lane(FLOOD)).unwrap();
        flooded.recv_vec(1).unwrap();
        assert_eq!(server.lanes_running(), 2);
        let started = Instant::now();
        drop(idle);
        drop(flooded);
        eventually("both lanes are free", || server.lanes_running() == 0);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_lane_whose_queues_are_all_full_ends_when_its_client_drops_it() {
    let server = serve(Limits::default());
    let settings = fusion_net::ClientSettings { idle: Duration::from_millis(300), ..settings(server.local_addr()) };
    let mut channel = fusion_net::Client::connect(settings).unwrap().open_lane(lane(FLOOD)).unwrap();
    let stuck = (0..FLOOD_BYTES >> 16).find_map(|_| channel.send(&[3; 1 << 16]).err());
    assert_eq!(stuck, Some(ChannelError::Timeout { seconds: 0 }), "nobody reads 64 MiB");
    drop(channel);
    eventually("the lane is free", || server.lanes_running() == 0);
}

#[test]
fn a_silent_server_is_a_timeout() {
    let server = serve(Limits::default());
    let idle = fusion_net::ClientSettings { idle: Duration::from_millis(300), ..settings(server.local_addr()) };
    let mut channel = fusion_net::Client::connect(idle).unwrap().open_lane(lane(ECHO)).unwrap();
    assert_eq!(channel.recv_vec(1), Err(ChannelError::Timeout { seconds: 0 }));
    drop(channel);
    eventually("the lane is free", || server.lanes_running() == 0);
}

#[test]
fn a_server_that_is_not_read_waits_and_then_finishes() {
    let server = serve(Limits::default());
    let mut channel = connect(&server).open_lane(lane(FLOOD)).unwrap();
    // Long enough for every queue on the way to fill; the flood is larger than all of them.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.lanes_running(), 1, "64 MiB cannot be in flight");
    for _ in 0..FLOOD_BYTES >> 20 {
        assert!(channel.recv_vec(1 << 20).unwrap().iter().all(|&byte| byte == 9));
    }
    assert_eq!(channel.finish().unwrap().received, FLOOD_BYTES as u64);
}

#[test]
fn shutdown_waits_for_lanes_and_then_cancels_them() {
    let server = serve(Limits::default());
    let address = server.local_addr();
    let client = connect(&server);
    let mut quick = client.open_lane(lane(ECHO)).unwrap();
    let mut stuck = client.open_lane(lane(ECHO)).unwrap();
    assert_eq!(echo(&mut stuck, b"s"), b"s");
    let shutdown = std::thread::spawn(move || server.shutdown(Duration::from_millis(1500)));
    // Whoever asks is told, so the listener stays until the lanes have ended.
    eventually("a server that drains", || client.is_serving() == Ok(false));
    // A lane within the grace period runs to its end.
    assert_eq!(echo(&mut quick, b"q"), b"q");
    quick.send(&0u32.to_le_bytes()).unwrap();
    quick.finish().unwrap();
    assert_eq!(client.open_lane(lane(ECHO)).err(), Some(NetError::ShuttingDown));
    stuck.recv_vec(1).unwrap_err();
    assert_eq!(stuck.failure(), Some(&NetError::ShuttingDown));
    assert_eq!(shutdown.join().unwrap().cancelled, 1);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn an_announced_limit_has_the_name_that_errors_carry() {
    let server = serve(Limits { samples_per_lane: 3, ..Limits::default() });
    let error = connect(&server).open_lane(lane(4)).unwrap_err();
    assert_eq!(error, NetError::Limit { limit: LimitName::SamplesPerLane, retry_after: None });
}
