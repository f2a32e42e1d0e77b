//! Why a lane stopped.

use fusion_model::program::ProgramError;
use fusion_ot::OtError;
use fusion_ring::channel::ChannelError;
use fusion_rlwe::RlweError;

use crate::layers::ProtocolError;

/// Why a lane, or the model under it, did not work. A lane that failed is gone: open another with
/// fresh randomness.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The transport failed.
    #[error(transparent)]
    Channel(ChannelError),
    /// The oblivious transfers of the lane could not be set up.
    #[error("set-up of oblivious transfer: {0}")]
    SetUp(OtError),
    /// A layer protocol failed.
    #[error("step {step}: {error}")]
    Protocol {
        /// Name of the step.
        step: String,
        /// What went wrong.
        error: ProtocolError,
    },
    /// A linear layer failed.
    #[error("step {step}: {error}")]
    Linear {
        /// Name of the step.
        step: String,
        /// What went wrong.
        error: RlweError,
    },
    /// The program is malformed.
    #[error(transparent)]
    Program(ProgramError),
    /// A step of the program cannot be evaluated as planned.
    #[error("step {step}: {reason}")]
    Step {
        /// Name of the step.
        step: String,
        /// Why.
        reason: String,
    },
    /// An image has another size than the network's input.
    #[error("an image has {got} numbers where the network reads {expected}")]
    ImageSize {
        /// Numbers that the network reads.
        expected: usize,
        /// Numbers given.
        got: usize,
    },
    /// The hint has another size than the model's: it belongs to another model.
    #[error("the hint has {got} bytes where the model needs {expected}: it belongs to another model")]
    HintSize {
        /// Bytes that the model's hint has.
        expected: u64,
        /// Bytes given.
        got: u64,
    },
    /// The hint's file could not be opened.
    #[error("cannot open the hint {path}: {reason}")]
    HintFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The caller broke the contract of a function.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}

impl LaneError {
    /// A layer protocol failed in `step`.
    pub(super) fn protocol(step: &str, error: ProtocolError) -> Self {
        Self::Protocol { step: step.to_owned(), error }
    }

    /// A linear layer failed in `step`.
    pub(super) fn linear(step: &str, error: RlweError) -> Self {
        if let RlweError::Channel(error) = error { Self::Channel(error) } else { Self::Linear { step: step.to_owned(), error } }
    }
}
