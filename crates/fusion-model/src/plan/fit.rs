//! Piecewise linear functions that come near a curve, in the integers of a window.
//!
//! A smooth curve is met within e by pieces that touch it from both sides: where it bends upwards
//! the knots lie e above it and the middles of pieces e below. So the pieces are found from the
//! lowest number on, each as long as a line stays within e, from e beside the curve to e beside it.

use std::ops::RangeInclusive;

use crate::curve::Curve;
use crate::program::{Knot, Piecewise, uncertain};

/// Binary places of slopes to choose from: longer pieces need more.
const FRACTIONS: RangeInclusive<u32> = LEAST_FRACTION..=12;
/// Fewest binary places of slopes.
pub(super) const LEAST_FRACTION: u32 = 5;
/// What a knot costs beside the binary places of its multiplexer: about half of the bits of a
/// comparison, and those of the window.
const KNOT_COST: u32 = 36;
/// Most knots of a function: each costs a comparison and a multiplexer.
const MOST_KNOTS: usize = 24;

/// What a function is to be near.
pub(super) struct Target<'a> {
    pub(super) curve: &'a Curve,
    /// Units of the window are 2^-frac.
    pub(super) frac: i32,
    /// Numbers of the window that occur.
    pub(super) numbers: RangeInclusive<i64>,
    /// The largest number of the window.
    pub(super) end: i64,
    /// Most binary places that slopes may have.
    pub(super) most_fraction: u32,
    /// Largest error, as a real number.
    pub(super) tolerance: f64,
}

/// A function and the largest error over the numbers that occur, as a real number. Beyond them the
/// outermost pieces go on.
pub(super) struct Fitted {
    pub(super) function: Piecewise,
    pub(super) error: f64,
}

/// The function of the fewest knots that is within the tolerance, or the best one that is not.
pub(super) fn fit(target: &Target<'_>) -> Fitted {
    let (low, unit) = (*target.numbers.start(), 2f64.powi(-target.frac));
    // At least three, for a bend between the ends.
    let numbers = low..=(*target.numbers.end()).max(low + 2);
    let values: Vec<f64> = numbers.clone().map(|v| target.curve.value(v as f64 * unit) / unit).collect();
    let mut best: Option<(Fitted, u32)> = None;
    let mut consider = |ends: &[(usize, f64)], fraction: u32| {
        let function = rounded(ends, low, fraction);
        let error = largest_error(&function, &values, low) * unit;
        let cost = function.knots.len() as u32 * (KNOT_COST + fraction);
        let better = best.as_ref().is_none_or(|(best, least)| match (error <= target.tolerance, best.error <= target.tolerance) {
            (true, true) => (cost, error) < (*least, best.error),
            (within, other) => within || !other && error < best.error,
        });
        if better {
            best = Some((Fitted { function, error }, cost));
        }
    };
    // What rounded slopes add is known afterwards.
    let smooth = [0.95, 0.9, 0.8, 0.65, 0.5].map(|part| pieces(&values, target.tolerance / unit * part));
    let bent = kinks(&values);
    for fraction in FRACTIONS.filter(|&fraction| fraction <= target.most_fraction.max(*FRACTIONS.start())) {
        smooth.iter().chain(&bent).for_each(|ends| consider(ends, fraction));
    }
    let line = || Piecewise { fraction: 0, slope: 0, offset: 0, knots: Vec::new(), left_out: 1 };
    let mut best = best.map_or_else(|| Fitted { function: line(), error: f64::INFINITY }, |(best, _)| best);
    let left_out = left_out(&best.function, target.tolerance / unit, target.end);
    best.function.left_out = left_out;
    best
}

/// The corners of a function that is straight but for a few, as indices with the values there.
fn kinks(values: &[f64]) -> Option<Vec<(usize, f64)>> {
    let bends = |three: &[f64]| (three[0] - 2.0 * three[1] + three[2]).abs() > 1e-6;
    let inner = values.windows(3).enumerate().filter(|(_, three)| bends(three)).map(|(index, _)| index + 1);
    let inner: Vec<usize> = inner.take(9).collect();
    let last = values.len() - 1;
    let ends = std::iter::once(0).chain(inner.iter().copied()).chain(std::iter::once(last));
    (inner.len() < 9).then(|| ends.map(|end| (end, values[end])).collect())
}

/// The ends of pieces within `error` of the values, as indices with the values there.
fn pieces(values: &[f64], error: f64) -> Vec<(usize, f64)> {
    const SIDES: [f64; 3] = [0.0, 1.0, -1.0];
    let last = values.len() - 1;
    let from = |ends: &[(usize, f64)], side: f64| {
        let start = ends.last().copied().unwrap_or((0, values[0] + side * error));
        let mut farthest_end = (start.0, start.1);
        for end_side in SIDES {
            let end = farthest(values, start, error, end_side * error);
            if end > farthest_end.0 {
                farthest_end = (end, values[end] + end_side * error);
            }
        }
        (start, farthest_end)
    };
    // The first piece may begin on either side, too.
    let first = SIDES.map(|side| from(&[], side));
    let (start, end) = first.into_iter().max_by_key(|(_, end)| end.0).unwrap_or(((0, values[0]), (last, values[last])));
    let mut ends = vec![start, end];
    while ends.last().is_some_and(|end| end.0 < last) && ends.len() <= MOST_KNOTS + 1 {
        let (_, end) = from(&ends, 0.0);
        ends.push(end);
    }
    if let Some(end) = ends.last_mut() {
        // Too many knots: the last piece takes the rest.
        *end = if end.0 < last { (last, values[last]) } else { *end };
    }
    ends
}

/// The last index to which a line from `start` to `beside` the curve stays within `error`.
fn farthest(values: &[f64], start: (usize, f64), error: f64, beside: f64) -> usize {
    let fits = |end: usize| {
        let slope = (values[end] + beside - start.1) / (end - start.0) as f64;
        let within = |i: usize| (start.1 + slope * (i - start.0) as f64 - values[i]).abs() <= error * (1.0 + 1e-9) + 1e-12;
        (start.0 + 1..=end).all(within)
    };
    let last = values.len() - 1;
    let (mut good, mut step) = (start.0 + 1, 1);
    while good + step <= last && fits(good + step) {
        good += step;
        step *= 2;
    }
    while step > 0 {
        if good + step <= last && fits(good + step) {
            good += step;
        }
        step /= 2;
    }
    good.min(last)
}

/// The function through these points, its slopes rounded.
fn rounded(ends: &[(usize, f64)], low: i64, fraction: u32) -> Piecewise {
    let scale = f64::from(1u32 << fraction);
    let mut slopes = Vec::with_capacity(ends.len());
    // What rounding made of the value at the last end: the next slope makes up for it.
    let start = ends.first().map_or(0.0, |end| end.1);
    let mut reached = start;
    for pair in ends.windows(2) {
        let length = (pair[1].0 - pair[0].0) as f64;
        let slope = ((pair[1].1 - reached) / length * scale).round().clamp(-f64::from(1 << 20), f64::from(1 << 20));
        reached += slope / scale * length;
        slopes.push(slope as i32);
    }
    let first = slopes.first().copied().unwrap_or(0);
    let offset = start * scale - f64::from(first) * low as f64;
    let inner = ends.iter().skip(1).map(|end| end.0 as i64 + low);
    let knots = inner.zip(slopes.windows(2)).map(|(at, pair)| Knot { at: at as i32, change: pair[1] - pair[0] });
    Piecewise {
        fraction,
        slope: first,
        offset: offset.round().clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32,
        knots: knots.filter(|knot| knot.change != 0).collect(),
        left_out: 1,
    }
}

/// In units of the window.
fn largest_error(function: &Piecewise, values: &[f64], low: i64) -> f64 {
    let scale = 2f64.powi(-function.fraction.cast_signed());
    let errors = (low..).zip(values).map(|(v, value)| (function.value(v) as f64 * scale - value).abs());
    // What is no number is no near one.
    errors.fold(0.0, |largest: f64, error| if error.is_nan() { f64::INFINITY } else { largest.max(error) })
}

/// How many bits comparisons may leave out so that a number on the wrong side of a knot costs less
/// than a half of the tolerance, in units of the window.
fn left_out(function: &Piecewise, tolerance: f64, end: i64) -> u32 {
    let steepest = function.knots.iter().map(|knot| knot.change.unsigned_abs()).max().unwrap_or(0);
    let steepest = f64::from(steepest) * 2f64.powi(-function.fraction.cast_signed());
    let outermost = function.knots.iter().map(|knot| i64::from(knot.at).abs()).max().unwrap_or(0);
    let fits = |bits: u32| {
        let near = uncertain(bits);
        steepest * f64::from(near) <= tolerance / 2.0 && outermost + i64::from(near) <= end && 2 << bits <= end
    };
    (1..=4).rev().find(|&bits| fits(bits)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Function;

    fn target(curve: &Curve, frac: i32, reach: i64, tolerance: f64) -> Target<'_> {
        Target { curve, frac, numbers: -reach..=reach, end: reach, most_fraction: 12, tolerance }
    }

    #[test]
    fn smooth_curves_are_met_within_the_tolerance() {
        let silu = Curve::Product(Box::new([Curve::X, Curve::of(Function::Sigmoid)]));
        for (name, curve, most) in [
            ("silu", silu, 9),
            ("sigmoid", Curve::of(Function::Sigmoid), 7),
            ("tanh", Curve::of(Function::Tanh), 11),
            ("softplus", Curve::of(Function::Softplus), 7),
        ] {
            let fitted = fit(&target(&curve, 7, 1000, 0.012));
            assert!(fitted.error <= 0.012, "{name}: {}", fitted.error);
            assert!(fitted.function.knots.len() <= most, "{name}: {} knots", fitted.function.knots.len());
            // The error that is stated is the largest there is.
            let largest = (-1000..=1000).map(|v: i64| {
                let value = fitted.function.value(v) as f64 * 2f64.powi(-7 - fitted.function.fraction.cast_signed());
                (value - curve.value(v as f64 / 128.0)).abs()
            });
            let largest = largest.fold(0.0, f64::max);
            assert!((largest - fitted.error).abs() < 1e-12, "{name}: {largest}, stated {}", fitted.error);
        }
    }

    #[test]
    fn straight_pieces_are_met_exactly() {
        let leaky = Curve::of(Function::LeakyRelu { alpha: 0.125 });
        let fitted = fit(&target(&leaky, 5, 500, 0.01));
        assert_eq!(fitted.function.knots, [Knot { at: 0, change: 28 }]);
        assert_eq!((fitted.function.slope, fitted.error), (4, 0.0));
    }
}
