//! Inputs made of those of a corpus.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Longest input, bytes: decoders of images and networks take time with their input's length, and
/// what they do wrong they do with short ones.
const LONGEST: usize = 16 << 10;

/// Values of integers at which arithmetic goes wrong.
const EDGES: [u64; 14] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 63, u64::MAX];

/// Numbers as text, for formats in which numbers are text.
const WORDS: [&str; 10] = ["0", "-1", "1", "255", "65536", "4294967295", "4294967296", "18446744073709551615", "1e999", "null"];

/// Makes inputs of a corpus, the same for the same seed.
pub struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    rng: ChaCha20Rng,
}

impl<'a> Mutator<'a> {
    /// Mutations of `corpus`.
    #[must_use]
    pub fn new(corpus: &'a [Vec<u8>], seed: u64) -> Self {
        Self { corpus, rng: ChaCha20Rng::seed_from_u64(seed) }
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..1 << self.rng.random_range(0..4) {
            self.change(&mut bytes);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn seed(&mut self) -> &'a [u8] {
        if self.corpus.is_empty() { &[] } else { &self.corpus[self.rng.random_range(0..self.corpus.len())] }
    }

    /// A range of `bytes`, short ones more often.
    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.rng.random_range(0..=bytes.len());
        let most = (bytes.len() - start).min(1 << self.rng.random_range(0..10));
        start..start + self.rng.random_range(0..=most)
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let range = self.range(bytes);
        match self.rng.random_range(0..10) {
            0 if !bytes.is_empty() => {
                let at = self.rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << self.rng.random_range(0..8);
            }
            1 => bytes[range].iter_mut().for_each(|byte| *byte = self.rng.random()),
            2 => bytes.truncate(range.start),
            3 => drop(bytes.drain(range)),
            4 => {
                let more: Vec<u8> = range.clone().map(|_| self.rng.random()).collect();
                bytes.splice(range.start..range.start, more);
            }
            5 => {
                let twice = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, twice);
            }
            6 => {
                let other = self.seed();
                let part = self.range(other);
                bytes.splice(range, other[part].iter().copied());
            }
            7 => self.varint(bytes, range.start),
            8 => self.number_of_text(bytes),
            _ => self.integer(bytes, range.start),
        }
    }

    fn edge(&mut self) -> u64 {
        EDGES[self.rng.random_range(0..EDGES.len())].wrapping_add(self.rng.random_range(0..3)).wrapping_sub(1)
    }

    /// Writes an integer over what is there.
    fn integer(&mut self, bytes: &mut [u8], at: usize) {
        let (width, little, value) = (1 << self.rng.random_range(0..4), self.rng.random(), self.edge());
        let value = if little { value.to_le_bytes() } else { (value << (64 - 8 * width)).to_be_bytes() };
        bytes[at..].iter_mut().zip(&value[..width]).for_each(|(byte, new)| *byte = *new);
    }

    /// Writes an integer in the form of protobuf in the place of a byte.
    fn varint(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let (mut value, mut form) = (self.edge(), Vec::new());
        while value > 0x7f {
            form.push(value as u8 | 0x80);
            value >>= 7;
        }
        form.push(value as u8);
        bytes.splice(at..bytes.len().min(at + 1), form);
    }

    /// Writes a number in the place of some digits.
    fn number_of_text(&mut self, bytes: &mut Vec<u8>) {
        let starts: Vec<usize> = (0..bytes.len())
            .filter(|&at| bytes[at].is_ascii_digit() && at.checked_sub(1).is_none_or(|before| !bytes[before].is_ascii_digit()))
            .collect();
        if starts.is_empty() {
            return;
        }
        let start = starts[self.rng.random_range(0..starts.len())];
        let end = bytes[start..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |length| start + length);
        bytes.splice(start..end, WORDS[self.rng.random_range(0..WORDS.len())].bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_many_and_the_same_for_a_seed() {
        let corpus = [b"{\"version\": 2, \"ranges\": [0, 9]}".to_vec(), vec![7; 300], Vec::new()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(&corpus, seed);
            (0..2000).map(|_| mutator.input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let distinct: std::collections::BTreeSet<_> = inputs(1).into_iter().collect();
        assert!(distinct.len() > 1200, "{}", distinct.len());
        assert!(distinct.iter().any(|input| input.windows(20).any(|part| part == b"18446744073709551615")));
        assert!(distinct.iter().any(|input| input.windows(10).any(|part| part == [&[0xff; 9][..], &[1]].concat())));
        assert!(Mutator::new(&[], 1).input().len() < LONGEST);
    }
}
