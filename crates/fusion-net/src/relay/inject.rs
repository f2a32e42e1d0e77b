//! Applies the faults of one direction of one connection to its bytes.

use std::collections::VecDeque;
use std::time::Duration;

use super::rewrite::{FRAME_HEADER, rewritten, rewritten_frame};
use super::script::{Action, Fault, Position};

/// A client opens an HTTP/2 connection with these bytes, which are no frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA_FRAME: u8 = 0;

/// What the relay does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends bytes on.
    Pass(Vec<u8>),
    /// Waits; `None` is for ever.
    Wait(Option<Duration>),
    /// Ends this direction in order.
    End,
    /// Cuts both directions.
    Cut,
}

/// Faults at messages, then faults at bytes of what they leave.
pub(super) struct Injector {
    messages: MessageFaults,
    bytes: ByteFaults,
}

impl Injector {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        let mut messages = Vec::new();
        let mut bytes = Vec::new();
        for Fault { position, action, .. } in faults {
            match position {
                Position::Message(number) => messages.push((number, action)),
                Position::Byte(offset) => bytes.push((offset, action)),
            }
        }
        bytes.sort_by_key(|(offset, _)| *offset);
        Self {
            messages: MessageFaults { faults: messages, ..MessageFaults::default() },
            bytes: ByteFaults { faults: bytes.into(), ..ByteFaults::default() },
        }
    }

    /// Faults that have happened.
    pub(super) fn fired(&self) -> u64 {
        self.messages.fired + self.bytes.fired
    }

    /// What to do with bytes that arrived.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) -> Vec<Step> {
        let steps = if self.messages.faults.is_empty() { vec![Step::Pass(bytes)] } else { self.messages.feed(&bytes) };
        self.through_bytes(steps)
    }

    /// What to do at the end of the stream.
    pub(super) fn end(&mut self) -> Vec<Step> {
        let rest = self.messages.end();
        let mut steps = self.through_bytes(rest);
        self.bytes.end(&mut steps);
        steps
    }

    fn through_bytes(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let mut done = Vec::new();
        for step in steps {
            match step {
                Step::Pass(bytes) => self.bytes.feed(&bytes, &mut done),
                Step::Wait(_) | Step::End | Step::Cut => done.push(step),
            }
        }
        done
    }
}

#[derive(Default)]
struct ByteFaults {
    /// In order of their offsets.
    faults: VecDeque<(u64, Action)>,
    offset: u64,
    dropping: u64,
    /// Length of two neighbouring blocks, and what has arrived of them.
    swapping: Option<(usize, Vec<u8>)>,
    dead: bool,
    fired: u64,
}

impl ByteFaults {
    fn feed(&mut self, mut bytes: &[u8], steps: &mut Vec<Step>) {
        while !bytes.is_empty() && !self.dead {
            if self.dropping > 0 {
                let n = bytes.len().min(usize::try_from(self.dropping).unwrap_or(usize::MAX));
                self.dropping -= n as u64;
                bytes = self.advance(bytes, n).1;
            } else if let Some((block, mut held)) = self.swapping.take() {
                let (now, later) = self.advance(bytes, bytes.len().min(2 * block - held.len()));
                held.extend_from_slice(now);
                bytes = later;
                if held.len() == 2 * block {
                    held.rotate_left(block);
                    steps.push(Step::Pass(held));
                } else {
                    self.swapping = Some((block, held));
                }
            } else {
                let until = self.faults.front().map_or(u64::MAX, |(at, _)| at.saturating_sub(self.offset));
                let (now, later) = self.advance(bytes, bytes.len().min(usize::try_from(until).unwrap_or(usize::MAX)));
                bytes = later;
                if !now.is_empty() {
                    steps.push(Step::Pass(now.to_vec()));
                }
                // A fault needs a byte to happen at.
                if !bytes.is_empty()
                    && let Some((_, action)) = self.faults.pop_front()
                {
                    bytes = self.act(action, bytes, steps);
                }
            }
        }
    }

    fn advance<'a>(&mut self, bytes: &'a [u8], n: usize) -> (&'a [u8], &'a [u8]) {
        self.offset += n as u64;
        bytes.split_at(n)
    }

    fn act<'a>(&mut self, action: Action, bytes: &'a [u8], steps: &mut Vec<Step>) -> &'a [u8] {
        self.fired += 1;
        match action {
            Action::Drop(n) => self.dropping = n,
            Action::Reorder(n) => self.swapping = usize::try_from(n).ok().filter(|n| (1..1 << 30).contains(n)).map(|n| (n, Vec::new())),
            Action::Stall(time) => steps.push(Step::Wait(time)),
            Action::Corrupt => {
                let (hit, rest) = self.advance(bytes, 1);
                steps.push(Step::Pass(vec![!hit[0]]));
                return rest;
            }
            Action::Truncate | Action::Disconnect => {
                self.dead = true;
                steps.push(if action == Action::Truncate { Step::End } else { Step::Cut });
            }
            Action::Zero | Action::Noise | Action::Shorten | Action::Lengthen | Action::Repeat => {
                let (hit, rest) = self.advance(bytes, 1);
                steps.push(Step::Pass(rewritten(hit, action)));
                return rest;
            }
        }
        bytes
    }

    fn end(&mut self, steps: &mut Vec<Step>) {
        if let Some((_, held)) = self.swapping.take() {
            steps.push(Step::Pass(held));
        }
    }
}

#[derive(Default)]
struct MessageFaults {
    faults: Vec<(u64, Action)>,
    /// The beginning of a frame whose end has not arrived.
    partial: Vec<u8>,
    begun: bool,
    number: u64,
    /// A message that waits to pass after the next.
    delayed: Option<Vec<u8>>,
    dead: bool,
    fired: u64,
}

impl MessageFaults {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        self.partial.extend_from_slice(bytes);
        while let Some(len) = self.next_len() {
            if self.dead || self.partial.len() < len {
                break;
            }
            let frame: Vec<u8> = self.partial.drain(..len).collect();
            let is_message = self.begun && frame[3] == DATA_FRAME && len > FRAME_HEADER;
            self.begun = true;
            if is_message {
                self.message(frame, &mut steps);
            } else {
                steps.push(Step::Pass(frame));
            }
        }
        if self.dead {
            self.partial.clear();
        }
        steps
    }

    /// Length of the unit that `partial` begins with, if enough of it is there to tell.
    fn next_len(&mut self) -> Option<usize> {
        if !self.begun {
            let shared = self.partial.len().min(PREFACE.len());
            if self.partial[..shared] == PREFACE[..shared] {
                return Some(PREFACE.len());
            }
            self.begun = true;
        }
        let header = self.partial.get(..FRAME_HEADER)?;
        Some(FRAME_HEADER + usize::from(header[0]) * 65_536 + usize::from(header[1]) * 256 + usize::from(header[2]))
    }

    fn message(&mut self, mut frame: Vec<u8>, steps: &mut Vec<Step>) {
        let number = self.number;
        self.number += 1;
        let action = self.faults.iter().find(|(at, _)| *at == number).map(|(_, action)| *action);
        self.fired += u64::from(action.is_some());
        let delayed = self.delayed.take();
        match action {
            None => steps.push(Step::Pass(frame)),
            Some(Action::Drop(_)) => {}
            Some(Action::Reorder(_)) => self.delayed = Some(frame),
            Some(Action::Stall(time)) => steps.extend([Step::Wait(time), Step::Pass(frame)]),
            Some(Action::Corrupt) => {
                if let Some(last) = frame.last_mut() {
                    *last = !*last;
                }
                steps.push(Step::Pass(frame));
            }
            Some(Action::Repeat) => steps.extend([Step::Pass(frame.clone()), Step::Pass(frame)]),
            Some(action @ (Action::Zero | Action::Noise | Action::Shorten | Action::Lengthen)) => {
                steps.push(Step::Pass(rewritten_frame(&frame, action)));
            }
            Some(Action::Truncate) => {
                frame.truncate(frame.len() / 2);
                steps.extend([Step::Pass(frame), Step::End]);
                self.dead = true;
            }
            Some(Action::Disconnect) => {
                steps.push(Step::Cut);
                self.dead = true;
            }
        }
        steps.extend(delayed.map(Step::Pass));
    }

    fn end(&mut self) -> Vec<Step> {
        let rest = [self.delayed.take(), Some(std::mem::take(&mut self.partial))];
        rest.into_iter().flatten().filter(|bytes| !bytes.is_empty() && !self.dead).map(Step::Pass).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::script::Script;

    fn run(script: &str, pieces: &[&[u8]]) -> (Vec<Step>, u64) {
        let mut injector = Injector::new(Script::parse(script).unwrap().faults);
        let mut steps: Vec<Step> = pieces.iter().flat_map(|piece| injector.feed(piece.to_vec())).collect();
        steps.extend(injector.end());
        // Neighbouring bytes are one run: the cut means nothing.
        let mut merged: Vec<Step> = Vec::new();
        for step in steps {
            match (merged.last_mut(), step) {
                (Some(Step::Pass(before)), Step::Pass(now)) => before.extend(now),
                (_, step) => merged.push(step),
            }
        }
        (merged, injector.fired())
    }

    fn pass(bytes: &[u8]) -> Step {
        Step::Pass(bytes.to_vec())
    }

    #[test]
    fn byte_faults_do_what_they_say_wherever_the_cuts_are() {
        let wait = Step::Wait(Some(Duration::from_millis(9)));
        let cases: [(&str, Vec<Step>); 12] = [
            ("", vec![pass(b"0123456789")]),
            ("0 c2s byte 3 drop 4", vec![pass(b"012789")]),
            ("0 c2s byte 3 corrupt", vec![pass(b"012\xcc456789")]),
            ("0 c2s byte 3 stall 9", vec![pass(b"012"), wait, pass(b"3456789")]),
            ("0 c2s byte 3 truncate", vec![pass(b"012"), Step::End]),
            ("0 c2s byte 0 disconnect", vec![Step::Cut]),
            ("0 c2s byte 1 reorder 3", vec![pass(b"0456123789")]),
            ("0 c2s byte 3 zero", vec![pass(b"012\x00456789")]),
            ("0 c2s byte 3 shorten", vec![pass(b"012456789")]),
            ("0 c2s byte 3 repeat", vec![pass(b"01233456789")]),
            ("0 c2s byte 8 reorder 3", vec![pass(b"0123456789")]),
            ("0 c2s byte 7 drop; 0 c2s byte 1 drop 2", vec![pass(b"0345689")]),
        ];
        for (script, expected) in cases {
            let whole: &[&[u8]] = &[b"0123456789"];
            let cut: Vec<&[u8]> = b"0123456789".chunks(1).collect();
            for pieces in [whole, &[b"0123", b"456789"], &cut] {
                let (steps, fired) = run(script, pieces);
                assert_eq!(steps, expected, "{script}");
                assert_eq!(fired, script.matches("c2s").count() as u64, "{script}");
            }
        }
        assert_eq!(run("0 c2s byte 10 drop", &[b"0123456789"]), (vec![pass(b"0123456789")], 0));
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn message_faults_count_data_frames_only() {
        let parts = [PREFACE.to_vec(), frame(4, b"settings"), frame(0, b"zero"), frame(8, b"win"), frame(0, b"one"), frame(0, b"two")];
        let stream = parts.concat();
        let without =
            |dropped: usize| parts.iter().enumerate().filter(|(i, _)| *i != dropped).flat_map(|(_, part)| part.clone()).collect::<Vec<_>>();
        let mut corrupted = stream.clone();
        let last = parts[..5].concat().len() - 1;
        corrupted[last] = !corrupted[last];
        let swapped = [&parts[..2].concat()[..], &parts[3], &parts[4], &parts[2], &parts[5]].concat();
        let cases = [
            ("0 c2s message 0 drop", vec![Step::Pass(without(2))]),
            ("0 c2s message 1 drop", vec![Step::Pass(without(4))]),
            ("0 c2s message 1 corrupt", vec![Step::Pass(corrupted)]),
            ("0 c2s message 0 reorder", vec![Step::Pass(swapped)]),
            ("0 c2s message 2 stall", vec![Step::Pass(parts[..5].concat()), Step::Wait(None), Step::Pass(parts[5].clone())]),
            ("0 c2s message 2 disconnect", vec![Step::Pass(parts[..5].concat()), Step::Cut]),
            ("0 c2s message 0 truncate", vec![Step::Pass([&parts[..2].concat()[..], &parts[2][..6]].concat()), Step::End]),
        ];
        for (script, expected) in cases {
            let cut: Vec<&[u8]> = stream.chunks(1).collect();
            for pieces in [&[&stream[..]][..], &cut] {
                assert_eq!(run(script, pieces), (expected.clone(), 1), "{script}");
            }
        }
        assert_eq!(run("0 c2s message 3 drop", &[&stream]), (vec![Step::Pass(stream.clone())], 0));
    }
}
