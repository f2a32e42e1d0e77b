//! The last step of a decryption: differences of residues modulo a power of two, rounded to
//! multiples of a smaller one.

use crate::simd::{Tier, per_tier, tier};

/// Residues modulo 2^`bits` whose lowest `down` bits are noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounding {
    /// Width of a residue, at most 63.
    pub bits: u32,
    /// Bits that are rounded away: at least 1, and so many that a result fits 32 bits.
    pub down: u32,
}

impl Rounding {
    /// `out` = (`values` 2^`raise` - `subtrahends`) / 2^down rounded to nearest, modulo 2^(bits -
    /// down). Returns the largest rounding error, in units of a residue.
    ///
    /// # Panics
    /// If lengths differ or a width is out of range.
    pub fn difference(self, values: &[u64], raise: u32, subtrahends: &[u64], out: &mut [u32]) -> u64 {
        self.difference_on(tier(), values, raise, subtrahends, out)
    }

    fn difference_on(self, tier: Tier, values: &[u64], raise: u32, subtrahends: &[u64], out: &mut [u32]) -> u64 {
        assert!(values.len() == out.len() && subtrahends.len() == out.len(), "lengths");
        assert!(self.bits < 64 && raise < 64 && self.down >= 1 && (self.down..=self.down + 32).contains(&self.bits), "widths");
        let mut largest = 0;
        difference(tier, self, values, raise, subtrahends, out, &mut largest);
        largest
    }
}

per_tier! {
    difference = difference_body(rounding: Rounding, values: &[u64], raise: u32, subtrahends: &[u64], out: &mut [u32], largest: &mut u64)
}

#[inline(always)]
fn difference_body(rounding: Rounding, values: &[u64], raise: u32, subtrahends: &[u64], out: &mut [u32], largest: &mut u64) {
    let (mask, half) = ((1u64 << rounding.bits) - 1, 1u64 << (rounding.down - 1));
    for ((out, &value), &subtrahend) in out.iter_mut().zip(values).zip(subtrahends) {
        let sum = (value << raise).wrapping_sub(subtrahend).wrapping_add(half) & mask;
        *out = (sum >> rounding.down) as u32;
        *largest = (*largest).max((sum & (2 * half - 1)).abs_diff(half));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::available;

    proptest! {
        #[test]
        fn every_tier_rounds_to_nearest(pairs in prop::collection::vec((any::<u64>(), any::<u64>()), 0..70), down in 1u32..32, kept in 0u32..=31, raise in 0u32..64) {
            let (values, subtrahends): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
            let rounding = Rounding { bits: down + kept, down };
            let modulus = 1i128 << rounding.bits;
            let mut largest = 0;
            let expect: Vec<u32> = values.iter().zip(&subtrahends).map(|(&v, &s)| {
                let difference = ((i128::from(v) << raise) - i128::from(s)).rem_euclid(modulus);
                let rounded = (difference + (1 << (down - 1))) >> down;
                largest = largest.max((difference - (rounded << down)).unsigned_abs() as u64);
                (rounded % (1 << kept)) as u32
            }).collect();
            for tier in available() {
                let mut out = vec![0; values.len()];
                prop_assert_eq!(rounding.difference_on(tier, &values, raise, &subtrahends, &mut out), largest, "tier {}", tier.name());
                prop_assert_eq!(&out, &expect, "tier {}", tier.name());
            }
        }
    }
}
