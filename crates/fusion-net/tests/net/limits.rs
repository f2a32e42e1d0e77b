//! Every limit of a server, reached on purpose: the client learns its name, and the server goes on.

use std::time::Duration;

use crate::support::raw::RawClient;
use crate::support::*;
use fusion_net::proto::{HintRequest, frame::Kind};
use fusion_net::{Client, ClientSettings, Digest, LimitName, Limits, NetError, Server};
use fusion_ring::channel::{Channel as _, ChannelError};
use tonic::Code;

fn reached(limit: LimitName) -> NetError {
    NetError::Limit { limit, retry_after: None }
}

/// A limit that is worth waiting for.
fn is_full(error: &NetError, name: LimitName) -> bool {
    matches!(error, NetError::Limit { limit, retry_after: Some(wait) } if *limit == name && *wait >= Duration::from_millis(100))
}

fn still_serves(server: &Server) {
    eventually("all lanes are free", || server.lanes_running() == 0);
    // Room is kept for a while for whoever was refused before.
    let client = connect(server);
    let mut lane = Err(NetError::Closed);
    eventually("there is room", || {
        lane = client.open_lane(crate::support::lane(ECHO));
        lane.is_ok()
    });
    assert_eq!(echo(&mut lane.unwrap(), b"on"), b"on");
}

#[test]
fn lanes_in_total() {
    let server = serve(Limits { lanes_total: 2, ..Limits::default() });
    let client = connect(&server);
    let held = [0, 1].map(|_| client.open_lane(lane(ECHO)).unwrap());
    assert!(is_full(&client.open_lane(lane(ECHO)).unwrap_err(), LimitName::LanesTotal));
    drop(held);
    still_serves(&server);
}

#[test]
fn lanes_per_client() {
    let server = serve(Limits { lanes_per_client: 1, ..Limits::default() });
    let client = connect(&server);
    let held = client.open_lane(lane(ECHO)).unwrap();
    // Another connection from the same address is the same client.
    assert!(is_full(&connect(&server).open_lane(lane(ECHO)).unwrap_err(), LimitName::LanesPerClient));
    drop(held);
    still_serves(&server);
}

#[test]
fn a_lane_that_never_opens_is_counted_and_ended() {
    let server = serve(Limits { lanes_total: 1, idle: Duration::from_millis(800), ..Limits::default() });
    let raw = RawClient::connect(server.local_addr());
    let silent = raw.lane_open_ended(vec![]);
    eventually("the silent lane counts", || server.lanes_running() == 1);
    assert!(is_full(&connect(&server).open_lane(lane(ECHO)).unwrap_err(), LimitName::LanesTotal));
    let status = silent.join().unwrap();
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "idle_seconds".into()));
    still_serves(&server);
}

fn reason(status: &tonic::Status) -> String {
    status.metadata().get("fusion-reason").map(|value| value.to_str().unwrap().to_string()).unwrap_or_default()
}

#[test]
fn bytes_per_lane() {
    let server = serve(Limits { bytes_per_lane: 1 << 20, ..Limits::default() });
    let mut channel = connect(&server).open_lane(lane(ECHO)).unwrap();
    // Exactly the limit passes: length, bytes and echo together.
    let data = noise((1 << 19) - 4);
    assert!(echo(&mut channel, &data) == data);
    channel.send(&5u32.to_le_bytes()).unwrap();
    assert_eq!(channel.recv_vec(5), Err(ChannelError::Limit { limit: "bytes_per_lane" }));
    assert_eq!(channel.failure(), Some(&reached(LimitName::BytesPerLane)));
    still_serves(&server);
}

#[test]
fn a_clients_own_bytes_per_lane() {
    let server = serve(Limits::default());
    let settings = ClientSettings { bytes_per_lane: 1000, ..settings(server.local_addr()) };
    let mut channel = Client::connect(settings).unwrap().open_lane(lane(FLOOD)).unwrap();
    channel.recv_vec(1000).unwrap();
    assert_eq!(channel.recv_vec(1), Err(ChannelError::Limit { limit: "bytes_per_lane" }));
    drop(channel);
    still_serves(&server);
}

#[test]
fn bytes_of_one_message() {
    let server = serve(Limits { message_bytes: 1 << 20, ..Limits::default() });
    let raw = RawClient::connect(server.local_addr());
    let big = raw.frame(Kind::Payload(vec![0; 1 << 20].into()));
    let status = raw.lane(vec![raw.open(ECHO), big]);
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "message_bytes".into()));
    still_serves(&server);
}

#[test]
fn silence() {
    let server = serve(Limits { idle: Duration::from_millis(600), ..Limits::default() });
    let mut channel = connect(&server).open_lane(lane(ECHO)).unwrap();
    channel.recv_vec(1).unwrap_err();
    assert_eq!(channel.failure(), Some(&reached(LimitName::Idle)));
    still_serves(&server);
}

#[test]
fn a_server_whose_client_does_not_read() {
    let server = serve(Limits { idle: Duration::from_millis(600), ..Limits::default() });
    let _unread = connect(&server).open_lane(lane(FLOOD)).unwrap();
    eventually("the lane began", || server.lanes_running() == 1);
    still_serves(&server);
}

#[test]
fn time_of_a_lane() {
    let server = serve(Limits { lane: Duration::from_millis(1500), ..Limits::default() });
    let mut channel = connect(&server).open_lane(lane(ECHO)).unwrap();
    let error = loop {
        let sent = channel.send(&1u32.to_le_bytes()).and_then(|()| channel.send(&[1]));
        if let Err(error) = sent.and_then(|()| channel.recv_vec(1)) {
            break error;
        }
    };
    assert_eq!(error, ChannelError::Limit { limit: "lane_seconds" });
    still_serves(&server);
}

#[test]
fn hints_in_total() {
    let hint = vec![1; 48 << 20];
    let digest = Digest::of(&hint);
    let server = Server::builder(Model::new(hint)).limits(Limits { hints_total: 1, ..Limits::default() }).start(local()).unwrap();
    let raw = RawClient::connect(server.local_addr());
    let request = HintRequest { digest: digest.as_bytes().to_vec().into(), offset: 0 };
    let unread = raw.hint(request.clone()).unwrap();
    let status = raw.hint(request.clone()).err().unwrap();
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "hints_total".into()));
    drop(unread);
    eventually("the slot is free", || raw.hint(request.clone()).is_ok());
}

#[test]
fn connections_in_total() {
    let server = serve(Limits { connections_total: 2, connections_reserved: 0, ..Limits::default() });
    let client = connect(&server);
    // The client's first connection does nothing, and makes room.
    let held = [0, 1].map(|_| client.open_lane(lane(ECHO)).unwrap());
    let error = client.open_lane(lane(ECHO)).unwrap_err();
    assert_eq!(error.fault(), fusion_net::Fault::Network, "{error}");
    drop(held);
    eventually("the connection is free", || client.open_lane(lane(ECHO)).is_ok());
}
