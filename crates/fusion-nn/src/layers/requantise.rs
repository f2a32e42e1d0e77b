//! A whole requantisation step of a program: window, optional maximum pooling, activation,
//! widening.
//!
//! # Functionality
//! [`Op::Requantise`](fusion_model::program::Op::Requantise) on shares. Given the numbers in the
//! window, which the local step rounds up or down, the result is exact for |number| < 2^(bits-1),
//! but near zero after a coarse ReLU (`relu`).
//!
//! # Roles
//! Those of the parts; constants are added by one party.
//!
//! # Protocol
//! `to_window`, `max_pool`, then `relu`, `clip` or `widen_signed`. Pooling and signed widening work
//! in a window of one bit more, so that differences fit and the sign of an offset number is known.
//! That bit is free where the ring of the input has it; else the window is first widened by
//! `widen_signed` without headroom.
//!
//! # Cost
//! [`Requantise::cost`].
//!
//! # Security
//! As in `compare`.

use fusion_rlwe::Shape;

use super::clip::clip;
use super::cost::{self, Total};
use super::error::ProtocolError;
use super::party::{Party, Phase};
use super::pool::{PoolSchedule, max_pool};
use super::relu::coarse_relu;
use super::shares::AdditiveShares;
use super::tile::Cut;
use super::truncate::{Headroom, widen_signed};
use super::window::to_window;
use super::words::TensorWords;
use fusion_model::program::{Activation, PoolGeometry, RingBits, Window};

/// A requantisation step, checked and with its pooling schedule. Make it once per layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requantise {
    input: Shape,
    ring: RingBits,
    /// The window as read from the shares, with a bit of headroom where it is free.
    read: Window,
    /// Width of the numbers proper.
    bits: u32,
    pool: Option<PoolSchedule>,
    activation: Activation,
    output: RingBits,
}

impl Requantise {
    /// The step that reads tensors of shape `input` modulo 2^`ring` and writes modulo 2^`output`.
    ///
    /// # Errors
    /// Misuse if the window does not fit into the ring, a width is out of range (window 2..=31
    /// bits, rings 1..=32), or the pooling geometry is impossible.
    pub fn new(
        input: Shape,
        ring: RingBits,
        window: Window,
        pool: Option<&PoolGeometry>,
        activation: Activation,
        output: RingBits,
    ) -> Result<Self, ProtocolError> {
        let top = window.shift.checked_add(window.bits).ok_or(ProtocolError::Misuse("requantise: window too wide"))?;
        if !(2..=31).contains(&window.bits) || top > ring.0 || ring.0 > 32 || !(1..=32).contains(&output.0) {
            return Err(ProtocolError::Misuse("requantise: the window has 2..=31 bits and lies within a ring of at most 32"));
        }
        if !activation.fits(window.bits) {
            return Err(ProtocolError::Misuse(
                "requantise: a coarse ReLU leaves out 2..=8 bits and at most all but three, and a ceiling is inside the window",
            ));
        }
        let pool = pool.map(|pool| PoolSchedule::new(input.height, input.width, pool)).transpose()?;
        let wants_headroom = match activation {
            Activation::Relu | Activation::CoarseRelu { .. } | Activation::Clip { .. } => pool.is_some(),
            Activation::Signed => pool.is_some() || output.0 > window.bits,
        };
        let read = Window { bits: window.bits + u32::from(wants_headroom && top < ring.0), ..window };
        Ok(Self { input, ring, read, bits: window.bits, pool, activation, output })
    }

    /// Elements of one sample of the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.pool.as_ref().map_or(self.input.len(), |pool| self.input.channels * pool.output().0 * pool.output().1)
    }

    /// Runs the step on whole samples, one after the other: shares in the output ring, from words
    /// of numbers in the input ring.
    ///
    /// # Errors
    /// [`ProtocolError`]; the lane is dead afterwards. Misuse if the samples are not whole or the
    /// ring is another.
    pub fn run(&self, party: &mut Party<'_>, tensor: &TensorWords) -> Result<AdditiveShares, ProtocolError> {
        party.layer(Phase::Activation, |party| {
            if self.input.is_empty() || !tensor.len().is_multiple_of(self.input.len()) || tensor.ring() != self.ring {
                return Err(ProtocolError::Misuse("requantise: whole samples in the ring of the input"));
            }
            let mut x = to_window(party.role(), tensor, self.read)?;
            if let Some(schedule) = &self.pool {
                if self.read.bits == self.bits {
                    x = widen_signed(party, &x, Headroom::None, RingBits(self.bits + 1))?;
                }
                x = max_pool(party, &x, schedule)?;
            }
            match self.activation {
                Activation::Relu | Activation::CoarseRelu { .. } => {
                    coarse_relu(party, &x.reduced_to(RingBits(self.bits)), self.activation.left_out(), self.output)
                }
                Activation::Clip { ceiling } => clip(party, &x.reduced_to(RingBits(self.bits)), ceiling, self.output),
                Activation::Signed => widen_signed(party, &x, self.headroom(x.ring().0), self.output),
            }
        })
    }

    fn headroom(&self, bits: u32) -> Headroom {
        if bits > self.bits { Headroom::OneBit } else { Headroom::None }
    }

    /// Cost for `samples` samples, random OTs counted but their traffic left out.
    #[must_use]
    pub fn cost(&self, samples: usize, cut: Cut) -> Total {
        let mut total = Total::default();
        let mut bits = self.read.bits;
        if let Some(schedule) = &self.pool {
            if bits == self.bits {
                total += cost::widen_signed(bits, Headroom::None, bits + 1, cut.split).of(samples * self.input.len(), cut.tile);
                bits += 1;
            }
            total += cost::max_pool(samples * self.input.channels, schedule, bits, cut);
        }
        let elements = match self.activation {
            Activation::Relu | Activation::CoarseRelu { .. } => {
                cost::coarse_relu(self.bits, self.activation.left_out(), self.output.0, cut.split)
            }
            Activation::Clip { ceiling } => cost::clip(self.bits, ceiling, self.output.0, cut.split),
            Activation::Signed => cost::widen_signed(bits, self.headroom(bits), self.output.0, cut.split),
        };
        total += elements.of(samples * self.output_len(), cut.tile);
        total
    }
}
