//! Errors of the linear layers, by whose fault they are.

use fusion_ring::channel::ChannelError;

/// Why a linear layer could not be planned or evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RlweError {
    /// The transport failed; the lane is dead.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Parameters outside what is secure or exact.
    #[error("parameters refused: {0}")]
    Parameters(String),
    /// The decryption noise of a layer would exceed what rounding removes.
    #[error(
        "the noise of a layer with ring width {plain_bits} and row norm 2^{row_norm_bits} takes {used:.3} of the 0.5 that decryption tolerates at modulus 2^{modulus_bits}: use a wider modulus or fewer bits"
    )]
    NoiseBudget {
        /// Ring width l of the layer, bits.
        plain_bits: u32,
        /// Modulus width w, bits.
        modulus_bits: u32,
        /// log2 of the bound on the norm of a weight row.
        row_norm_bits: u32,
        /// Planned worst |error| / scale.
        used: f64,
    },
    /// A convolution that this layout cannot hold.
    #[error("layout refused: {0}")]
    Layout(String),
    /// Weights that break the plan (number, norm, sum).
    #[error("weights refused: {0}")]
    Weights(String),
    /// A hint of another size than the layer's.
    #[error("the hint has {got} bytes where the layer has {expected}")]
    HintSize {
        /// Bytes that the layer's hint has.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The hint could not be read.
    #[error("cannot read the hint: {0}")]
    HintRead(String),
    /// The caller broke the contract of a function.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}
