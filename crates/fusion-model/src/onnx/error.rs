//! Why a model cannot be imported.

use crate::graph::ShapeError;

/// Why a model cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {0}")]
    Decode(String),
    /// An operator, or a use of one, that the protocol does not support.
    #[error("node `{node}` ({operator}) is not supported: {reason}; {advice}")]
    Unsupported {
        /// The node's name.
        node: String,
        /// Its operator.
        operator: String,
        /// What about it.
        reason: String,
        /// What the user can do.
        advice: &'static str,
    },
    /// A node contradicts the ONNX specification.
    #[error("node `{node}` ({operator}) is invalid: {reason}")]
    Invalid {
        /// The node's name.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        reason: String,
    },
    /// Shapes that do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The graph as a whole is not an image classifier.
    #[error("the model is not an image classifier: {0}")]
    Model(String),
}
