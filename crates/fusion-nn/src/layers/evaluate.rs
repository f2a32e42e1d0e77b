//! Whole steps of a program that evaluate a function or a product.
//!
//! # Functionality
//! [`Op::Piecewise`](fusion_model::program::Op::Piecewise) and
//! [`Op::Multiply`](fusion_model::program::Op::Multiply) on shares. Given the numbers in the
//! window, which the local step rounds up or down, the results are exact but near knots
//! (`piecewise`).
//!
//! # Roles
//! Those of the parts.
//!
//! # Protocol
//! `to_window`, then `piecewise` or `multiply`. A function is evaluated in a window of one bit
//! more, so that the differences from knots fit; that bit is free where the ring of the input has
//! it, else the window is first widened by `widen_signed` without headroom. A factor per channel is
//! repeated for every position of the channel.
//!
//! # Cost
//! [`Evaluate::cost`] and [`Multiply::cost`].
//!
//! # Security
//! As in `compare`.

use fusion_model::program::{Piecewise, RingBits, Window};
use fusion_rlwe::Shape;

use super::cost::{self, Total};
use super::error::ProtocolError;
use super::multiply::multiply;
use super::party::{Party, Phase};
use super::piecewise::piecewise;
use super::tile::Cut;
use super::truncate::{Headroom, widen_signed};
use super::window::to_window;
use super::words::TensorWords;

/// A step that evaluates a function of every number, checked. Make it once per layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluate {
    input: Shape,
    ring: RingBits,
    /// The window as read from the shares, with a bit of headroom where it is free.
    read: Window,
    /// Width of the numbers proper.
    bits: u32,
    function: Piecewise,
    output: RingBits,
}

impl Evaluate {
    /// The step that reads tensors of shape `input` modulo 2^`ring` and writes modulo 2^`output`.
    ///
    /// # Errors
    /// Misuse if the window, of 2..=29 bits, does not fit into the ring, the function is not one of
    /// its numbers, or a ring is out of range (1..=32 bits).
    pub fn new(input: Shape, ring: RingBits, window: Window, function: &Piecewise, output: RingBits) -> Result<Self, ProtocolError> {
        let top = window.shift.checked_add(window.bits).ok_or(ProtocolError::Misuse("evaluate: window too wide"))?;
        if !(2..=29).contains(&window.bits) || top > ring.0 || ring.0 > 32 || !(1..=32).contains(&output.0) {
            return Err(ProtocolError::Misuse("evaluate: the window has 2..=29 bits and lies within a ring of at most 32"));
        }
        if !function.fits(window) {
            return Err(ProtocolError::Misuse("evaluate: the function is one of the window's numbers"));
        }
        let read = Window { bits: window.bits + u32::from(top < ring.0), ..window };
        Ok(Self { input, ring, read, bits: window.bits, function: function.clone(), output })
    }

    /// Runs the step on whole samples, one after the other: words of numbers in the output ring.
    ///
    /// # Errors
    /// [`ProtocolError`]; the lane is dead afterwards. Misuse if the samples are not whole or the
    /// ring is another.
    pub fn run(&self, party: &mut Party<'_>, tensor: &TensorWords) -> Result<TensorWords, ProtocolError> {
        party.layer(Phase::Activation, |party| {
            if self.input.is_empty() || !tensor.len().is_multiple_of(self.input.len()) || tensor.ring() != self.ring {
                return Err(ProtocolError::Misuse("evaluate: whole samples in the ring of the input"));
            }
            let mut x = to_window(party.role(), tensor, self.read)?;
            if self.read.bits == self.bits {
                x = widen_signed(party, &x, Headroom::None, RingBits(self.bits + 1))?;
            }
            piecewise(party, &x, &self.function, self.output).map(TensorWords::from_shares)
        })
    }

    /// Cost for `samples` samples, random OTs counted but their traffic left out.
    #[must_use]
    pub fn cost(&self, samples: usize, cut: Cut) -> Total {
        let mut total = Total::default();
        let n = samples * self.input.len();
        if self.read.bits == self.bits {
            total += cost::widen_signed(self.bits, Headroom::None, self.bits + 1, cut.split).of(n, cut.tile);
        }
        total += cost::piecewise(self.bits + 1, &self.function, self.output.0, cut.split).of(n, cut.tile);
        total
    }
}

/// A step that multiplies two tensors, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiply {
    input: Shape,
    factor: Shape,
    factor_bits: u32,
    output: RingBits,
}

impl Multiply {
    /// The step that multiplies tensors of shape `input` by factors of that shape, or of one number
    /// per channel, of which `factor_bits` bits hold the number, its sign and one bit of headroom.
    ///
    /// # Errors
    /// Misuse if the shapes do not fit, or unless 3 <= `factor_bits` < output <= 31.
    pub fn new(input: Shape, factor: Shape, factor_bits: u32, output: RingBits) -> Result<Self, ProtocolError> {
        if factor != input && factor != Shape::flat(input.channels) {
            return Err(ProtocolError::Misuse("multiply: factors of the same shape, or one per channel"));
        }
        if !(3..output.0).contains(&factor_bits) || output.0 > 31 {
            return Err(ProtocolError::Misuse("multiply: factors of 3 bits or more in a ring of more bits, at most 31"));
        }
        Ok(Self { input, factor, factor_bits, output })
    }

    /// Runs the step on whole samples, one after the other.
    ///
    /// # Errors
    /// [`ProtocolError`]; the lane is dead afterwards. Misuse if the samples are not whole, a ring
    /// is too narrow, or a tensor comes from a linear layer.
    pub fn run(&self, party: &mut Party<'_>, tensor: &TensorWords, factor: &TensorWords) -> Result<TensorWords, ProtocolError> {
        party.layer(Phase::Activation, |party| {
            let whole = |tensor: &TensorWords, shape: Shape| !shape.is_empty() && tensor.len().is_multiple_of(shape.len());
            let samples = tensor.len() / self.input.len().max(1);
            if !whole(tensor, self.input) || factor.len() != samples * self.factor.len() || tensor.noisy() || factor.noisy() {
                return Err(ProtocolError::Misuse("multiply: whole samples that no linear layer made"));
            }
            let low = |tensor: &TensorWords, bits: u32| to_window(party.role(), tensor, Window { shift: 0, bits });
            let (x, mut s) = (low(tensor, self.output.0)?, low(factor, self.factor_bits)?);
            if self.factor != self.input {
                s = s.repeated(self.input.area());
            }
            multiply(party, &x, &s, self.output).map(TensorWords::from_shares)
        })
    }

    /// Cost for `samples` samples, random OTs counted but their traffic left out.
    #[must_use]
    pub fn cost(&self, samples: usize, cut: Cut) -> Total {
        cost::multiply(self.factor_bits, self.output.0).of(samples * self.input.len(), cut.tile)
    }
}
