//! A server that is full: it says when to come back, whoever waits gets their part, and lanes that
//! need too much memory are not begun.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;
use fusion_net::{LimitName, Limits, NetError, Server};
use fusion_ring::channel::Channel as _;

#[test]
fn a_lane_is_admitted_by_the_memory_that_its_samples_take() {
    let (mib, buffers) = (1u64 << 20, 40u64 << 20);
    let model = || Model { sample_bytes: 10 * mib, ..Model::new(vec![]) };
    // One lane of 7 samples, or two of 1.
    let limits = Limits { memory: 110 * mib, ..Limits::default() };
    let server = Server::builder(model()).limits(limits.clone()).start(local()).unwrap();
    let client = connect(&server);
    assert_eq!((client.describe().unwrap().limits.samples_per_lane, client.models().unwrap()[0].samples_per_lane), (7, 7));
    let error = client.open_lane(lane(8)).unwrap_err();
    assert_eq!(error, NetError::LaneTooLarge { limit: LimitName::Memory, samples: 7 });
    assert!(error.to_string().contains("memory; a lane of at most 7 samples"), "{error}");
    let held = [0, 1].map(|_| client.open_lane(lane(ECHO)).unwrap());
    assert_eq!(server.counters().lane_memory, 2 * (buffers + 10 * mib));
    let full = client.open_lane(lane(ECHO)).unwrap_err();
    assert!(matches!(full, NetError::Limit { limit: LimitName::Memory, retry_after: Some(_) }), "{full}");
    assert_eq!(server.counters().refusals[&LimitName::Memory], 2);
    drop(held);
    eventually("memory is free", || client.open_lane(lane(FLOOD)).is_ok());
    let none = Server::builder(model()).limits(Limits { memory: 45 * mib, ..limits }).start(local()).unwrap_err();
    assert!(matches!(&none, NetError::Settings(text) if text.contains("memory")), "{none}");
}

/// Eight clients of one address at a server for four lanes, each as greedy as it can be: it runs
/// two lanes side by side, asks again as soon as it was told to, and takes a freed lane at once.
#[test]
fn eight_clients_of_one_address_all_get_on() {
    let server = serve(Limits { lanes_total: 4, ..Limits::default() });
    let began = Instant::now();
    let run = || {
        let client = connect(&server);
        let left = AtomicUsize::new(12);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                        one_lane(&client);
                    }
                });
            }
        });
        began.elapsed()
    };
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(last.as_secs_f64() <= 1.5 * first.as_secs_f64(), "{times:?}");
    assert_eq!(server.counters().lanes_done, 8 * 12);
}

fn one_lane(client: &fusion_net::Client) {
    loop {
        match client.open_lane(lane(ECHO)) {
            Ok(mut lane) => {
                std::thread::sleep(Duration::from_millis(60));
                assert_eq!(echo(&mut lane, b"work"), b"work");
                lane.send(&0u32.to_le_bytes()).unwrap();
                lane.finish().unwrap();
                return;
            }
            Err(NetError::Limit { retry_after: Some(wait), .. }) => std::thread::sleep(wait),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn counters_say_what_happened() {
    let server = serve(Limits::default());
    let client = connect(&server);
    let mut done = client.open_lane(lane(ECHO)).unwrap();
    echo(&mut done, &[7; 1000]);
    done.send(&0u32.to_le_bytes()).unwrap();
    done.finish().unwrap();
    drop(client.open_lane(lane(ACCUSE)).unwrap());
    drop(client.open_lane(lane(BREAK)).unwrap());
    eventually("all lanes have ended", || server.counters().lanes_failed.len() == 2);
    let counters = server.counters();
    assert_eq!((counters.lanes_begun, counters.lanes_done, counters.samples_done, counters.lanes_running), (3, 1, 1, 0));
    assert_eq!((counters.received_bytes, counters.sent_bytes), (1008, 1000));
    let failed: Vec<_> = counters.lanes_failed.iter().map(|(fault, count)| (fault.as_str(), *count)).collect();
    assert_eq!(failed, [("client", 1), ("server", 1)]);
    let ending = server.ending();
    assert_eq!(ending.failure(), None);
    drop(server);
    assert_eq!(ending.wait(), None);
}
