//! Fixed-width packing: `bits`-bit elements, least significant bit first, without gaps.
//!
//! Every message of ring elements is packed by this module, so the byte count of `n` elements of
//! `bits` bits is [`packed_len`]`(n, bits)` everywhere.

use crate::secret::Wiped;

/// Bytes that `n` elements of `bits` bits take.
///
/// # Panics
/// If the size overflows `usize` (a caller's mistake: both numbers come from the plan, never from a
/// peer).
#[must_use]
pub const fn packed_len(n: usize, bits: u32) -> usize {
    n.checked_mul(bits as usize).expect("packed length").div_ceil(8)
}

/// Low `bits` bits set.
#[must_use]
pub const fn mask32(bits: u32) -> u32 {
    if bits >= 32 { u32::MAX } else { (1 << bits) - 1 }
}

/// Bytes of room that a message needs beyond its end while it is packed, because the last words are
/// written whole.
pub const SLACK: usize = 8;

/// Widest elements that are packed two at a time: both of them and up to seven earlier bits of
/// their first byte fit a word.
const PAIRED: u32 = 28;

/// Appends the low `bits` bits (1..=32) of every value to `out`. Needs room for [`SLACK`] more
/// bytes on the way.
///
/// # Panics
/// If `bits` is not in 1..=32.
pub fn pack_into(out: &mut Wiped<u8>, values: &[u32], bits: u32) {
    assert!((1..=32).contains(&bits), "element width {bits} is not in 1..=32");
    let start = out.len();
    let end = start + packed_len(values.len(), bits);
    out.resize(end + SLACK);
    let low = |value: u32| u64::from(value & mask32(bits));
    // Eight elements are whole bytes, so every group starts at a byte and has its elements at the
    // same offsets.
    let (groups, rest) = values.as_chunks::<8>();
    for (group, at) in groups.iter().zip((start..).step_by(bits as usize)) {
        let mut writer = Writer { out: &mut out[at..at + bits as usize + 8], bit: 0, begun: 0 };
        if bits <= PAIRED {
            for pair in group.as_chunks::<2>().0 {
                writer.put(low(pair[0]) | low(pair[1]) << bits, 2 * bits);
            }
        } else {
            group.iter().for_each(|&value| writer.put(low(value), bits));
        }
    }
    let mut writer = Writer { out: &mut out[start + groups.len() * bits as usize..], bit: 0, begun: 0 };
    rest.iter().for_each(|&value| writer.put(low(value), bits));
    out.resize(end);
}

/// The place of the next bits.
struct Writer<'a> {
    out: &'a mut [u8],
    bit: usize,
    /// Bits of the byte that is not complete yet.
    begun: u64,
}

impl Writer<'_> {
    /// Writes `bits` bits, at most 57, without a branch on their position.
    #[inline(always)]
    fn put(&mut self, value: u64, bits: u32) {
        let word = self.begun | value << (self.bit % 8);
        let at = self.bit / 8;
        self.out[at..at + 8].copy_from_slice(&word.to_le_bytes());
        self.bit += bits as usize;
        // What is left of an incomplete byte. At most 57 + 7 = 64 bits are in the word; all 64 are
        // eight complete bytes, and a shift by 64 has to give zero.
        self.begun = word.checked_shr(8 * (self.bit / 8 - at) as u32).unwrap_or(0);
    }
}

/// The packed bytes of `values`, see [`pack_into`].
#[must_use]
pub fn pack(values: &[u32], bits: u32) -> Wiped<u8> {
    let mut out = Wiped::default();
    pack_into(&mut out, values, bits);
    out
}

/// Reads `n` elements of `bits` bits (1..=32) from `bytes`.
///
/// # Panics
/// If `bits` is not in 1..=32 or `bytes` is not [`packed_len`]`(n, bits)` long: callers receive
/// exactly that many bytes.
#[must_use]
pub fn unpack(bytes: &[u8], bits: u32, n: usize) -> Wiped<u32> {
    let mut out = Wiped::new(n);
    unpack_into(bytes, bits, &mut out);
    out
}

/// As [`unpack`], as many elements as `out` has room for.
///
/// # Panics
/// As [`unpack`].
pub fn unpack_into(bytes: &[u8], bits: u32, out: &mut [u32]) {
    assert!((1..=32).contains(&bits), "element width {bits} is not in 1..=32");
    assert_eq!(bytes.len(), packed_len(out.len(), bits), "packed length");
    // Eight elements are whole bytes, so all groups have their elements at the same offsets.
    let (groups, _) = out.as_chunks_mut::<8>();
    let windows = bytes.windows(bits as usize + 8).step_by(bits as usize);
    let mut done = 0;
    for (group, window) in groups.iter_mut().zip(windows) {
        for (index, value) in group.iter_mut().enumerate() {
            *value = element(window, index * bits as usize, bits);
        }
        done += 8;
    }
    // The last few, whose bytes are followed by fewer than seven more.
    for (index, value) in out.iter_mut().enumerate().skip(done) {
        let bit = index * bits as usize;
        let rest = &bytes[bit / 8..];
        let mut word = [0; 8];
        let near = rest.len().min(8);
        word[..near].copy_from_slice(&rest[..near]);
        *value = element(&word, bit % 8, bits);
    }
}

/// The element at bit `bit`, of which the first byte is followed by seven more.
#[inline(always)]
fn element(bytes: &[u8], bit: usize, bits: u32) -> u32 {
    let word = bytes[bit / 8..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    (word >> (bit % 8)) as u32 & mask32(bits)
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
            prop_assert_eq!(&unpack(&packed, bits, values.len())[..], expect);
        }
    }

    #[test]
    fn layout_is_least_significant_first() {
        assert_eq!(pack(&[0b101, 0b011, 0b111], 3)[..], [0b11_011_101, 0b1]);
    }
}
