//! The planner's errors.

use crate::program::ProgramError;
use crate::program::noise::LargestTerms;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// An option outside its range.
    #[error("{option} = {value} is outside {least}..={most}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What was asked for.
        value: f64,
        /// Smallest allowed.
        least: f64,
        /// Largest allowed.
        most: f64,
    },
    /// A node has no protocol where it stands.
    #[error("node `{node}` ({kind}) cannot be planned: {reason}")]
    Node {
        /// Its name.
        node: String,
        /// What it is.
        kind: &'static str,
        /// Why not.
        reason: String,
    },
    /// A step needs a wider ring than there is.
    #[error(
        "layer `{layer}` needs a ring of {needed} bits, at most {available} are available; use a smaller window, fewer weight bits or a smaller margin"
    )]
    Ring {
        /// The step's name.
        layer: String,
        /// Bits needed.
        needed: u32,
        /// Bits allowed.
        available: u32,
    },
    /// The noise of a linear step fits the window of its reader at no precision.
    #[error(
        "the noise of layer `{layer}` is above one unit of the window at `{reader}`, whose largest parts are, in units: {terms}; use a smaller window or fewer weight bits"
    )]
    Noise {
        /// The linear step's name.
        layer: String,
        /// Name of the step that reads it.
        reader: String,
        /// What the noise is made of.
        terms: LargestTerms,
    },
    /// The widths belong to another graph.
    #[error("widths of {} windows, {} linear layers and {} comparisons for a graph of {nodes} nodes", widths[0], widths[1], widths[2])]
    Bits {
        /// Windows, weights and comparisons given.
        widths: [usize; 3],
        /// Nodes of the graph.
        nodes: usize,
    },
    /// The ranges belong to another graph.
    #[error("{ranges} calibrated ranges for a graph of {nodes} nodes")]
    Ranges {
        /// Ranges given.
        ranges: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// The program is larger than any evaluator accepts.
    #[error("the network cannot be planned: {0}")]
    Program(#[from] ProgramError),
}
