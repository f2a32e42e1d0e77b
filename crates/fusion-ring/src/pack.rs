//! Fixed-width packing: `bits`-bit elements, least significant bit first, without gaps.
//!
//! Every message of ring elements is packed by this module, so the byte count of `n` elements of `bits` bits is
//! [`packed_len`]`(n, bits)` everywhere.

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

/// Appends the low `bits` bits (1..=32) of every value to `out`.
///
/// # Panics
/// If `bits` is not in 1..=32.
pub fn pack_into(out: &mut Vec<u8>, values: &[u32], bits: u32) {
    assert!((1..=32).contains(&bits), "element width {bits} is not in 1..=32");
    out.reserve(packed_len(values.len(), bits));
    let mask = u64::from(mask32(bits));
    let (mut acc, mut have) = (0u64, 0u32);
    for &value in values {
        acc |= (u64::from(value) & mask) << have;
        have += bits;
        if have >= 32 {
            out.extend_from_slice(&(acc as u32).to_le_bytes());
            acc >>= 32;
            have -= 32;
        }
    }
    let rest = (have as usize).div_ceil(8);
    out.extend_from_slice(&acc.to_le_bytes()[..rest]);
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
    let mask = u64::from(mask32(bits));
    let (mut acc, mut have) = (0u64, 0u32);
    let mut words = bytes.chunks(4);
    let mut out = Vec::with_capacity(n);
    for _ in 0..n {
        if have < bits {
            let mut word = [0u8; 4];
            // The length check above leaves a chunk for every refill; an absent one reads as zeros.
            let chunk = words.next().unwrap_or(&[]);
            word[..chunk.len()].copy_from_slice(chunk);
            acc |= u64::from(u32::from_le_bytes(word)) << have;
            have += 32;
        }
        out.push((acc & mask) as u32);
        acc >>= bits;
        have -= bits;
    }
    out
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

/// Reads elements of `bits` bits (1..=64) from `bytes`, as many as whole ones fit.
///
/// # Panics
/// If `bits` is not in 1..=64.
pub fn unpack64(bytes: &[u8], bits: u32) -> impl Iterator<Item = u64> + '_ {
    assert!((1..=64).contains(&bits), "element width {bits} is not in 1..=64");
    let mask = u64::MAX >> (64 - bits);
    let mut words = bytes.chunks(8);
    let (mut acc, mut have) = (0u128, 0u32);
    (0..bytes.len() * 8 / bits as usize).map(move |_| {
        if have < bits {
            let mut word = [0u8; 8];
            let chunk = words.next().unwrap_or(&[]);
            word[..chunk.len()].copy_from_slice(chunk);
            acc |= u128::from(u64::from_le_bytes(word)) << have;
            have += 64;
        }
        let value = acc as u64 & mask;
        acc >>= bits;
        have -= bits;
        value
    })
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
            let got: Vec<u64> = unpack64(&packed, bits).take(values.len()).collect();
            prop_assert_eq!(got, expect);
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
