//! The 10-local linear code of primal LPN: every output is the sum of ten entries of the secret, at
//! public pseudorandom indices.
//!
//! The ten indices of output j are fields of words 3j, 3j + 1 and 3j + 2 of an AES-CTR stream,
//! whose key is the seed of the code, so any part of the code can be computed on its own. Indices
//! are uniform and independent; they may repeat, and two equal ones cancel.

use crate::symmetric::aes::Aes128;
use crate::symmetric::block::Block;

/// Entries of the secret per output.
pub const WEIGHT: usize = 10;

/// Outputs whose indices are computed at once.
pub const BATCH: usize = 16;
/// Blocks of the stream that hold the indices of a batch.
const STREAM: usize = BATCH / 2 * 3;

/// Bits of an index: ten of them fit 192 bits.
const FIELD: u32 = 19;

/// A code from secrets of 2^`log_len` blocks to any number of outputs.
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
        assert!(log_len <= FIELD, "secrets have at most 2^{FIELD} entries");
        Self { aes: Aes128::new(&seed), log_len }
    }

    /// Adds outputs `first`, `first + 1`, ... to `out`.
    ///
    /// # Panics
    /// If `secret` does not have 2^`log_len` entries or `first` is odd.
    pub fn encode(&self, first: u64, secret: &[Block], out: &mut [Block]) {
        let whole = out.len() / BATCH * BATCH;
        let (batches, rest) = out.split_at_mut(whole);
        let mut encoding = self.begin(first, secret, batches);
        encoding.advance_to(whole);
        for (out, &words) in rest.iter_mut().zip(words(encoding.stream())) {
            add_entries(words, secret, out);
        }
    }

    /// Writes the indices of outputs `first`, `first + 1`, ...: a row of the code's matrix each.
    ///
    /// # Panics
    /// If `first` is odd.
    pub fn indices(&self, first: u64, out: &mut [[u32; WEIGHT]]) {
        assert_eq!(first % 2, 0, "a pair of outputs shares a block of the stream");
        let mut counter = Block::from(first) / 2 * 3;
        for batch in out.chunks_mut(BATCH) {
            let mut stream = [0; STREAM];
            self.aes.counters_beside(counter, &mut stream, |_| ());
            counter += STREAM as Block;
            for (out, &words) in batch.iter_mut().zip(words(&stream)) {
                *out = offsets(words, 1 << self.log_len).map(|offset| (offset >> ENTRY) as u32);
            }
        }
    }

    /// Starts an encoding that adds outputs `first`, `first + 1`, ... to `out`, batch by batch, as
    /// the caller advances it.
    ///
    /// # Panics
    /// If `secret` does not have 2^`log_len` entries, `first` is odd or `out` is not whole batches
    /// of [`BATCH`].
    #[must_use]
    pub fn begin<'a>(&'a self, first: u64, secret: &'a [Block], out: &'a mut [Block]) -> Encoding<'a> {
        assert_eq!(first % 2, 0, "a pair of outputs shares a block of the stream");
        assert_eq!(secret.len(), 1 << self.log_len, "secret length");
        let (out, rest) = out.as_chunks_mut();
        assert!(rest.is_empty(), "whole batches");
        let mut encoding = Encoding {
            code: self,
            secret,
            out,
            batch: 0,
            prefetched: 0,
            streams: [[0; STREAM]; 2],
            second: false,
            counter: Block::from(first) / 2 * 3,
        };
        self.aes.counters_beside(encoding.counter, &mut encoding.streams[0], |_| ());
        encoding
    }
}

/// An encoding under way, see [`LocalCode::begin`].
pub struct Encoding<'a> {
    code: &'a LocalCode,
    secret: &'a [Block],
    out: &'a mut [[Block; BATCH]],
    /// Number of the next batch.
    batch: usize,
    /// How many of its outputs have had their entries prefetched.
    prefetched: usize,
    /// One has the indices of the next batch, the other is for the batch after that.
    streams: [[Block; STREAM]; 2],
    /// Whether the second one has the indices of the next batch.
    second: bool,
    counter: Block,
}

impl Encoding<'_> {
    /// Advances by one step: prefetches the entries of one more output, and encodes a batch once
    /// all of its entries have been prefetched. A step keeps the memory busy but hardly the
    /// processor, so steps between computations that leave the memory idle make the encoding
    /// faster.
    #[inline(always)]
    pub fn step(&mut self) {
        if self.prefetched == BATCH {
            self.next();
        }
        self.prefetch(self.prefetched);
        self.prefetched += 1;
    }

    /// Prefetches the entries of output `i` (modulo [`BATCH`]) of the next batch. Nothing is read,
    /// so this never waits.
    #[inline(always)]
    fn prefetch(&self, i: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            for offset in offsets(words(self.stream())[i % BATCH], self.secret.len()) {
                // SAFETY: SSE is part of x86-64; a prefetch may be given any address.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(self.secret.as_ptr().wrapping_byte_add(offset).cast()) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = i;
    }

    /// Encodes batches until the outputs below `to`, or all, are done.
    pub fn advance_to(&mut self, to: usize) {
        while self.batch < to.div_ceil(BATCH).min(self.out.len()) {
            self.next();
        }
    }

    /// All outputs; only those below the last `to` of [`Encoding::advance_to`] are sure to be done.
    #[must_use]
    pub fn outputs(&self) -> &[Block] {
        self.out.as_flattened()
    }

    /// Encodes the next batch, if there is one.
    #[inline(never)]
    fn next(&mut self) {
        let Some(batch) = self.out.get_mut(self.batch) else { return };
        self.counter += STREAM as Block;
        let [first, second] = &mut self.streams;
        let (stream, next) = if self.second { (second, first) } else { (first, second) };
        let (words, secret) = (words(stream), self.secret);
        // The sums wait for memory and the next indices for the cipher, so both together take
        // little longer than either alone.
        self.code.aes.counters_beside(self.counter, next, |i| add_entries(words[i], secret, &mut batch[i]));
        self.second ^= true;
        self.batch += 1;
        self.prefetched = 0;
    }

    #[inline(always)]
    fn stream(&self) -> &[Block; STREAM] {
        &self.streams[usize::from(self.second)]
    }
}

/// The three words of each output.
#[inline]
fn words(stream: &[Block; STREAM]) -> &[[u64; 3]; BATCH] {
    bytemuck::cast_ref(stream)
}

/// log2 of the bytes of an entry.
const ENTRY: u32 = 4;

/// The ten indices in 192 bits, as offsets in bytes into a secret of `len` entries, a power of two.
/// Each word has three fields of 19 bits; the seven bits that remain of each make the tenth.
#[inline(always)]
fn offsets(words: [u64; 3], len: usize) -> [usize; WEIGHT] {
    let [a, b, c] = words;
    let last = (a >> (57 - ENTRY) & 0x7f << ENTRY) | (b >> (50 - ENTRY) & 0x7f << (7 + ENTRY)) | (c >> (43 - ENTRY) & 0x7f << (14 + ENTRY));
    // One shift both selects the field and multiplies by the size of an entry: shifts share a port
    // with the cipher.
    let field = |word: u64| [word << ENTRY, word >> (FIELD - ENTRY), word >> (2 * FIELD - ENTRY)];
    let ([p, q, r], [s, t, u], [v, w, x]) = (field(a), field(b), field(c));
    [p, q, r, s, t, u, v, w, x, last].map(|offset| offset as usize & (len - 1) << ENTRY)
}

/// Adds to `out` the secret's entries at the indices of `words`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn add_entries(words: [u64; 3], secret: &[Block], out: &mut Block) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128};
    // The secret's length is a power of two, checked by the caller.
    let offsets = offsets(words, secret.len());
    let secret = secret.as_ptr();
    let out = std::ptr::from_mut(out);
    // SAFETY: SSE2 is part of x86-64; every offset is masked to that of an entry; `out` is a valid
    // block.
    unsafe {
        let mut sum = _mm_loadu_si128(out.cast());
        for offset in offsets {
            sum = _mm_xor_si128(sum, _mm_loadu_si128(secret.byte_add(offset).cast()));
        }
        _mm_storeu_si128(out.cast(), sum);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn add_entries(words: [u64; 3], secret: &[Block], out: &mut Block) {
    add_entries_portable(words, secret, out);
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn add_entries_portable(words: [u64; 3], secret: &[Block], out: &mut Block) {
    *out = offsets(words, secret.len()).into_iter().fold(*out, |sum, offset| sum ^ secret[offset >> ENTRY]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(log_len: u32) -> Vec<Block> {
        (0..1u128 << log_len).map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect()
    }

    proptest! {
        #[test]
        fn kernels_agree(words: [u64; 3], log_len in 0u32..12, start: u128) {
            let secret = secret(log_len);
            let (mut expect, mut got) = (start, start);
            add_entries_portable(words, &secret, &mut expect);
            add_entries(words, &secret, &mut got);
            prop_assert_eq!(got, expect);
        }

        #[test]
        fn outputs_do_not_depend_on_the_cut(cuts in prop::collection::vec(0usize..100, 0..5)) {
            let (code, secret) = (LocalCode::new([5; 16], 8), secret(8));
            let total: usize = cuts.iter().map(|c| 2 * c).sum();
            let mut whole = vec![7; total];
            code.encode(10, &secret, &mut whole);
            let mut pieces = vec![7; total];
            let mut at = 0;
            for cut in cuts {
                code.encode(10 + at as u64, &secret, &mut pieces[at..at + 2 * cut]);
                at += 2 * cut;
            }
            prop_assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn indices_are_what_an_encoding_adds() {
        let (code, secret) = (LocalCode::new([5; 16], 8), secret(8));
        let mut out = [9; 40];
        code.encode(10, &secret, &mut out);
        let mut indices = [[0; WEIGHT]; 40];
        code.indices(10, &mut indices);
        for (out, row) in out.iter().zip(indices) {
            assert_eq!(*out, row.iter().fold(9, |sum, &index| sum ^ secret[index as usize]));
        }
    }

    #[test]
    fn steps_are_the_whole_encoding() {
        let (code, secret) = (LocalCode::new([6; 16], 9), secret(9));
        let mut whole = vec![3; 5 * BATCH];
        code.encode(22, &secret, &mut whole);
        let mut out = vec![3; 5 * BATCH];
        let mut encoding = code.begin(22, &secret, &mut out);
        (0..2 * BATCH + 1).for_each(|_| encoding.step());
        assert_eq!(encoding.outputs()[..2 * BATCH], whole[..2 * BATCH]);
        encoding.advance_to(3 * BATCH + 1);
        assert_eq!(encoding.outputs()[..4 * BATCH], whole[..4 * BATCH]);
        (0..3 * BATCH).for_each(|_| encoding.step());
        assert_eq!(out, whole);
    }

    #[test]
    fn indices_are_uniform_over_the_largest_secret() {
        let code = LocalCode::new([1; 16], FIELD);
        let mut counts = [0u32; 16];
        let mut stream: Vec<Block> = (0..3 * 4096).collect();
        code.aes.encrypt(&mut stream);
        let words: &[u64] = bytemuck::cast_slice(&stream);
        for &words in words.as_chunks::<3>().0 {
            for index in offsets(words, 1 << FIELD).map(|offset| offset >> ENTRY) {
                assert!(index < 1 << FIELD);
                counts[index >> (FIELD - 4)] += 1;
            }
        }
        let expect = 8192 * WEIGHT as u32 / 16;
        assert!(counts.iter().all(|c| c.abs_diff(expect) < expect / 10), "{counts:?}");
    }

    #[test]
    fn known_answer() {
        let mut out = [0; 2];
        LocalCode::new([2; 16], 10).encode(4, &secret(10), &mut out);
        assert_eq!(out, [255683449827880954988371941015425548944, 78014885062952870039391022345085839532]);
    }
}
