//! Fixed-width packing: `bits`-bit elements, least significant bit first, without gaps.
//!
//! Every message of ring elements is packed by this module, so the byte count of `n` elements of `bits` bits is
//! [`packed_len`]`(n, bits)` everywhere.

mod wide;

pub use wide::{read_wide, write_wide};

/// Bytes that `n` elements of `bits` bits take.
///
/// # Panics
/// If the size overflows `usize` (a caller's mistake: both numbers come from the plan, never from a peer).
#[must_use]
pub const fn packed_len(n: usize, bits: u32) -> usize {
    (n * bits as usize).div_ceil(8)
}

/// Low `bits` bits set.
#[must_use]
pub const fn mask32(bits: u32) -> u32 {
    if bits >= 32 { u32::MAX } else { (1 << bits) - 1 }
}

/// Elements of a block: whatever their width, a block is a whole number of 32-bit words.
const BLOCK: usize = 32;

/// Calls `$function::<BITS>` for the width at hand, so that every shift of a block is a constant.
macro_rules! by_width {
    (@widths [$($width:literal)*] $bits:expr, $function:ident $arguments:tt) => {
        match $bits {
            $($width => by_width!(@call $width $function $arguments),)*
            _ => by_width!(@call 32 $function $arguments),
        }
    };
    (@call $width:literal $function:ident ($($argument:expr),*)) => { $function::<$width>($($argument),*) };
    ($bits:expr, $function:ident $arguments:tt) => {
        by_width!(@widths [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31] $bits, $function $arguments)
    };
}

/// Appends the low `bits` bits (1..=32) of every value to `out`.
///
/// # Panics
/// If `bits` is not in 1..=32.
pub fn pack_into(out: &mut Vec<u8>, values: &[u32], bits: u32) {
    assert!((1..=32).contains(&bits), "element width {bits} is not in 1..=32");
    let start = out.len();
    out.resize(start + packed_len(values.len(), bits), 0);
    by_width!(bits, pack_blocks(&mut out[start..], values));
}

/// Packs into exactly [`packed_len`] zeroed bytes.
fn pack_blocks<const BITS: usize>(out: &mut [u8], values: &[u32]) {
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    let (whole, tail) = out.split_at_mut(blocks.len() * 4 * BITS);
    for (block, bytes) in blocks.iter().zip(whole.chunks_exact_mut(4 * BITS)) {
        let words = pack_block::<BITS>(block);
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
    let mut block = [0u32; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    for (bytes, word) in tail.chunks_mut(4).zip(pack_block::<BITS>(&block)) {
        bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
    }
}

#[inline(always)]
fn pack_block<const BITS: usize>(values: &[u32; BLOCK]) -> [u32; BITS] {
    let mut words = [0u32; BITS];
    for (i, value) in values.iter().enumerate() {
        let value = value & mask32(BITS as u32);
        let (word, shift) = (i * BITS / 32, i * BITS % 32);
        words[word] |= value << shift;
        if shift + BITS > 32 {
            words[word + 1] |= value >> (32 - shift);
        }
    }
    words
}

/// The packed bytes of `values`, see [`pack_into`].
#[must_use]
pub fn pack(values: &[u32], bits: u32) -> Vec<u8> {
    let mut out = Vec::new();
    pack_into(&mut out, values, bits);
    out
}

/// Reads `n` elements of `bits` bits (1..=32) from `bytes`.
///
/// # Panics
/// If `bits` is not in 1..=32 or `bytes` is not [`packed_len`]`(n, bits)` long: callers receive exactly that many bytes.
#[must_use]
pub fn unpack(bytes: &[u8], bits: u32, n: usize) -> Vec<u32> {
    assert!((1..=32).contains(&bits), "element width {bits} is not in 1..=32");
    assert_eq!(bytes.len(), packed_len(n, bits), "packed length");
    let mut out = vec![0u32; n];
    by_width!(bits, unpack_blocks(bytes, &mut out));
    out
}

fn unpack_blocks<const BITS: usize>(bytes: &[u8], out: &mut [u32]) {
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    let (whole, tail) = bytes.split_at(blocks.len() * 4 * BITS);
    for (block, bytes) in blocks.iter_mut().zip(whole.chunks_exact(4 * BITS)) {
        let mut words = [0u32; BITS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        *block = unpack_block::<BITS>(&words);
    }
    let mut words = [0u32; BITS];
    for (word, bytes) in words.iter_mut().zip(tail.chunks(4)) {
        let mut padded = [0u8; 4];
        padded[..bytes.len()].copy_from_slice(bytes);
        *word = u32::from_le_bytes(padded);
    }
    rest.copy_from_slice(&unpack_block::<BITS>(&words)[..rest.len()]);
}

#[inline(always)]
fn unpack_block<const BITS: usize>(words: &[u32; BITS]) -> [u32; BLOCK] {
    let mut values = [0u32; BLOCK];
    for (i, value) in values.iter_mut().enumerate() {
        let (word, shift) = (i * BITS / 32, i * BITS % 32);
        *value = words[word] >> shift;
        if shift + BITS > 32 {
            *value |= words[word + 1] << (32 - shift);
        }
        *value &= mask32(BITS as u32);
    }
    values
}

/// Appends the low `bits` bits (1..=64) of every value to `out`, in the same layout.
///
/// # Panics
/// If `bits` is not in 1..=64.
pub fn pack64_into(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, bits: u32) {
    assert!((1..=64).contains(&bits), "element width {bits} is not in 1..=64");
    let mask = u64::MAX >> (64 - bits);
    let (mut acc, mut have) = (0u128, 0u32);
    for value in values {
        acc |= u128::from(value & mask) << have;
        have += bits;
        if have >= 64 {
            out.extend_from_slice(&(acc as u64).to_le_bytes());
            acc >>= 64;
            have -= 64;
        }
    }
    let rest = (have as usize).div_ceil(8);
    out.extend_from_slice(&acc.to_le_bytes()[..rest]);
}

/// Reads elements `first..first + out.len()` of `bits` bits (1..=64) from `bytes`.
///
/// # Panics
/// If `bits` is not in 1..=64 or `bytes` ends before the last element: callers receive exactly the bytes that they ask for.
pub fn unpack64(bytes: &[u8], bits: u32, first: usize, out: &mut [u64]) {
    assert!((1..=64).contains(&bits), "element width {bits} is not in 1..=64");
    assert!(packed_len(first + out.len(), bits) <= bytes.len(), "packed length");
    let mask = u64::MAX >> (64 - bits);
    // Elements whose first byte is followed by seven more, which is all that up to 57 bits take, are one load each.
    let whole =
        if bits <= 57 { (bytes.len().saturating_sub(7) * 8).div_ceil(bits as usize).saturating_sub(first).min(out.len()) } else { 0 };
    let (near, far) = out.split_at_mut(whole);
    for (index, value) in near.iter_mut().enumerate() {
        let bit = (first + index) * bits as usize;
        let word = bytes[bit / 8..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        *value = word >> (bit % 8) & mask;
    }
    for (index, value) in far.iter_mut().enumerate() {
        let bit = (first + whole + index) * bits as usize;
        // An element and the bits before it in its first byte reach into nine bytes at most.
        let mut word = [0u8; 16];
        let rest = &bytes[bit / 8..];
        let near = rest.len().min(16);
        word[..near].copy_from_slice(&rest[..near]);
        *value = (u128::from_le_bytes(word) >> (bit % 8)) as u64 & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unpack_inverts_pack(values in prop::collection::vec(any::<u32>(), 0..300), bits in 1u32..=32) {
            let packed = pack(&values, bits);
            prop_assert_eq!(packed.len(), packed_len(values.len(), bits));
            let expect: Vec<u32> = values.iter().map(|v| v & mask32(bits)).collect();
            prop_assert_eq!(unpack(&packed, bits, values.len()), expect);
        }
    }

    proptest! {
        #[test]
        fn unpack64_inverts_pack64(values in prop::collection::vec(any::<u64>(), 0..300), bits in 1u32..=64) {
            let mut packed = Vec::new();
            pack64_into(&mut packed, values.iter().copied(), bits);
            prop_assert_eq!(packed.len(), packed_len(values.len(), bits));
            let expect: Vec<u64> = values.iter().map(|v| v & (u64::MAX >> (64 - bits))).collect();
            for first in [0, values.len() / 3, values.len()] {
                let mut got = vec![0; values.len() - first];
                unpack64(&packed, bits, first, &mut got);
                prop_assert_eq!(&got, &expect[first..]);
            }
        }

        #[test]
        fn both_packers_write_the_same_bytes(values in prop::collection::vec(any::<u32>(), 0..100), bits in 1u32..=32) {
            let mut wide = Vec::new();
            pack64_into(&mut wide, values.iter().map(|&v| u64::from(v)), bits);
            prop_assert_eq!(wide, pack(&values, bits));
        }
    }

    #[test]
    fn layout_is_least_significant_first() {
        assert_eq!(pack(&[0b101, 0b011, 0b111], 3), [0b11_011_101, 0b1]);
    }
}
