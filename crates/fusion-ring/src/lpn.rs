//! The 10-local linear code of primal LPN: every output is the sum of ten table entries at public pseudorandom places.
//!
//! The places of output j are ten fields of 192 bits of the AES-CTR stream of the code's seed (words 3j, 3j + 1, 3j + 2), so any part of the code can be computed on its own. They are
//! uniform and independent; a place may repeat.

use crate::aes::{Aes128, Block};

/// Table entries per output.
pub const WEIGHT: usize = 10;

/// Outputs whose places are computed at once, and blocks of the stream that hold them.
const BATCH: usize = 16;
const STREAM: usize = BATCH / 2 * 3;

/// Bits of a field: the most that ten of them leave of 192.
const FIELD: u32 = 19;

/// A code from tables of 2^`log_len` blocks to outputs without end.
pub struct LocalCode {
    aes: Aes128,
    log_len: u32,
}

impl LocalCode {
    /// The code of a public `seed`.
    ///
    /// # Panics
    /// If `log_len` is above 19.
    #[must_use]
    pub fn new(seed: [u8; 16], log_len: u32) -> Self {
        assert!(log_len <= FIELD, "tables have at most 2^{FIELD} entries");
        Self { aes: Aes128::new(&seed), log_len }
    }

    /// Adds outputs `first`, `first + 1`, ... to `out`.
    ///
    /// # Panics
    /// If `table` does not have 2^`log_len` entries or `first` is odd.
    pub fn fold(&self, first: u64, table: &[Block], out: &mut [Block]) {
        assert_eq!(table.len(), 1 << self.log_len, "table length");
        assert_eq!(first % 2, 0, "a pair of outputs shares a block of the stream");
        let mut counter = Block::from(first) / 2 * 3;
        let (mut stream, mut next) = (&mut [0; STREAM], &mut [0; STREAM]);
        self.aes.counters_beside(counter, stream, |_| ());
        let (batches, rest) = out.as_chunks_mut::<BATCH>();
        for batch in batches {
            counter += STREAM as Block;
            let words = words(stream);
            // The sums wait for the table, the next places for the cipher: together they take little longer than either.
            self.aes.counters_beside(counter, next, |i| add_entries(words[i], table, &mut batch[i]));
            std::mem::swap(&mut stream, &mut next);
        }
        for (out, &words) in rest.iter_mut().zip(words(stream)) {
            add_entries(words, table, out);
        }
    }
}

/// The stream by outputs.
fn words(stream: &[Block; STREAM]) -> &[[u64; 3]; BATCH] {
    bytemuck::cast_ref(stream)
}

/// The ten places that 192 bits stand for, each below `mask + 1`: three fields of 19 bits per word, and one of the seven bits that each word leaves.
#[inline(always)]
fn places(words: [u64; 3], mask: usize) -> [usize; WEIGHT] {
    let [a, b, c] = words;
    let last = (a >> 57) | (b >> 57 << 7) | (c >> 57 << 14);
    [a, a >> 19, a >> 38, b, b >> 19, b >> 38, c, c >> 19, c >> 38, last].map(|place| place as usize & mask)
}

/// Adds to `out` the table's entries at the places of `words`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn add_entries(words: [u64; 3], table: &[Block], out: &mut Block) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128};
    // The table's length is a power of two, checked by the caller.
    let mask = table.len() - 1;
    let table = table.as_ptr();
    let out = std::ptr::from_mut(out);
    // SAFETY: SSE2 is part of x86-64; every place is masked to less than the table's length; `out` is a valid block.
    unsafe {
        let mut sum = _mm_loadu_si128(out.cast());
        for place in places(words, mask) {
            sum = _mm_xor_si128(sum, _mm_loadu_si128(table.add(place).cast()));
        }
        _mm_storeu_si128(out.cast(), sum);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn add_entries(words: [u64; 3], table: &[Block], out: &mut Block) {
    add_entries_portable(words, table, out);
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn add_entries_portable(words: [u64; 3], table: &[Block], out: &mut Block) {
    *out = places(words, table.len() - 1).into_iter().fold(*out, |sum, place| sum ^ table[place]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(log_len: u32) -> Vec<Block> {
        (0..1u128 << log_len).map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect()
    }

    proptest! {
        #[test]
        fn kernels_agree(words: [u64; 3], log_len in 0u32..12, start: u128) {
            let table = table(log_len);
            let (mut expect, mut got) = (start, start);
            add_entries_portable(words, &table, &mut expect);
            add_entries(words, &table, &mut got);
            prop_assert_eq!(got, expect);
        }

        #[test]
        fn outputs_do_not_depend_on_the_cut(cuts in prop::collection::vec(0usize..100, 0..5)) {
            let (code, table) = (LocalCode::new([5; 16], 8), table(8));
            let total: usize = cuts.iter().map(|c| 2 * c).sum();
            let mut whole = vec![7; total];
            code.fold(10, &table, &mut whole);
            let mut pieces = vec![7; total];
            let mut at = 0;
            for cut in cuts {
                code.fold(10 + at as u64, &table, &mut pieces[at..at + 2 * cut]);
                at += 2 * cut;
            }
            prop_assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn places_are_uniform_over_the_largest_table() {
        let code = LocalCode::new([1; 16], FIELD);
        let mut counts = [0u32; 16];
        let mut stream: Vec<Block> = (0..3 * 4096).collect();
        code.aes.encrypt(&mut stream);
        let words: &[u64] = bytemuck::cast_slice(&stream);
        for &words in words.as_chunks::<3>().0 {
            for place in places(words, (1 << FIELD) - 1) {
                assert!(place < 1 << FIELD);
                counts[place >> (FIELD - 4)] += 1;
            }
        }
        let expect = 8192 * WEIGHT as u32 / 16;
        assert!(counts.iter().all(|c| c.abs_diff(expect) < expect / 10), "{counts:?}");
    }

    #[test]
    fn known_answer() {
        let mut out = [0; 2];
        LocalCode::new([2; 16], 10).fold(4, &table(10), &mut out);
        assert_eq!(out, [255683449827880954988371941015425548944, 78014885062952870039391022345085839532]);
    }
}
