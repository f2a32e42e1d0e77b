//! Continuous piecewise linear functions of integers.

use super::{Window, uncertain};

/// Where the slope of a function changes, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Knot {
    /// In units of the window that is read.
    pub at: i32,
    /// Slope above it less the slope below it, in 2^-fraction.
    pub change: i32,
}

/// `slope * v + offset + sum over knots of change * max(v - at, 0)`, exact, for numbers v of a
/// window. Its values have `fraction` more binary places than v.
///
/// A function is public: it stands in the model card. Whatever is secret belongs into weights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Piecewise {
    /// Binary places of slopes.
    pub fraction: u32,
    /// Slope below all knots, in 2^-fraction.
    pub slope: i32,
    /// Value of the lowest piece at v = 0.
    pub offset: i32,
    /// In ascending order.
    pub knots: Vec<Knot>,
    /// Lowest bits of v - at that comparisons leave out: v may be taken to be on the wrong side of
    /// a knot that is nearer than 2^(left_out - 1), where max(v - at, 0) is then wrong by less than
    /// that.
    pub left_out: u32,
}

/// Most binary places of a slope.
pub const MOST_FRACTION: u32 = 16;
/// Most knots of a function.
pub const MOST_KNOTS: usize = 64;

impl Piecewise {
    /// The value at `v`.
    #[must_use]
    pub fn value(&self, v: i64) -> i64 {
        let hinge = |knot: &Knot| i64::from(knot.change) * (v - i64::from(knot.at)).max(0);
        i64::from(self.slope) * v + i64::from(self.offset) + self.knots.iter().map(hinge).sum::<i64>()
    }

    /// Whether it is a function of the numbers of a window: knots in order and inside, few enough,
    /// and slopes whose products stay far within 64 bits.
    #[must_use]
    pub fn fits(&self, window: Window) -> bool {
        let end = 1i64 << (window.bits.clamp(1, 31) - 1);
        let near = i64::from(uncertain(self.left_out.clamp(1, 8)));
        let inside = |knot: &Knot| i64::from(knot.at).abs() + near < end && knot.change.unsigned_abs() <= 1 << 20;
        self.fraction <= MOST_FRACTION
            && self.knots.len() <= MOST_KNOTS
            && self.slope.unsigned_abs() <= 1 << 20
            && self.knots.iter().all(inside)
            && self.knots.is_sorted_by(|a, b| a.at < b.at)
            && (1..=8).contains(&self.left_out)
            && self.left_out + 2 <= window.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_pieces() {
        let knots = vec![Knot { at: -2, change: 8 }, Knot { at: 3, change: -6 }];
        let function = Piecewise { fraction: 2, slope: -1, offset: 5, knots, left_out: 1 };
        let expected = |v: i64| -v + 5 + 8 * (v + 2).max(0) - 6 * (v - 3).max(0);
        assert!((-8..8).all(|v| function.value(v) == expected(v)));
        let window = Window { shift: 0, bits: 4 };
        assert!(function.fits(window) && !function.fits(Window { shift: 0, bits: 2 }));
        let turned = Piecewise { knots: function.knots.iter().rev().copied().collect(), ..function.clone() };
        assert!(!turned.fits(window));
        assert!(!Piecewise { left_out: 3, ..function.clone() }.fits(window));
        assert!(!Piecewise { slope: 1 << 21, ..function }.fits(window));
    }
}
