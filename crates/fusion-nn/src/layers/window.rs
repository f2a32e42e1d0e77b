//! The local step before every non-linear protocol: both parties keep the top bits of their words.

use fusion_model::program::{RingBits, Window};
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::role::Role;
use super::shares::AdditiveShares;
use super::words::TensorWords;

/// Shares modulo 2^bits of the numbers in the window, from the words of a tensor whose ring has at
/// least shift + bits bits. Local.
///
/// The unit of the window is U = 2^(32 - bits) once the words are shifted so that the window is at
/// their top. Where low bits may be non-zero (the shift leaves some out, or there is noise v), the
/// server first adds U: dropping the low bits of both shares loses their carry, which is worth U/2
/// on average, and the rest of the unit is what makes the result a stochastic rounding. Its error
/// is below 1 + |v|/U units and its mean is that of v plus 1/U. Without low bits it is exact.
///
/// # Errors
/// Misuse if the window has not 1..=31 bits or does not lie within the ring.
pub fn to_window(role: Role, tensor: &TensorWords, window: Window) -> Result<AdditiveShares, ProtocolError> {
    let Window { shift, bits } = window;
    let top = shift.checked_add(bits).filter(|top| (1..=31).contains(&bits) && (*top..=32).contains(&tensor.ring().0));
    let top = top.ok_or(ProtocolError::Misuse("window: 1..=31 bits within the ring"))?;
    let (up, down) = (tensor.ring().0 - top, 32 - bits);
    let unit = if role == Role::Server && (shift > 0 || tensor.noisy()) { 1u32 << down } else { 0 };
    let words = tensor.words().iter().map(|&word| (word << up).wrapping_add(unit) >> down);
    Ok(AdditiveShares::from_reduced(Wiped::filled(tensor.len(), words), RingBits(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What both parties' words become in the window, signed.
    fn in_window(client: u32, server: u32, ring: u32, noisy: bool, window: Window) -> i32 {
        let words = |word| TensorWords::computed(vec![word].into(), RingBits(ring), noisy);
        let of = |role, word| to_window(role, &words(word), window).unwrap();
        let (client, server) = (of(Role::Client, client), of(Role::Server, server));
        client.reveal(&server).unwrap().to_signed()[0]
    }

    proptest! {
        /// For any split of any word whose number fits the window.
        #[test]
        fn the_error_is_below_a_unit_and_the_noise(
            number in any::<i32>(), noise in any::<i32>(), mask in any::<u32>(), shift in 0u32..16, bits in 3u32..17, above in 0u32..3,
        ) {
            let ring = (shift + bits + above).min(32);
            let up = ring - shift - bits;
            // A unit in words of the ring, and two units free at each end.
            let unit = 1i64 << (32 - bits - up);
            let number = i64::from(number) % ((1 << (shift + bits - 1)) - (3 << shift)).max(1);
            let noise = i64::from(noise) % (unit / 2);
            let word = (number << (32 - ring)) + noise;
            let got = in_window(mask, (word as u32).wrapping_sub(mask), ring, true, Window { shift, bits });
            let truth = (number << (32 - ring)) as f64 / unit as f64;
            let error = f64::from(got) - truth;
            prop_assert!(error.abs() < 1.0 + noise.unsigned_abs() as f64 / unit as f64 + 1e-9, "{got} of {truth}");
        }

        /// Words of exact shares: without dropped bits nothing is rounded.
        #[test]
        fn exact_words_stay_exact(number in -1000i32..1000, mask in any::<u32>(), ring in 11u32..=32) {
            let share = |word: u32| word << (32 - ring);
            let window = Window { shift: 0, bits: 11 };
            prop_assert_eq!(in_window(share(mask), share((number as u32).wrapping_sub(mask)), ring, false, window), number);
        }
    }

    /// The mean over all low parts of a client's word is the number, with and without dropped
    /// bits; without the server's unit it would be a whole unit less where no bit is dropped.
    #[test]
    fn rounding_is_unbiased() {
        for (shift, noisy) in [(6, false), (0, true), (6, true)] {
            let (window, ring) = (Window { shift, bits: 20 }, 20 + shift);
            let word = (1234i32 << 12) + 77;
            let all = 1i64 << 12;
            let sum: i64 = (0..all as u32).map(|low| i64::from(in_window(low, (word as u32).wrapping_sub(low), ring, noisy, window))).sum();
            let mean = sum as f64 / all as f64;
            assert!((mean - f64::from(word) / 4096.0).abs() < 0.01, "mean {mean} at shift {shift}");
        }
        let window = Window { shift: 0, bits: 20 };
        assert_eq!(in_window(5, (1234u32 << 12).wrapping_sub(5), 20, false, window), 1233, "words with low bits need the unit");
    }

    #[test]
    fn windows_outside_of_the_ring_are_misuse() {
        let words = TensorWords::computed(vec![0].into(), RingBits(20), true);
        for (shift, bits) in [(0, 21), (10, 11), (0, 0), (u32::MAX, 8), (0, 32)] {
            assert!(to_window(Role::Client, &words, Window { shift, bits }).is_err(), "{shift} {bits}");
        }
    }
}
