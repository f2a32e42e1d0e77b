//! Servers that go away, come back, are full or drop lanes on purpose, in a time that is made up.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const MINUTES: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(10);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Waits until a lane may begin.
fn until_it_may(pace: &Pace, now: &mut Duration, running: usize) {
    while !pace.may_begin(*now, running) {
        *now += TICK;
    }
}

#[test]
fn an_outage_of_all_lanes_is_one_and_one_lane_looks_for_the_server() {
    let mut pace = Pace::new(4, MINUTES);
    let mut now = seconds(7.0);
    let lanes: Vec<Begun> = (0..4).map(|_| pace.begin()).collect();
    assert!(!pace.may_begin(now, 4) && pace.may_begin(now, 3));
    lanes.iter().for_each(|&lane| pace.opened(now, lane));
    assert_eq!(pace.lost(now, lanes[0], 0.0), Then::Wait { at_most: MINUTES });
    assert_eq!(pace.lost(now, lanes[1], 0.0), Then::Again, "the same outage");
    assert!(!pace.may_begin(now, 2));
    assert_eq!(pace.wait(now), Some(FIRST / 2));
    until_it_may(&pace, &mut now, 2);
    let probe = pace.begin();
    assert!(!pace.may_begin(now + MINUTES, 2), "one tries");
    assert_eq!(pace.wait(now), None);
    assert_eq!(pace.lost(now, lanes[2], 0.0), Then::Again, "and is not disturbed by one that breaks late");
    assert_eq!(pace.lost(now, probe, 0.0), Then::Again);
    assert_eq!(pace.wait(now), Some(FIRST), "each wait is twice the one before");
    now += FIRST;
    let probe = pace.begin();
    pace.opened(now, probe);
    assert!(pace.may_begin(now, 1), "it is there, and the others may begin");
    let spent = pace.spent(now);
    assert!(spent >= FIRST * 3 / 2 && spent < FIRST * 2, "{spent:?}");
    assert_eq!(pace.lost(now, lanes[3], 0.0), Then::Again, "a connection of before");
    assert!(pace.may_begin(now, 1));
}

#[test]
fn patience_is_one_for_all_outages() {
    let mut pace = Pace::new(1, seconds(10.0));
    let mut now = Duration::ZERO;
    let mut left = seconds(10.0);
    for _ in 0..3 {
        let lane = pace.begin();
        pace.opened(now, lane);
        // Hours in which the server is there cost nothing.
        now += seconds(3600.0);
        pace.ended();
        assert_eq!(pace.lost(now, lane, 1.0), Then::Wait { at_most: left });
        let began = now;
        now += seconds(3.0);
        let lane = pace.begin();
        pace.opened(now, lane);
        pace.ended();
        pace.succeeded();
        left -= now - began;
    }
    let lane = pace.begin();
    assert_eq!(pace.lost(now, lane, 1.0), Then::Wait { at_most: seconds(1.0) });
    assert_eq!(pace.wait(now), Some(seconds(1.0)), "the last try is at the very end");
    now += seconds(1.0);
    let lane = pace.begin();
    assert_eq!(pace.lost(now, lane, 1.0), Then::GiveUp);
    // Whoever has none gives up at once.
    let mut pace = Pace::new(1, Duration::ZERO);
    let lane = pace.begin();
    assert_eq!(pace.lost(now, lane, 0.5), Then::GiveUp);
    // And whoever has all the time in the world does not overflow.
    let mut pace = Pace::new(1, Duration::MAX);
    let lane = pace.begin();
    assert!(matches!(pace.lost(now, lane, 0.5), Then::Wait { .. }));
}

/// The bound of `docs/threats.md`.
#[test]
fn a_server_that_drops_lanes_on_purpose_can_do_so_45_times() {
    let mut most = 0;
    for seed in 0..200u64 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut jitter = || if seed == 0 { 0.0 } else { f64::from(rng.next_u32()) / f64::from(u32::MAX) };
        let mut pace = Pace::new(8, MINUTES);
        let (mut now, mut outages, mut dropped) = (Duration::ZERO, 0, 0);
        'run: loop {
            // It lets the lane in that tries, and all others after it; then it drops all.
            until_it_may(&pace, &mut now, 0);
            let mut lanes = Vec::new();
            while pace.may_begin(now, lanes.len()) {
                let lane = pace.begin();
                pace.opened(now, lane);
                lanes.push(lane);
            }
            // Whatever it does in between is no way around it.
            if outages % 3 == 0 && lanes.len() > 1 {
                pace.succeeded();
            }
            for lane in lanes {
                pace.ended();
                match pace.lost(now, lane, jitter()) {
                    Then::GiveUp => break 'run,
                    Then::Wait { .. } => outages += 1,
                    Then::Again => {}
                }
                dropped += 1;
            }
            if outages % 2 == 0 {
                until_it_may(&pace, &mut now, 0);
                let lane = pace.begin();
                pace.refused(now, lane, Some(Duration::ZERO), 0.0);
            }
        }
        assert!(outages <= 45 && dropped <= 8 * 45, "{outages} outages, {dropped} lanes");
        most = most.max(outages);
    }
    assert_eq!(most, 45, "the bound is reached by the shortest waits");
}

#[test]
fn a_full_server_is_asked_again_by_fewer_lanes_for_as_long_as_it_serves() {
    let mut pace = Pace::new(8, seconds(10.0));
    let mut now = Duration::ZERO;
    let lanes: Vec<Begun> = (0..8).map(|_| pace.begin()).collect();
    lanes[..2].iter().for_each(|&lane| pace.opened(now, lane));
    assert_eq!(pace.refused(now, lanes[2], None, 0.0), Then::Wait { at_most: seconds(10.0) });
    lanes[3..].iter().for_each(|&lane| assert_eq!(pace.refused(now, lane, None, 0.0), Then::Again));
    assert_eq!(pace.wait(now), Some(FIRST / 2));
    now += FIRST;
    assert!(pace.may_begin(now, 3) && !pace.may_begin(now, 4), "half as many as before");
    // While it serves us it may refuse for hours, and more.
    for hour in 1..50 {
        now += seconds(3600.0);
        let lane = pace.begin();
        assert_eq!(pace.refused(now, lane, None, 0.0), Then::Again, "hour {hour}");
        assert!(pace.may_begin(now + LONGEST, 0) && !pace.may_begin(now + LONGEST, 2), "one lane is always allowed");
    }
    // Once nothing of ours runs, it may do so for as long as patience lasts.
    pace.ended();
    pace.ended();
    let began = now;
    loop {
        until_it_may(&pace, &mut now, 0);
        let lane = pace.begin();
        if pace.refused(now, lane, None, 1.0) == Then::GiveUp {
            break;
        }
    }
    assert!(now - began >= seconds(10.0) && now - began < seconds(26.0), "{:?}", now - began);
    // A lane that is served makes it patient anew, and lets more and more in.
    let lane = pace.begin();
    pace.opened(now, lane);
    pace.ended();
    pace.succeeded();
    assert!(pace.may_begin(now, 1) && !pace.may_begin(now, 2));
    (0..20).for_each(|_| pace.succeeded());
    assert!(pace.may_begin(now, 7) && !pace.may_begin(now, 8), "as many as are wanted");
    assert_eq!(pace.spent(now), Duration::ZERO, "none of this was an outage");
}

#[test]
fn a_server_says_when_to_come_back_and_not_never() {
    for (hint, at_least, below) in [(0.0, 0.25, 0.38), (2.0, 2.0, 3.01), (1e9, 60.0, 90.01)] {
        for jitter in [0.0, 0.5, 1.0] {
            let mut pace = Pace::new(2, MINUTES);
            let (served, lane) = (pace.begin(), pace.begin());
            pace.opened(Duration::ZERO, served);
            pace.refused(Duration::ZERO, lane, Some(seconds(hint)), jitter);
            let wait = pace.wait(Duration::ZERO).unwrap().as_secs_f64();
            assert!((at_least..below).contains(&wait), "{hint}: {wait}");
        }
    }
}

#[test]
fn a_lane_that_fails_otherwise_has_found_the_server() {
    let mut pace = Pace::new(2, MINUTES);
    let lane = pace.begin();
    pace.lost(Duration::ZERO, lane, 0.0);
    let now = seconds(1.0);
    let probe = pace.begin();
    pace.failed(now, probe);
    assert!(pace.may_begin(now, 0));
    assert_eq!(pace.spent(now), now);
}

#[test]
fn a_server_that_misbehaves_gets_a_moment_and_no_outage_for_nothing() {
    let mut pace = Pace::new(2, MINUTES);
    let mut now = Duration::ZERO;
    let lane = pace.begin();
    pace.misbehaved(now, lane, 1.0);
    assert_eq!(pace.wait(now), Some(FIRST));
    // Another lane that breaks meanwhile is an outage, and waited for.
    assert_eq!(pace.lost(now, lane, 1.0), Then::Wait { at_most: MINUTES });
    for _ in 0..9 {
        until_it_may(&pace, &mut now, 0);
        let lane = pace.begin();
        pace.misbehaved(now, lane, 1.0);
    }
    assert_eq!(pace.wait(now), Some(LONGEST_MOMENT));
}
