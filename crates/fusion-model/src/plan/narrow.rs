//! What a plan gives up where the noise of a linear step does not fit: bits of the logits' window,
//! bits of the step's weights, and bits that small tensors get beyond the others.

use std::collections::BTreeSet;

use super::options::PlanBits;
use super::precision::Refusal;
use crate::graph::{Graph, NodeId};
use crate::program::Program;

/// Window width of the logits where noise leaves it: a few thousand elements cost nothing, and ties
/// are rarer.
const LOGITS_BITS: u32 = 14;
/// Below this the logits' window costs more than narrower weights.
const LEAST_LOGITS_BITS: u32 = 10;
/// A tensor of at most this many elements gets [`SMALL_EXTRA_BITS`] more window: the traffic is
/// negligible, the accuracy is not (dense layers, the vector before the classifier).
const SMALL_ELEMENTS: usize = 4096;
/// See [`SMALL_ELEMENTS`].
const SMALL_EXTRA_BITS: u32 = 3;
/// Weights give up bits down to this before windows do: their errors average out over a row.
const GOOD_WEIGHT_BITS: u32 = 10;
/// Weights give up bits down to this before windows get coarser than the user asked for.
const FAIR_WEIGHT_BITS: u32 = 8;
/// No weights are narrowed below this; the user's window must be.
const LEAST_WEIGHT_BITS: u32 = 6;
/// No window is narrowed by more than this below what the user asked for, nor below
/// [`LEAST_WINDOW_BITS`].
const LAST_WINDOW_BITS: u32 = 3;
/// See [`LAST_WINDOW_BITS`].
const LEAST_WINDOW_BITS: u32 = 6;

/// Widths that the plan may use.
pub(super) struct Widths {
    /// Per linear step, bits of its weights. A bit less halves the scale of weights and biases.
    pub(super) weights: Vec<u32>,
    /// Per node of the graph, bits of its window as an activation.
    pub(super) windows: Vec<u32>,
    /// Bits of the logits' window.
    pub(super) logits: u32,
    /// Per node, the window that was asked for.
    asked: Vec<u32>,
}

impl Widths {
    pub(super) fn widest(graph: &Graph, bits: &PlanBits) -> Self {
        let small = |elements: usize| if elements <= SMALL_ELEMENTS { SMALL_EXTRA_BITS } else { 0 };
        let linear = graph.nodes.iter().zip(&bits.weights).filter(|(node, _)| node.op.as_linear().is_some());
        let weights: Vec<u32> = linear.map(|(_, &bits)| bits).collect();
        Self {
            weights,
            windows: graph.nodes.iter().zip(&bits.windows).map(|(node, bits)| bits + small(node.shape.len())).collect(),
            logits: LOGITS_BITS,
            asked: bits.windows.clone(),
        }
    }

    /// Takes one bit from something that makes the refused steps' noise too large. False if nothing
    /// is left to take. `activations` are the steps of `program` that requantise, with the nodes
    /// whose values they make.
    pub(super) fn narrow(&mut self, program: &Program, activations: &[(usize, NodeId)], refusals: &[Refusal]) -> bool {
        let mut windows = BTreeSet::new();
        let logits_bits = program.logits_window.bits.min(self.logits);
        let mut narrowed = false;
        for refusal in refusals {
            let weights = &mut self.weights[refusal.linear];
            let is_logits = refusal.reader == program.steps.len();
            let node = activations.iter().find(|(step, _)| *step == refusal.reader).map(|(_, node)| node.0);
            let above = |least: u32| node.filter(|&node| self.windows[node] > least);
            let asked = node.map_or(0, |node| self.asked[node]);
            let last = asked.saturating_sub(LAST_WINDOW_BITS).max(LEAST_WINDOW_BITS);
            if is_logits && logits_bits > LEAST_LOGITS_BITS {
                self.logits = logits_bits - 1;
            } else if *weights > GOOD_WEIGHT_BITS {
                *weights -= 1;
            } else if let Some(node) = above(asked) {
                windows.insert(node);
            } else if *weights > FAIR_WEIGHT_BITS {
                *weights -= 1;
            } else if let Some(node) = above(last) {
                windows.insert(node);
            } else if *weights > LEAST_WEIGHT_BITS {
                *weights -= 1;
            } else {
                continue;
            }
            narrowed = true;
        }
        windows.into_iter().for_each(|node| self.windows[node] -= 1);
        narrowed
    }
}
