//! One function per kind of step.

use fusion_rlwe::{ConvGeometry, Shape};

use super::carry::TruncationCarry;
use crate::conv;
use crate::program::{Activation, LinearTerm, PoolGeometry, TensorId, Window};

/// Sums of products below this are exact in `f64`.
const EXACT: f64 = (1u64 << 53) as f64;

/// Weights of one convolution, in the form that the matrix product reads.
pub(super) struct TermWeights<'a> {
    integers: &'a [i16],
    floats: Vec<f64>,
    /// Largest sum of magnitudes of a row.
    row_sum: f64,
}

impl<'a> TermWeights<'a> {
    pub(super) fn new(integers: &'a [i16], rows: usize) -> Self {
        let row_sum = |row: &[i16]| row.iter().map(|&w| f64::from(w).abs()).sum::<f64>();
        let row_sum = integers.chunks(integers.len().div_ceil(rows.max(1)).max(1)).map(row_sum).fold(0.0, f64::max);
        Self { integers, floats: integers.iter().map(|&w| f64::from(w)).collect(), row_sum }
    }
}

/// The signed representative of `value` modulo 2^bits.
pub(super) fn wrap(value: i64, bits: u32) -> i64 {
    value << (64 - bits) >> (64 - bits)
}

pub(super) fn linear(terms: &[LinearTerm], weights: &[TermWeights<'_>], bias: &[i64], inputs: &[&[i64]], output: Shape) -> Vec<i64> {
    let mut sum: Vec<i64> = bias.iter().flat_map(|&b| std::iter::repeat_n(b, output.area())).collect();
    for ((term, weights), input) in terms.iter().zip(weights).zip(inputs) {
        let magnitude = input.iter().fold(0u64, |m, x| m.max(x.unsigned_abs()));
        if magnitude as f64 * weights.row_sum < EXACT {
            let mut part = vec![0f64; output.len()];
            let floats: Vec<f64> = input.iter().map(|&x| x as f64).collect();
            conv::add_convolution(&term.geometry, &weights.floats, &floats, &mut part);
            sum.iter_mut().zip(part).for_each(|(s, p)| *s = s.wrapping_add(p as i64));
        } else {
            add_wrapping_convolution(&term.geometry, weights.integers, input, output, &mut sum);
        }
    }
    sum
}

/// The definition of a convolution, modulo 2^64.
fn add_wrapping_convolution(g: &ConvGeometry, weights: &[i16], input: &[i64], output: Shape, sum: &mut [i64]) {
    let (in_channels, out_channels) = (g.input.channels / g.groups, g.out_channels / g.groups);
    let taps = g.kernel.0 * g.kernel.1;
    for (index, s) in sum.iter_mut().enumerate() {
        let (j, position) = (index / output.area(), index % output.area());
        let (oy, ox) = (position / output.width, position % output.width);
        let row = &weights[j * in_channels * taps..][..in_channels * taps];
        for (i, &w) in row.iter().enumerate() {
            let (c, tap) = (i / taps, i % taps);
            let y = (oy * g.stride.0 + tap / g.kernel.1 * g.dilation.0).wrapping_sub(g.padding.top);
            let x = (ox * g.stride.1 + tap % g.kernel.1 * g.dilation.1).wrapping_sub(g.padding.left);
            if y < g.input.height && x < g.input.width {
                let plane = j / out_channels * in_channels + c;
                let value = input[plane * g.input.area() + y * g.input.width + x];
                *s = s.wrapping_add(value.wrapping_mul(i64::from(w)));
            }
        }
    }
}

/// How a window reads words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Bits that hold the values, sign included.
    pub(super) bits: u32,
    /// The window with the spare bit, if there is one: it decides where in the word the noise is.
    pub(super) read: Window,
    /// Of the noise in the word that is read.
    pub(super) deviation: f64,
}

impl Reading {
    /// Reads values without noise.
    pub(super) const fn exact(window: Window) -> Self {
        Self { bits: window.bits, read: window, deviation: 0.0 }
    }

    /// A noisy word over its unit U = 2^(32 - bits read), rounded as two parties round it who shift
    /// their shares separately: `noise` is v, and `low` the low bits of the client's word.
    fn round(&self, y: i64, noise: i64, low: i64) -> i64 {
        let below = 32 - self.read.shift - self.read.bits;
        let word = (i128::from(y) << below) + i128::from(noise) - i128::from(low);
        // The server has added one unit.
        (word >> (below + self.read.shift)) as i64 + 1
    }
}

/// Shifts out the low bits and keeps the window; returns the windowed values and how many did not
/// fit.
pub(super) fn window(values: &[i64], reading: Reading, carries: &mut TruncationCarry<'_>) -> (Vec<i64>, u64) {
    let Reading { bits, read: Window { shift, .. }, deviation } = reading;
    let mut overflows = 0;
    let mut one = |&y: &i64| {
        let shifted = if deviation > 0.0 {
            let noise = carries.noise(deviation);
            reading.round(y, noise, carries.draw(32 - reading.read.bits))
        } else if shift == 0 {
            y
        } else {
            // The server's share is y + 2^d - x_C, and each party shifts its own. With r the low
            // bits of x_C, the sum is floor(y / 2^d) + 1 if r <= y mod 2^d, else floor(y / 2^d).
            let low = y & ((1i64 << shift) - 1);
            (y >> shift) + i64::from(carries.draw(shift) <= low)
        };
        let kept = wrap(shifted, bits);
        overflows += u64::from(kept != shifted);
        kept
    };
    (values.iter().map(&mut one).collect(), overflows)
}

pub(super) fn requantise(
    values: &[i64],
    shape: Shape,
    reading: Reading,
    pool: Option<&PoolGeometry>,
    activation: Activation,
    carries: &mut TruncationCarry<'_>,
) -> (Vec<i64>, u64) {
    let (mut kept, mut overflows) = window(values, reading, carries);
    if let Some(pool) = pool {
        // Differences of window values are exact: the protocol compares with one bit more.
        kept = conv::pool(pool, shape, &kept, i64::max);
    }
    // Where the comparison of a ReLU would leave the window. What got here by wrapping is counted
    // twice.
    let (uncertain, end) = (i64::from(activation.uncertain()), 1i64 << (reading.bits - 1));
    let outside = |v: i64| u64::from(v.abs() >= end - uncertain);
    match activation {
        Activation::Relu => {
            for v in &mut kept {
                overflows += outside(*v);
                *v = (*v).max(0);
            }
        }
        Activation::CoarseRelu { left_out } => {
            for v in &mut kept {
                overflows += outside(*v);
                // The low bits of the client's share, as the comparison drops them.
                if *v + uncertain < carries.draw(left_out) {
                    *v = 0;
                }
            }
        }
        Activation::Clip { ceiling } => {
            for v in &mut kept {
                overflows += outside(*v);
                *v = (*v).clamp(0, i64::from(ceiling));
            }
        }
        Activation::Signed => {}
    }
    (kept, overflows)
}

pub(super) fn add(parts: &[(TensorId, u32)], inputs: &[&[i64]]) -> Vec<i64> {
    let mut sum = vec![0i64; inputs[0].len()];
    for (&(_, shift), input) in parts.iter().zip(inputs) {
        sum.iter_mut().zip(*input).for_each(|(s, x)| *s = s.wrapping_add(x << shift));
    }
    sum
}

pub(super) fn concat(parts: &[(TensorId, u32)], inputs: &[&[i64]]) -> Vec<i64> {
    parts.iter().zip(inputs).flat_map(|(&(_, shift), input)| input.iter().map(move |x| x << shift)).collect()
}

pub(super) fn sum_pool(pool: &PoolGeometry, shape: Shape, input: &[i64]) -> Vec<i64> {
    conv::pool(pool, shape, input, i64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use fusion_rlwe::Padding;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    /// What the two parties do: shares modulo 2^(d + h), the server adds 2^d, both shift, the sum
    /// is reduced.
    fn shifted_shares(y: i64, client: i64, w: Window) -> i64 {
        let modulus = 1i64 << (w.shift + w.bits);
        let server = (y + (1 << w.shift) - client).rem_euclid(modulus);
        wrap((client >> w.shift) + (server >> w.shift), w.bits)
    }

    #[test]
    fn the_window_is_what_shifted_shares_give() {
        let w = Window { shift: 3, bits: 6 };
        for y in -256..248 {
            let mut carried = [0; 2];
            for client in 0..512 {
                let result = shifted_shares(y, client, w);
                let floor = y >> 3;
                let carry = usize::from(client & 7 <= y & 7);
                assert_eq!(result, wrap(floor + carry as i64, 6), "y = {y}, client share {client}");
                carried[carry] += 1;
            }
            // Unbiased up to 2^-d: the carry has probability (y mod 2^d + 1) / 2^d.
            assert_eq!(carried[1], 64 * ((y & 7) + 1));
            let (zero, _) = window(&[y], Reading::exact(w), &mut TruncationCarry::Zero);
            assert_eq!(zero[0], shifted_shares(y, 0, w));
            let (nearest, _) = window(&[y], Reading::exact(w), &mut TruncationCarry::Nearest);
            assert_eq!(nearest[0], wrap((y + 4) >> 3, 6));
        }
    }

    /// The parties' words: y * 2^(32 - l') + v in two shares, of which both take the top bits.
    fn shifted_words(y: i64, noise: i64, client: u32, reading: &Reading) -> i64 {
        let bits = reading.read.bits;
        let word = ((y << (32 - reading.read.shift - bits)) + noise) as u32;
        let server = word.wrapping_sub(client).wrapping_add(1 << (32 - bits));
        wrap(i64::from((client >> (32 - bits)).wrapping_add(server >> (32 - bits))), bits)
    }

    #[test]
    fn noisy_words_are_rounded_as_two_parties_do() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        for (shift, bits) in [(0, 8), (0, 13), (3, 8), (9, 14), (20, 12)] {
            let reading = Reading { bits, read: Window { shift, bits }, deviation: 1.0 };
            let unit = 1i64 << (32 - bits);
            for _ in 0..2000 {
                let y = wrap(i64::from(rng.next_u32()), shift + bits - 1);
                let noise = i64::from(rng.next_u32() as i32) % unit;
                let client = rng.next_u32();
                let expected = shifted_words(y, noise, client, &reading);
                assert_eq!(wrap(reading.round(y, noise, i64::from(client) & (unit - 1)), bits), expected);
                let error = expected as f64 - y as f64 / 2f64.powi(shift.cast_signed());
                assert!(error.abs() <= 1.0 + (noise as f64 / unit as f64).abs(), "{y} {noise} {error}");
            }
            let y = 3;
            let fixed = |mut carry: TruncationCarry<'_>| window(&[y], reading, &mut carry).0[0];
            assert_eq!(fixed(TruncationCarry::Zero), (y >> shift) + 1);
            assert_eq!(fixed(TruncationCarry::Nearest), (y + ((1 << shift) >> 1)) >> shift);
        }
    }

    /// With noise and without, whether bits are dropped or not: no mean error, and none above one
    /// unit beside the noise.
    #[test]
    fn windows_are_unbiased() {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        for shift in [0, 9] {
            for deviation in [0.0, 0.107] {
                let read = Window { shift, bits: 12 };
                let reading = Reading { bits: 12, read, deviation: deviation * 2f64.powi(20) };
                let values: Vec<i64> = (0..100_000).map(|_| wrap(i64::from(rng.next_u32()), shift + 10)).collect();
                let (kept, overflows) = window(&values, reading, &mut TruncationCarry::Random(&mut rng));
                let errors: Vec<f64> =
                    kept.iter().zip(&values).map(|(k, y)| *k as f64 - *y as f64 / 2f64.powi(shift.cast_signed())).collect();
                let mean = errors.iter().sum::<f64>() / errors.len() as f64;
                let largest = errors.iter().fold(0f64, |m, e| m.max(e.abs()));
                assert!(mean.abs() < 0.01 && overflows == 0, "shift {shift}, deviation {deviation}: mean {mean}");
                assert!(largest <= 1.0 + 9.3 * deviation, "shift {shift}, deviation {deviation}: {largest}");
                assert!(shift > 0 || deviation > 0.0 || largest == 0.0);
            }
        }
    }

    #[test]
    fn overflows_are_exactly_the_values_outside() {
        let w = Window { shift: 0, bits: 5 };
        let values: Vec<i64> = (-20..20).collect();
        let (kept, overflows) = window(&values, Reading::exact(w), &mut TruncationCarry::Zero);
        assert_eq!(overflows, 40 - 32);
        assert_eq!((kept[0], kept[39]), (12, -13));
        assert_eq!(kept[4..36], values[4..36]);
    }

    #[test]
    fn pooling_takes_maxima_of_signed_values() {
        let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding { top: 1, left: 0, bottom: 0, right: 0 } };
        let values = [-3, -2, -8, -9, 5, 1];
        let w = Window { shift: 0, bits: 6 };
        let shape = Shape::new(1, 3, 2);
        let (signed, _) = requantise(&values, shape, Reading::exact(w), Some(&pool), Activation::Signed, &mut TruncationCarry::Zero);
        assert_eq!(signed, [-2, 5]);
        let (relu, _) = requantise(&values, shape, Reading::exact(w), Some(&pool), Activation::Relu, &mut TruncationCarry::Zero);
        assert_eq!(relu, [0, 5]);
    }

    /// Draws all low bits of a client's share, however they fall.
    #[test]
    fn coarse_relus_differ_from_exact_ones_near_zero_only() {
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        let values: Vec<i64> = (-32..32).flat_map(|v| std::iter::repeat_n(v, 4000)).collect();
        for (left_out, mean_square) in [(2, 0.5), (3, 5.0), (4, 42.0)] {
            let activation = Activation::CoarseRelu { left_out };
            let reading = Reading::exact(Window { shift: 0, bits: 9 });
            let (kept, overflows) =
                requantise(&values, Shape::flat(values.len()), reading, None, activation, &mut TruncationCarry::Random(&mut rng));
            assert_eq!(overflows, 0);
            let most = i64::from(activation.uncertain());
            let errors = kept.iter().zip(&values).map(|(&kept, &v)| (v, kept - v.max(0)));
            assert!(errors.clone().all(|(v, error)| error == 0 || (v.abs() <= most && error.abs() == v.abs())));
            // Over numbers that are equally likely near zero: what one of each costs, added up.
            let sum = errors.map(|(_, error)| (error * error) as f64).sum::<f64>() / 4000.0;
            assert!((sum / mean_square - 1.0).abs() < 0.1, "{left_out} bits: {sum}");
            let (nearest, _) = requantise(&[-1, 1, most], Shape::flat(3), reading, None, activation, &mut TruncationCarry::Nearest);
            assert_eq!(nearest, [0, 1, most]);
            let outside = [255 - most, 256 - most, most - 256];
            let (_, overflows) = requantise(&outside, Shape::flat(3), reading, None, activation, &mut TruncationCarry::Zero);
            assert_eq!(overflows, 2);
        }
        let reading = Reading::exact(Window { shift: 0, bits: 9 });
        let (_, overflows) = requantise(&[255, -255, -256], Shape::flat(3), reading, None, Activation::Relu, &mut TruncationCarry::Zero);
        assert_eq!(overflows, 1, "an exact comparison wraps at the least number of the window");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The matrix product equals the definition of a convolution.
        #[test]
        fn fast_convolution_is_exact(
            seed: u64, groups in 1usize..4, per_group in 1usize..4, out in 1usize..4, size in (1usize..9, 1usize..60), kernel in (1usize..4, 1usize..4),
            stride in (1usize..4, 1usize..4), dilation in (1usize..3, 1usize..3), pads in prop::array::uniform4(0usize..4),
        ) {
            let [top, left, bottom, right] = pads;
            let g = ConvGeometry {
                input: Shape::new(groups * per_group, size.0, size.1),
                out_channels: groups * out,
                kernel, stride, dilation, groups,
                padding: Padding { top, left, bottom, right },
            };
            let Some(output) = g.output() else { return Ok(()) };
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let weights: Vec<i16> = (0..g.weights()).map(|_| rng.next_u32() as i16).collect();
            let input: Vec<i64> = (0..g.input.len()).map(|_| i64::from(rng.next_u32() as i32) >> 2).collect();
            let bias: Vec<i64> = (0..g.out_channels).map(|_| i64::from(rng.next_u32() as i32)).collect();
            let mut expected: Vec<i64> = bias.iter().flat_map(|&b| std::iter::repeat_n(b, output.area())).collect();
            add_wrapping_convolution(&g, &weights, &input, output, &mut expected);
            let term = LinearTerm { input: TensorId(0), geometry: g };
            let prepared = [TermWeights::new(&weights, g.out_channels)];
            prop_assert!(prepared[0].row_sum * 2f64.powi(29) < EXACT, "the fast path is taken");
            let actual = linear(&[term], &prepared, &bias, &[&input], output);
            prop_assert_eq!(&actual, &expected);
        }
    }

    #[test]
    fn values_too_large_for_floats_take_the_exact_path() {
        let g = ConvGeometry::dense(3, 1);
        let term = LinearTerm { input: TensorId(0), geometry: g };
        let input = [(1 << 52) + 1, 1, -1];
        let weights = [TermWeights::new(&[3, 1, 1], 1)];
        assert_eq!(linear(&[term], &weights, &[5], &[&input], Shape::flat(1)), [3 * ((1 << 52) + 1) + 5]);
    }
}
