//! The local step before every non-linear protocol: both parties reduce their shares to a window
//! and shift its low bits out.

use fusion_model::program::{RingBits, Window};
use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::party::Role;
use super::shares::AdditiveShares;

/// Shares modulo 2^bits of the numbers in the window, from shares modulo at least 2^(shift + bits).
/// Local.
///
/// The numbers are floor(v / 2^shift) or one more (with `shift` = 0, exactly v): shifting both
/// shares loses the carry of their low bits. The server adds 2^shift first when shift > 0, which
/// makes the result a stochastic rounding of v / 2^shift with an error of at most one unit and a
/// bias of 2^-shift units.
#[must_use]
pub fn to_window(role: Role, shares: &AdditiveShares, window: Window) -> AdditiveShares {
    let Window { shift, bits } = window;
    let carry = if role == Role::Server && shift > 0 { 1u32 << shift } else { 0 };
    let mask = mask32(bits);
    let words = shares.words().iter().map(|&share| (share.wrapping_add(carry) >> shift) & mask);
    AdditiveShares::from_reduced(Wiped::filled(shares.len(), words), RingBits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the two shares, modulo 2^ring, of a number become in the window, signed.
    fn in_window(client: u32, server: u32, ring: u32, window: Window) -> i32 {
        let shares = |word| AdditiveShares::from_words(vec![word], RingBits(ring));
        let (client, server) = (to_window(Role::Client, &shares(client), window), to_window(Role::Server, &shares(server), window));
        client.reveal(&server).unwrap().to_signed()[0]
    }

    proptest! {
        #[test]
        fn within_one_unit_of_the_quotient(v in -(1i32 << 24)..1 << 24, mask in any::<u32>(), shift in 0u32..16, headroom in 0u32..3) {
            let bits = 25 - shift.min(20) + headroom;
            prop_assume!(shift + bits <= 32 && shift + bits > 25);
            let ring = (shift + bits + headroom).min(32);
            let got = in_window(mask, (v as u32).wrapping_sub(mask), ring, Window { shift, bits });
            let floor = v >> shift;
            if shift == 0 {
                prop_assert_eq!(got, v);
            } else {
                prop_assert!(got == floor || got == floor + 1, "{got} of {v} >> {shift}");
                if v & mask32(shift) as i32 == 0 {
                    // Nothing to round: the carry that is lost and the one that was added cancel
                    // unless both low parts are zero.
                    prop_assert!(got == floor || mask & mask32(shift) == 0);
                }
            }
        }
    }

    #[test]
    fn rounding_is_unbiased() {
        let (shift, bits, v) = (6, 10, 1234i32);
        let window = Window { shift, bits };
        let sum: i64 = (0..1u32 << shift).map(|low| i64::from(in_window(low, (v as u32).wrapping_sub(low), 32, window))).sum();
        // The mean over all low parts of a share is v / 2^shift, but for the one low part in
        // 2^shift that makes no carry.
        assert_eq!(sum, i64::from(v) + 1);
    }
}
