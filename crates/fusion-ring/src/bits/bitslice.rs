//! Bit slices: one bit of every element of a vector, 64 elements to a word.
//!
//! Protocols on shared bits work on bitslices: an AND or XOR of 64 elements is one instruction, and
//! a bitslice is already packed for the wire. Element `i` of a bitslice is bit `i % 64` of word `i
//! / 64`; bits past the last element mean nothing. Every function takes time that depends on
//! lengths only, never on the values.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::bits::pack::packed_len;
use crate::secret::Wiped;
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::{self, Tier};

/// Elements to a word of a bitslice.
pub(crate) const BLOCK: usize = 64;

/// One mask per element of a word: all ones where the bit is set, else zero. Inlined into kernels,
/// so that the compiler vectorises it for their tier.
#[inline(always)]
pub(crate) fn masks(word: u64) -> [u32; BLOCK] {
    // Two words of 32 bits, so that the shift fits a 32-bit lane.
    let halves = [word as u32, (word >> 32) as u32];
    std::array::from_fn(|i| 0u32.wrapping_sub(halves[i / 32] >> (i % 32) & 1))
}

/// Words of a bitslice of `n` elements.
#[must_use]
pub(crate) const fn bitslice_words(n: usize) -> usize {
    n.div_ceil(64)
}

/// The bitslice of bit `bit` of every value.
///
/// # Panics
/// If `bit` is not below 32.
#[must_use]
pub fn bitslice_of_words(values: &[u32], bit: u32) -> Wiped<u64> {
    bitslice_of_words_with(simd::tier(), values, bit)
}

fn bitslice_of_words_with(tier: Tier, values: &[u32], bit: u32) -> Wiped<u64> {
    assert!(bit < 32, "bit of a 32-bit word");
    let mut bitslice = Wiped::new(bitslice_words(values.len()));
    #[cfg(target_arch = "x86_64")]
    let done = match tier.level() {
        // SAFETY: the token proves that the CPU has AVX-512 F.
        Level::Avx512 | Level::Avx512Vnni => unsafe { x86::words_avx512(values, bit, &mut bitslice) },
        // SAFETY: the token proves that the CPU has AVX2.
        Level::Avx2 | Level::AvxVnni => unsafe { x86::words_avx2(values, bit, &mut bitslice) },
        Level::Portable => 0,
    };
    #[cfg(not(target_arch = "x86_64"))]
    let (done, _) = (0, tier);
    for (chunk, word) in values.chunks(64).zip(bitslice.iter_mut()).skip(done) {
        *word = gather(chunk.iter().map(|&v| v >> bit));
    }
    bitslice
}

/// The bitslice of bit 0 of every byte.
#[must_use]
pub fn bitslice_of_bytes(values: &[u8]) -> Wiped<u64> {
    bitslice_of_byte_bits(values, 0)
}

/// The bitslice of bit `bit` of every byte.
///
/// # Panics
/// If `bit` is not below 8.
#[must_use]
pub fn bitslice_of_byte_bits(values: &[u8], bit: u32) -> Wiped<u64> {
    bitslice_of_bytes_with(simd::tier(), values, bit)
}

fn bitslice_of_bytes_with(tier: Tier, values: &[u8], bit: u32) -> Wiped<u64> {
    assert!(bit < 8, "bit of a byte");
    let mut bitslice = Wiped::new(bitslice_words(values.len()));
    #[cfg(target_arch = "x86_64")]
    let done = match tier.level() {
        // SAFETY: the token proves that the CPU has AVX-512 F and BW.
        Level::Avx512 | Level::Avx512Vnni => unsafe { x86::bytes_avx512(values, bit, &mut bitslice) },
        // SAFETY: the token proves that the CPU has AVX2.
        Level::Avx2 | Level::AvxVnni => unsafe { x86::bytes_avx2(values, bit, &mut bitslice) },
        Level::Portable => 0,
    };
    #[cfg(not(target_arch = "x86_64"))]
    let (done, _) = (0, tier);
    for (chunk, word) in values.chunks(64).zip(bitslice.iter_mut()).skip(done) {
        *word = gather(chunk.iter().map(|&v| u32::from(v >> bit)));
    }
    bitslice
}

/// Packs bit 0 of up to 64 values into one word.
#[inline]
fn gather(values: impl Iterator<Item = u32>) -> u64 {
    values.enumerate().fold(0, |word, (i, v)| word | u64::from(v & 1) << i)
}

/// Appends the [`packed_len`]`(n, 1)` bytes of a bitslice to `out`; bits past the last element are
/// sent as zeros.
///
/// # Panics
/// If the bitslice has fewer than `n` elements.
pub fn pack_bitslice_into(out: &mut Wiped<u8>, bitslice: &[u64], n: usize) {
    assert!(bitslice.len() >= bitslice_words(n), "bitslice of {n} elements");
    let start = out.len();
    out.resize(start + packed_len(n, 1));
    for (bytes, word) in out[start..].chunks_mut(8).zip(bitslice) {
        bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
    }
    if let Some(last) = out[start..].last_mut().filter(|_| !n.is_multiple_of(8)) {
        *last &= (1 << (n % 8)) - 1;
    }
}

/// Reads a bitslice of `n` elements.
///
/// # Panics
/// If `bytes` is not [`packed_len`]`(n, 1)` long: callers receive exactly that many bytes.
#[must_use]
pub fn unpack_bitslice(bytes: &[u8], n: usize) -> Wiped<u64> {
    assert_eq!(bytes.len(), packed_len(n, 1), "packed length");
    Wiped::filled(
        bitslice_words(n),
        bytes.chunks(8).map(|chunk| {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        }),
    )
}

/// The bitslice of `n` elements of `first` followed by the elements of `second`.
///
/// # Panics
/// If `first` has fewer than `n` elements.
#[must_use]
pub fn join_bitslices(first: &[u64], n: usize, second: &[u64]) -> Wiped<u64> {
    let (whole, shift) = (n / 64, n % 64);
    let mut joined = Wiped::new(bitslice_words(n) + second.len());
    joined[..bitslice_words(n)].copy_from_slice(&first[..bitslice_words(n)]);
    if shift == 0 {
        joined[whole..].copy_from_slice(second);
        return joined;
    }
    joined[whole] &= (1 << shift) - 1;
    for (at, &word) in (whole..).zip(second) {
        joined[at] |= word << shift;
        joined[at + 1] = word >> (64 - shift);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bitslice: &[u64], i: usize) -> u32 {
        (bitslice[i / 64] >> (i % 64)) as u32 & 1
    }

    proptest! {
        #[test]
        fn bitslices_hold_the_bits(values in prop::collection::vec(any::<u32>(), 0..400), at in 0u32..32) {
            let bitslice = bitslice_of_words(&values, at).to_vec();
            let byte_bit = at % 8;
            let bytes: Vec<u8> = values.iter().map(|&v| ((v >> at) as u8).rotate_left(byte_bit)).collect();
            for tier in simd::available() {
                prop_assert_eq!(&bitslice_of_words_with(tier, &values, at)[..], &bitslice, "{}", tier.name());
                prop_assert_eq!(&bitslice_of_bytes_with(tier, &bytes, byte_bit)[..], &bitslice, "{}", tier.name());
            }
            for (i, &v) in values.iter().enumerate() {
                prop_assert_eq!(bit(&bitslice, i), v >> at & 1);
            }
        }

        #[test]
        fn the_wire_keeps_a_bitslice(values in prop::collection::vec(any::<u32>(), 0..300)) {
            let bitslice = bitslice_of_words(&values, 0);
            let mut bytes = Wiped::default();
            pack_bitslice_into(&mut bytes, &bitslice, values.len());
            prop_assert_eq!(bytes.len(), packed_len(values.len(), 1));
            prop_assert_eq!(&bytes[..], &crate::bits::pack::pack(&values, 1)[..]);
            prop_assert_eq!(&unpack_bitslice(&bytes, values.len())[..], &bitslice[..]);
        }

        #[test]
        fn joined_bitslices_follow_each_other(a in prop::collection::vec(any::<u32>(), 0..200), b in prop::collection::vec(any::<u32>(), 0..200)) {
            let joined = join_bitslices(&bitslice_of_words(&a, 0), a.len(), &bitslice_of_words(&b, 0));
            let both: Vec<u32> = a.iter().chain(&b).copied().collect();
            for (i, &v) in both.iter().enumerate() {
                prop_assert_eq!(bit(&joined, i), v & 1);
            }
        }
    }
}
