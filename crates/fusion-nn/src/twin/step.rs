//! One function per kind of step.

use fusion_rlwe::{ConvGeometry, Shape};

use super::Carries;
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

/// Drops low bits and keeps the window; returns the windowed values and how many did not fit.
pub(super) fn window(values: &[i64], window: Window, carries: &mut Carries<'_>) -> (Vec<i64>, u64) {
    let Window { drop, bits } = window;
    let mut overflows = 0;
    let mut one = |&y: &i64| {
        let shifted = if drop == 0 {
            y
        } else {
            // The server's share is y + 2^d - x_C and each party shifts its own: with r the low bits of x_C, the sum is
            // floor(y / 2^d) + 1 if r <= y mod 2^d, and floor(y / 2^d) if not.
            let low = y & ((1i64 << drop) - 1);
            (y >> drop) + i64::from(carries.draw(drop) <= low)
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
    w: Window,
    pool: Option<&PoolGeometry>,
    activation: Activation,
    carries: &mut Carries<'_>,
) -> (Vec<i64>, u64) {
    let (mut kept, overflows) = window(values, w, carries);
    if let Some(pool) = pool {
        // Differences of window values are exact: the protocol compares with one bit more.
        kept = conv::pool(pool, shape, &kept, i64::max);
    }
    match activation {
        Activation::Relu => kept.iter_mut().for_each(|v| *v = (*v).max(0)),
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
