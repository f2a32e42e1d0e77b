//! Who was refused for lack of room, and for how long room is kept for them.
//!
//! Without it, a client that asks again at every moment would get all that becomes free, and one
//! that waits as it was told would find nothing, ever.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::asker::{Asker, ClientId};

/// Who waits, at most, in all and of one client; the others just try again.
const WAITING: usize = 256;
const WAITING_OF_CLIENT: usize = 16;

/// How much later than told a client may come back.
const LATE: Duration = Duration::from_secs(1);

/// Bounds of what a client is told to wait.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Bounds of what is assumed before anything has ended.
const GUESSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How many of the last durations are averaged.
const AVERAGED: usize = 32;

/// How long work took that has ended lately.
#[derive(Default)]
pub(super) struct Durations(VecDeque<Duration>);

impl Durations {
    pub(super) fn note(&mut self, duration: Duration) {
        if self.0.len() == AVERAGED {
            self.0.pop_front();
        }
        self.0.push_back(duration);
    }

    /// When the first of what has run for `ages` so far can be expected to end.
    pub(super) fn until_one_ends(&self, ages: impl Iterator<Item = Duration>) -> Duration {
        let Ok(count @ 1..) = u32::try_from(self.0.len()) else {
            return ages.max().unwrap_or_default().clamp(GUESSES.0, GUESSES.1);
        };
        let mean = self.0.iter().sum::<Duration>() / count;
        // What has run for longer than the mean may end at any time.
        let left = ages.map(|age| mean.saturating_sub(age).max(mean / 8)).min();
        left.unwrap_or_default().clamp(SHORTEST, LONGEST)
    }
}

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Waiting(Vec<Waiter>);

struct Waiter {
    asker: Asker,
    bytes: u64,
    since: Instant,
    until: Instant,
}

/// Room that is kept for others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Lanes of all lanes.
    pub(super) lanes: usize,
    /// Lanes of those of the same client.
    pub(super) of_client: usize,
    /// Bytes of the memory for lanes.
    pub(super) bytes: u64,
}

impl Waiting {
    /// Somebody was told to come back after `wait`, for a lane of `bytes` bytes if that is known.
    pub(super) fn add(&mut self, asker: &Asker, bytes: u64, wait: Duration, now: Instant) {
        self.0.retain(|waiter| waiter.until > now);
        let since = self.since(asker, now);
        self.remove(asker);
        let of_client = self.0.iter().filter(|waiter| waiter.asker.client == asker.client).count();
        if self.0.len() < WAITING && of_client < WAITING_OF_CLIENT {
            self.0.push(Waiter { asker: asker.clone(), bytes, since, until: now + wait + wait / 2 + LATE });
        }
    }

    /// Somebody came and got what they wanted.
    pub(super) fn remove(&mut self, asker: &Asker) {
        self.0.retain(|waiter| waiter.asker != *asker);
    }

    /// Since when somebody waits.
    fn since(&self, asker: &Asker, now: Instant) -> Instant {
        self.0.iter().find(|waiter| waiter.until > now && waiter.asker == *asker).map_or(now, |waiter| waiter.since)
    }

    /// What `asker` must leave for those who wait and have less, or as much and have waited for
    /// longer: `lanes_of` counts the lanes of a
    /// client, or of one of its runs.
    pub(super) fn kept_from(&self, asker: &Asker, now: Instant, lanes_of: impl Fn(&ClientId, Option<&Asker>) -> usize) -> Kept {
        let mut kept = Kept::default();
        let mut clients = HashSet::new();
        let since = self.since(asker, now);
        let mine = (lanes_of(&asker.client, None), lanes_of(&asker.client, Some(asker)));
        for waiter in self.0.iter().filter(|waiter| waiter.until > now && waiter.asker != *asker) {
            let client = &waiter.asker.client;
            if *client == asker.client {
                if (lanes_of(client, Some(&waiter.asker)), waiter.since) < (mine.1, since) {
                    kept.of_client += 1;
                    kept.bytes = kept.bytes.saturating_add(waiter.bytes);
                }
            } else if (lanes_of(client, None), waiter.since) < (mine.0, since) && clients.insert(client) {
                kept.lanes += 1;
                kept.bytes = kept.bytes.saturating_add(waiter.bytes);
            }
        }
        kept.lanes += kept.of_client;
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::origin::Origin;

    #[test]
    fn a_client_is_told_to_come_back_when_something_ends() {
        let mut durations = Durations::default();
        let seconds = Duration::from_secs;
        assert_eq!(durations.until_one_ends([seconds(2), seconds(1)].into_iter()), seconds(2));
        assert_eq!(durations.until_one_ends([seconds(600)].into_iter()), GUESSES.1);
        (0..100).for_each(|_| durations.note(seconds(8)));
        assert_eq!(durations.0.len(), AVERAGED);
        assert_eq!(durations.until_one_ends([seconds(1), seconds(6)].into_iter()), seconds(2));
        assert_eq!(durations.until_one_ends([seconds(600)].into_iter()), seconds(1));
        (0..100).for_each(|_| durations.note(seconds(3600)));
        assert_eq!(durations.until_one_ends([seconds(1)].into_iter()), LONGEST);
        (0..100).for_each(|_| durations.note(Duration::ZERO));
        assert_eq!(durations.until_one_ends([seconds(1)].into_iter()), SHORTEST);
    }

    #[test]
    fn room_is_kept_for_those_who_have_less_and_not_for_ever() {
        let client = |n: u8| ClientId::Address(Origin::of([10, 0, 0, n].into()));
        let asker = |n: u8, run: u64| Asker { client: client(n), run: Some(run) };
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        waiting.add(&asker(1, 1), 5, Duration::from_secs(2), now);
        waiting.add(&asker(2, 1), 7, Duration::from_secs(2), now);
        waiting.add(&asker(2, 2), 7, Duration::from_secs(2), now);
        // Client 1 has 4 lanes, all of its run 9; client 2 has 1, of its run 1.
        let lanes_of = |of: &ClientId, run: Option<&Asker>| {
            let lanes = [(asker(1, 9), 4), (asker(2, 1), 1)];
            lanes.iter().filter(|(asker, _)| run.map_or(asker.client == *of, |run| asker == run)).map(|(_, lanes)| lanes).sum()
        };
        let kept = |asker: &Asker, now| waiting.kept_from(asker, now, lanes_of);
        // Two runs of client 2 wait, which as a client has room for one more.
        assert_eq!(kept(&asker(1, 9), now), Kept { lanes: 2, of_client: 1, bytes: 12 });
        assert_eq!(kept(&asker(2, 1), now), Kept { lanes: 1, of_client: 1, bytes: 7 });
        assert_eq!(kept(&asker(3, 1), now), Kept::default(), "who has nothing leaves nothing to who has more");
        assert_eq!(kept(&asker(1, 9), now + Duration::from_secs(5)), Kept::default());
    }

    #[test]
    fn of_two_who_have_as_much_the_one_comes_first_who_has_waited_for_longer() {
        let asker = |run: u64| Asker { client: ClientId::Address(Origin::of([10, 0, 0, 1].into())), run: Some(run) };
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let second = Duration::from_secs(1);
        waiting.add(&asker(1), 0, second, now);
        waiting.add(&asker(2), 0, second, now + second / 2);
        // Coming back does not put anybody behind.
        waiting.add(&asker(1), 0, second, now + second);
        let kept = |run: u64| waiting.kept_from(&asker(run), now + second, |_, _| 0).of_client;
        assert_eq!((kept(1), kept(2), kept(3)), (0, 1, 2));
    }

    #[test]
    fn one_address_with_many_names_keeps_little() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        for n in 0..100_000u64 {
            let client = ClientId::Address(Origin::of([10, 0, (n >> 4) as u8, 1].into()));
            waiting.add(&Asker { client, run: Some(n) }, 0, Duration::from_secs(9), now);
            if n == 9999 {
                assert!(waiting.0.len() <= WAITING);
            }
        }
        assert!(waiting.0.len() <= WAITING, "{}", waiting.0.len());
    }
}
