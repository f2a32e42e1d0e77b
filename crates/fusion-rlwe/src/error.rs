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
    /// A convolution that this layout cannot hold.
    #[error("layout refused: {0}")]
    Layout(String),
    /// Weights that break the plan (number, norm).
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
    /// A layer's hint, weights and noise do not belong together: wrong words on disk or in memory,
    /// or a broken source of randomness.
    #[error(
        "self-test: output {output} has {ratio:.3} times its planned noise: the hint is not of these weights, or the bytes of one of them are damaged; prepare the model again"
    )]
    SelfTest {
        /// The row of the hint.
        output: usize,
        /// Measured over planned standard deviation.
        ratio: f64,
    },
    /// The caller broke the contract of a function.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}
