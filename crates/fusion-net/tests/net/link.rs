//! The relay does what it is set to, and the wire counters agree with what it carries.

use std::time::{Duration, Instant};

use crate::support::*;
use fusion_net::relay::{Link, Relay, Script, measure};
use fusion_net::{Client, Limits};
use fusion_ring::channel::Channel as _;

/// A busy machine only ever makes a link slower, so one good try of several proves the setting.
fn holds(link: Link) {
    let mut tries = Vec::new();
    for _ in 0..8 {
        let measured = measure(link, Duration::from_millis(400)).unwrap();
        let near = |mbit: f64| (mbit / link.mbit_per_second() - 1.0).abs() < 0.05;
        let late = measured.round_trip.saturating_sub(link.round_trip());
        if near(measured.mbit_up) && near(measured.mbit_down) && measured.round_trip >= link.round_trip() && late < Duration::from_millis(2)
        {
            return;
        }
        tries.push(measured);
    }
    panic!("{link}: {tries:?}");
}

#[test]
fn a_wide_area_link_has_its_rate_and_its_delay() {
    holds(Link::WAN);
}

#[test]
fn a_slow_link_has_its_rate_and_its_delay() {
    holds(Link::parse("20,5").unwrap());
}

#[test]
fn a_link_is_never_faster_than_it_is_set() {
    let server = serve(Limits::default());
    let link = Link::parse("80,60").unwrap();
    let relay = Relay::start(server.local_addr(), link, Script::default()).unwrap();
    let client = Client::connect(settings(relay.address())).unwrap();
    let mut lane = client.open_lane(lane(ECHO)).unwrap();
    let start = Instant::now();
    echo(&mut lane, b"x");
    assert!(start.elapsed() >= link.round_trip());
    // 1 MB is 0.1 s each way at 80 Mbit/s.
    let start = Instant::now();
    assert_eq!(echo(&mut lane, &noise(1_000_000)).len(), 1_000_000);
    assert!(start.elapsed() >= link.round_trip() + Duration::from_millis(200));
}

/// A question waits for the peer, which is a round trip away; bulk waits for the link, in either
/// direction.
#[test]
fn waits_are_booked_by_what_was_waited_for() {
    let server = serve(Limits::default());
    let link = Link::parse("80,60").unwrap();
    let relay = Relay::start(server.local_addr(), link, Script::default()).unwrap();
    let client = Client::connect(settings(relay.address())).unwrap();
    let mut lane = client.open_lane(lane(ECHO)).unwrap();
    echo(&mut lane, b"x");
    let question = lane.waits();
    assert!(question.peer >= link.round_trip() && question.link < link.round_trip() / 2, "{question:?}");
    let start = Instant::now();
    echo(&mut lane, &noise(8_000_000));
    let (elapsed, waits) = (start.elapsed(), lane.waits());
    // 8 MB take 0.8 s each way. Of those sent, 4 MiB wait in the lane's queue, and what the rest of
    // the stack buffers is not waited for either.
    assert!(waits.link >= question.link + Duration::from_millis(800), "{waits:?} of {elapsed:?}");
    assert!(waits.total() <= question.total() + elapsed, "{waits:?} of {elapsed:?}");
}

#[test]
fn counted_payload_is_what_the_wire_carries_up_to_framing() {
    let server = serve(Limits::default());
    let link = Link::parse("5000,0").unwrap();
    let relay = Relay::start(server.local_addr(), link, Script::default()).unwrap();
    let client = Client::connect(settings(relay.address())).unwrap();
    let mut channel = client.open_lane(lane(ECHO)).unwrap();
    let before = relay.carried();
    for len in [1_000, 100_000, 3_000_000] {
        echo(&mut channel, &noise(len));
    }
    let after = relay.carried();
    let traffic = channel.traffic();
    for (payload, wire) in [
        (traffic.sent, after.client_to_server - before.client_to_server),
        (traffic.received, after.server_to_client - before.server_to_client),
    ] {
        assert!(wire >= payload && wire < payload + payload / 100 + 4096, "{payload} payload bytes, {wire} on the wire");
    }
}

#[test]
fn one_lane_fills_a_wide_area_link() {
    let server = serve(Limits::default());
    let relay = Relay::start(server.local_addr(), Link::WAN, Script::default()).unwrap();
    let client = Client::connect(settings(relay.address())).unwrap();
    let mut channel = client.open_lane(lane(FLOOD)).unwrap();
    channel.recv_vec(4 << 20).unwrap();
    let start = Instant::now();
    channel.recv_vec(24 << 20).unwrap();
    let mbit = (24 << 20) as f64 * 8e-6 / start.elapsed().as_secs_f64();
    // The stack's own windows would give 13 Mbit/s here; half the link leaves room for a busy
    // machine.
    assert!(mbit > 200.0, "{mbit} Mbit/s");
}
