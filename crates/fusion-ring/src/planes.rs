//! Bit planes: one bit of every element of a vector, 64 elements to a word.
//!
//! Protocols on shared bits work on planes: an AND or XOR of 64 elements is one instruction, and a plane is already packed for
//! the wire. Element `i` of a plane is bit `i % 64` of word `i / 64`; bits past the last element mean nothing.
//! Every function takes time that depends on lengths only, never on the values.

use crate::pack::packed_len;

/// Words of a plane of `n` elements.
#[must_use]
pub const fn plane_words(n: usize) -> usize {
    n.div_ceil(64)
}

/// The plane of bit `bit` (0..32) of every value.
#[must_use]
pub fn plane_of_words(values: &[u32], bit: u32) -> Vec<u64> {
    values.chunks(64).map(|chunk| gather(chunk.iter().map(|&v| v >> bit))).collect()
}

/// The plane of bit 0 of every byte.
#[must_use]
pub fn plane_of_bytes(values: &[u8]) -> Vec<u64> {
    values.chunks(64).map(|chunk| gather(chunk.iter().map(|&v| u32::from(v)))).collect()
}

/// For interleaved pairs `p0 p1 p0 p1 ...`: the planes of bit `bit` of every `p0`, and of every `p0 ^ p1`.
///
/// # Panics
/// If the number of values is odd.
#[must_use]
pub fn planes_of_pairs(pairs: &[u32], bit: u32) -> (Vec<u64>, Vec<u64>) {
    assert!(pairs.len().is_multiple_of(2), "whole pairs");
    pairs
        .chunks(128)
        .map(|chunk| {
            let first = gather(chunk.chunks_exact(2).map(|p| p[0] >> bit));
            let difference = gather(chunk.chunks_exact(2).map(|p| (p[0] ^ p[1]) >> bit));
            (first, difference)
        })
        .unzip()
}

/// Bit 0 of up to 64 values as one word.
#[inline]
fn gather(values: impl Iterator<Item = u32>) -> u64 {
    values.enumerate().fold(0, |word, (i, v)| word | u64::from(v & 1) << i)
}

/// One mask per element: all ones where the plane has a one, else zero.
///
/// # Panics
/// If the plane has fewer than `n` elements.
#[must_use]
pub fn masks_of_plane(plane: &[u64], n: usize) -> Vec<u32> {
    assert!(plane.len() >= plane_words(n), "plane of {n} elements");
    let mut masks = Vec::with_capacity(n);
    for (word, len) in plane.iter().zip((0..n).step_by(64).map(|at| (n - at).min(64))) {
        masks.extend((0..len).map(|i| 0u32.wrapping_sub((word >> i) as u32 & 1)));
    }
    masks
}

/// Appends the [`packed_len`]`(n, 1)` bytes of a plane to `out`; bits past the last element are sent as zeros.
///
/// # Panics
/// If the plane has fewer than `n` elements.
pub fn pack_plane_into(out: &mut Vec<u8>, plane: &[u64], n: usize) {
    assert!(plane.len() >= plane_words(n), "plane of {n} elements");
    let (whole, rest) = (n / 64, n % 64);
    out.reserve(packed_len(n, 1));
    for word in &plane[..whole] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    if rest > 0 {
        let last = plane[whole] & ((1 << rest) - 1);
        out.extend_from_slice(&last.to_le_bytes()[..packed_len(rest, 1)]);
    }
}

/// Reads a plane of `n` elements.
///
/// # Panics
/// If `bytes` is not [`packed_len`]`(n, 1)` long: callers receive exactly that many bytes.
#[must_use]
pub fn unpack_plane(bytes: &[u8], n: usize) -> Vec<u64> {
    assert_eq!(bytes.len(), packed_len(n, 1), "packed length");
    bytes
        .chunks(8)
        .map(|chunk| {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        })
        .collect()
}

/// The plane of `n` elements of `first` followed by the elements of `second`.
///
/// # Panics
/// If `first` has fewer than `n` elements.
#[must_use]
pub fn join_planes(first: &[u64], n: usize, second: &[u64]) -> Vec<u64> {
    let mut joined = first[..plane_words(n)].to_vec();
    let shift = n % 64;
    if shift == 0 {
        joined.extend_from_slice(second);
        return joined;
    }
    if let Some(last) = joined.last_mut() {
        *last &= (1 << shift) - 1;
    }
    for &word in second {
        if let Some(last) = joined.last_mut() {
            *last |= word << shift;
        }
        joined.push(word >> (64 - shift));
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(plane: &[u64], i: usize) -> u32 {
        (plane[i / 64] >> (i % 64)) as u32 & 1
    }

    proptest! {
        #[test]
        fn planes_hold_the_bits(values in prop::collection::vec(any::<u32>(), 0..400), at in 0u32..32) {
            let plane = plane_of_words(&values, at);
            let bytes: Vec<u8> = values.iter().map(|&v| (v >> at) as u8).collect();
            prop_assert_eq!(&plane, &plane_of_bytes(&bytes));
            let masks = masks_of_plane(&plane, values.len());
            for (i, &v) in values.iter().enumerate() {
                prop_assert_eq!(bit(&plane, i), v >> at & 1);
                prop_assert_eq!(masks[i], 0u32.wrapping_sub(v >> at & 1));
            }
        }

        #[test]
        fn pairs_split(pairs in prop::collection::vec((any::<u32>(), any::<u32>()), 0..300), at in 0u32..32) {
            let flat: Vec<u32> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
            let (first, difference) = planes_of_pairs(&flat, at);
            for (i, &(a, b)) in pairs.iter().enumerate() {
                prop_assert_eq!(bit(&first, i), a >> at & 1);
                prop_assert_eq!(bit(&difference, i), (a ^ b) >> at & 1);
            }
        }

        #[test]
        fn the_wire_keeps_a_plane(values in prop::collection::vec(any::<u32>(), 0..300)) {
            let plane = plane_of_words(&values, 0);
            let mut bytes = Vec::new();
            pack_plane_into(&mut bytes, &plane, values.len());
            prop_assert_eq!(bytes.len(), packed_len(values.len(), 1));
            prop_assert_eq!(&bytes, &crate::pack::pack(&values, 1));
            prop_assert_eq!(unpack_plane(&bytes, values.len()), plane);
        }

        #[test]
        fn joined_planes_follow_each_other(a in prop::collection::vec(any::<u32>(), 0..200), b in prop::collection::vec(any::<u32>(), 0..200)) {
            let joined = join_planes(&plane_of_words(&a, 0), a.len(), &plane_of_words(&b, 0));
            let both: Vec<u32> = a.iter().chain(&b).copied().collect();
            for (i, &v) in both.iter().enumerate() {
                prop_assert_eq!(bit(&joined, i), v & 1);
            }
        }
    }
}
