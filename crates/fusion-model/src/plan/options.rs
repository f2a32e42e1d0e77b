//! What a user can choose.

use crate::graph::Graph;

/// The choices that a plan leaves to its user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanOptions {
    /// Window width h of the requantisations, in bits, 6..=24. Traffic grows with it. Where the
    /// noise of linear layers fits in no other way, a window gets up to three fewer.
    pub window_bits: u32,
    /// Bits of a weight, sign included, 4..=16. Each is also a bit of every ciphertext coefficient;
    /// the server's work is the same. A layer whose noise fits no window gets fewer.
    pub weight_bits: u32,
    /// Bits that the comparison of every ReLU leaves out, 1..=8 and at least three fewer than the
    /// window: exact with one. With t bits the signs of numbers below 2^(t-1) units of the window
    /// are mistaken at times.
    pub left_out: u32,
    /// Values may be this factor larger than in calibration before they overflow; at least 1.
    pub margin: f64,
}

impl Default for PlanOptions {
    /// 12-bit windows, 12-bit weights, margin 1.3: with these, ResNet50 kept the float model's
    /// label on 199 of 200 ImageNet photos (`fusion eval`).
    fn default() -> Self {
        Self { window_bits: 12, weight_bits: 12, left_out: 1, margin: 1.3 }
    }
}

/// Widths that a plan is asked for, per node of its graph. [`PlanOptions`] asks for the same
/// everywhere; a search may ask for more where it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanBits {
    /// Window width of the node's value as an activation, 6..=24 bits.
    pub windows: Vec<u32>,
    /// Bits of the weights of a linear node, 4..=16.
    pub weights: Vec<u32>,
    /// Bits that the comparison of a ReLU node leaves out, 1..=8 and at least three fewer than its
    /// window: exact with one.
    pub left_out: Vec<u32>,
}

impl PlanBits {
    /// The same widths everywhere, exact ReLUs.
    #[must_use]
    pub fn uniform(graph: &Graph, window_bits: u32, weight_bits: u32) -> Self {
        let nodes = graph.nodes.len();
        Self { windows: vec![window_bits; nodes], weights: vec![weight_bits; nodes], left_out: vec![1; nodes] }
    }
}
