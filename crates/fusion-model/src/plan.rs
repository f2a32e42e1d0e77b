//! The fixed-point plan: from a float graph and its calibrated ranges to a [`Program`] and its
//! integer [`Weights`].
//!
//! Every choice is a power of two per tensor or per linear step, because shifts cost the protocol
//! nothing:
//!
//! - An *activation* (the network's input, the result of a requantisation) has scale 2^frac, the
//!   largest at which its calibrated range times the margin fits the window.
//! - A *linear step* has weights of scale 2^(product scale - activation scale), the largest at
//!   which they fit `weight_bits` and its result fits a ring of 32 bits.
//! - A *requantisation* shifts out the bits between the two. Its window holds the calibrated range
//!   times the margin.
//! - A *ring* is as wide as its widest reader needs and no wider.
//! - *Ciphertexts and hints* are as precise as the windows need that hide their
//!   [noise](crate::noise), and no more, because traffic grows with it. A layer whose noise fits no
//!   window gets narrower weights, or its reader a coarser window (by at most three bits below
//!   `window_bits`).
//!
//! Not every place matters alike: [`sensitivities`] measures what rounding at each does to the
//! logits, for a search that asks for widths place by place ([`PlanBits`]).
//!
//! Where values are compared (maximum pooling, argmax) or stay signed, the ring has one bit of
//! headroom that makes this cheap, see [`Window`].

mod error;
mod fit;
mod lower;
mod narrow;
mod options;
mod precision;
mod quantise;
mod rings;
mod sensitivity;

pub use error::PlanError;
pub use options::{PlanBits, PlanOptions};
pub use sensitivity::{Sensitivities, Sensitivity, SensitivityError, sensitivities};

use self::narrow::Widths;
use crate::calibrate::Ranges;
use crate::graph::Graph;
use crate::program::{COARSE_BITS, Program, Weights};

#[cfg(doc)]
use crate::program::Window;

/// Plans a graph that [`passes::simplify`](crate::passes::simplify) has brought into form, with the
/// same widths everywhere.
///
/// The program passes [`Program::validate`] and the weights [`Weights::validate`].
///
/// # Errors
/// An option out of range, a node without protocol, a layer whose values are too wide or whose
/// noise fits no window (with its name).
pub fn plan(graph: &Graph, ranges: &Ranges, options: &PlanOptions) -> Result<(Program, Weights), PlanError> {
    let bits = PlanBits::uniform(graph, options.window_bits, options.weight_bits);
    plan_with(graph, ranges, options.margin, &PlanBits { left_out: vec![options.left_out; graph.nodes.len()], ..bits })
}

/// [`plan`] with widths of their own for every node.
///
/// # Errors
/// As [`plan`]; [`PlanError::Bits`] if there is not one width per node.
pub fn plan_with(graph: &Graph, ranges: &Ranges, margin: f64, bits: &PlanBits) -> Result<(Program, Weights), PlanError> {
    check(graph, ranges, margin, bits)?;
    let mut widths = Widths::widest(graph, bits);
    loop {
        let mut lowered = lower::lower(graph, ranges, margin, bits, &widths)?;
        let refusals = precision::set_precisions(&mut lowered.program);
        let Some(first) = refusals.first() else {
            lowered.program.validate()?;
            return Ok((lowered.program, lowered.weights));
        };
        if !widths.narrow(&lowered.program, &lowered.activations, &refusals) {
            let name = |step: usize| lowered.program.steps.get(step).map_or("logits", |s| s.name.as_str()).to_owned();
            return Err(PlanError::Noise { layer: name(first.step), reader: name(first.reader), terms: first.terms.clone() });
        }
    }
}

fn check(graph: &Graph, ranges: &Ranges, margin: f64, bits: &PlanBits) -> Result<(), PlanError> {
    let within = |option, value: f64, least: f64, most: f64| {
        if value >= least && value <= most { Ok(()) } else { Err(PlanError::Option { option, value, least, most }) }
    };
    let nodes = graph.nodes.len();
    let widths = [&bits.windows, &bits.weights, &bits.left_out].map(Vec::len);
    if widths.iter().any(|&widths| widths != nodes) {
        return Err(PlanError::Bits { widths, nodes });
    }
    bits.windows.iter().try_for_each(|&bits| within("window bits", f64::from(bits), 6.0, 24.0))?;
    bits.weights.iter().try_for_each(|&bits| within("weight bits", f64::from(bits), 4.0, 16.0))?;
    for (&left_out, &window) in bits.left_out.iter().zip(&bits.windows) {
        // What a coarse ReLU compares at least.
        let most = (*COARSE_BITS.end()).min(window - 3);
        within("bits left out of a comparison", f64::from(left_out), 1.0, f64::from(most))?;
    }
    within("margin", margin, 1.0, 1000.0)?;
    let same_shape = ranges.means.iter().zip(&graph.nodes).all(|(m, n)| m.len() == n.shape.channels);
    if ranges.nodes.len() != nodes || ranges.means.len() != nodes || !same_shape {
        return Err(PlanError::Ranges { ranges: ranges.nodes.len(), nodes });
    }
    Ok(())
}
