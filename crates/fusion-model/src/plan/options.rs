//! What a user can choose.

/// The choices that a plan leaves to its user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanOptions {
    /// Window width h of the requantisations, in bits, 6..=24. Traffic grows with it.
    pub window_bits: u32,
    /// Bits of a weight, sign included, 4..=16. At most 8 halve the server's work.
    pub weight_bits: u32,
    /// Values may be this factor larger than in calibration before they overflow; at least 1.
    pub margin: f64,
    /// Widest ring of a linear step, in bits; 27 is what the ciphertext modulus 2^88 carries.
    pub max_ring_bits: u32,
}

impl Default for PlanOptions {
    /// 13-bit windows, 12-bit weights, margin 1.3: with these, ResNet50 keeps the float model's
    /// label on ImageNet photos. (Weights of 9 to 16 bits cost the server the same; 12 bits cost
    /// 1.5% more traffic than 10 and have a third of the error.)
    fn default() -> Self {
        Self { window_bits: 13, weight_bits: 12, margin: 1.3, max_ring_bits: 27 }
    }
}
