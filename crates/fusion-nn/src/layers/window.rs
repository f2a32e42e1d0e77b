//! The local step before every non-linear protocol: both parties reduce their shares to a window and shift out its low bits.

use fusion_ring::bits::pack::mask32;
use fusion_ring::secret::Wiped;

use super::party::Role;
use fusion_model::program::Window;

/// Own shares modulo 2^bits of the numbers in the window, from shares modulo at least 2^(shift + bits). Local.
///
/// The numbers are floor(v / 2^shift) or one more (with `shift` = 0, exactly v): shifting out the low bits of both shares loses their carry. The server adds 2^shift
/// first when shift > 0, which makes the result a stochastic rounding of v / 2^shift with an error of at most one unit and a bias of 2^-shift units.
#[must_use]
pub fn to_window(role: Role, shares: &[u32], window: Window) -> Wiped<u32> {
    let Window { shift, bits } = window;
    let carry = if role == Role::Server && shift > 0 { 1u32 << shift } else { 0 };
    let mask = mask32(bits);
    Wiped::filled(shares.len(), shares.iter().map(|&share| (share.wrapping_add(carry) >> shift) & mask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn within_one_unit_of_the_quotient(v in -(1i32 << 24)..1 << 24, mask in any::<u32>(), shift in 0u32..16, headroom in 0u32..3) {
            let bits = 25 - shift.min(20) + headroom;
            prop_assume!(shift + bits <= 32 && shift + bits > 25);
            let ring = mask32((shift + bits + headroom).min(32));
            let (client, server) = (mask & ring, (v as u32).wrapping_sub(mask) & ring);
            let window = Window { shift, bits };
            let sum = to_window(Role::Client, &[client], window)[0].wrapping_add(to_window(Role::Server, &[server], window)[0]);
            let got = ((sum << (32 - bits)) as i32) >> (32 - bits);
            let floor = v >> shift;
            if shift == 0 {
                prop_assert_eq!(got, v);
            } else {
                prop_assert!(got == floor || got == floor + 1, "{got} of {v} >> {shift}");
                if v & mask32(shift) as i32 == 0 {
                    // Nothing to round: the carry that is lost and the one that was added cancel unless both low parts are zero.
                    prop_assert!(got == floor || client & mask32(shift) == 0);
                }
            }
        }
    }

    #[test]
    fn rounding_is_unbiased() {
        let (shift, bits, v) = (6, 10, 1234i32);
        let window = Window { shift, bits };
        let sum: i64 = (0..1u32 << shift)
            .map(|low| {
                let (client, server) = (low, (v as u32).wrapping_sub(low));
                let x = to_window(Role::Client, &[client], window)[0].wrapping_add(to_window(Role::Server, &[server], window)[0]);
                i64::from(x & mask32(bits))
            })
            .sum();
        // The mean over all low parts of a share is v / 2^shift, but for the one low part in 2^shift that makes no carry.
        assert_eq!(sum, i64::from(v) + 1);
    }
}
