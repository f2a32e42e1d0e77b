//! The fixed-point plan: from a float graph and its calibrated ranges to a [`Program`] and its integer [`Weights`].
//!
//! Every choice is a power of two per tensor or per linear step, because shifts are what the protocol gets for nothing:
//!
//! - An *activation* (the network's input, the result of a requantisation) has scale 2^frac, the largest at which its calibrated range
//!   times the margin fits the window.
//! - A *linear step* has weights of scale 2^(product scale - activation scale), the largest at which they fit `weight_bits` and its
//!   result fits the widest ring.
//! - A *requantisation* drops the bits between the two. Its window's guarantee is the margin over the calibrated range.
//! - A *ring* is as wide as the widest reader needs, no wider: bytes on the wire grow with it.
//!
//! Where values are compared (maximum pooling, argmax) or stay signed, the ring has the spare bit that makes this cheap, see [`Window`].

mod lower;
mod quantise;

use crate::calibrate::Ranges;
use crate::graph::Graph;
use crate::program::{Program, ProgramError, Weights};

#[cfg(doc)]
use crate::program::Window;

/// What a user can choose.
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
    /// What keeps the float model's label on ImageNet photos with ResNet50: 13-bit windows, 12-bit weights, margin 1.3. (Weights of 9 to 16
    /// bits cost the server the same; 12 bits cost 1.5% more traffic than 10 and have a third of the error.)
    fn default() -> Self {
        Self { window_bits: 13, weight_bits: 12, margin: 1.3, max_ring_bits: 27 }
    }
}

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
    /// A node has no protocol in the place where it stands.
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

/// Plans a graph that [`passes::simplify`](crate::passes::simplify) has brought into form.
///
/// The program passes [`Program::validate`] and the weights [`Weights::validate`].
///
/// # Errors
/// An option out of range, a node without protocol, a layer whose values are too wide (with its name).
pub fn plan(graph: &Graph, ranges: &Ranges, options: &PlanOptions) -> Result<(Program, Weights), PlanError> {
    let check = |option, value: f64, least: f64, most: f64| {
        if value >= least && value <= most { Ok(()) } else { Err(PlanError::Option { option, value, least, most }) }
    };
    check("window bits", f64::from(options.window_bits), 6.0, 24.0)?;
    check("weight bits", f64::from(options.weight_bits), 4.0, 16.0)?;
    check("margin", options.margin, 1.0, 1000.0)?;
    check("ring bits", f64::from(options.max_ring_bits), 12.0, 32.0)?;
    let same_shape = ranges.means.iter().zip(&graph.nodes).all(|(m, n)| m.len() == n.shape.channels);
    if ranges.nodes.len() != graph.nodes.len() || ranges.means.len() != graph.nodes.len() || !same_shape {
        return Err(PlanError::Ranges { ranges: ranges.nodes.len(), nodes: graph.nodes.len() });
    }
    let (program, weights) = lower::lower(graph, ranges, options)?;
    program.validate()?;
    Ok((program, weights))
}
