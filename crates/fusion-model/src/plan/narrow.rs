//! What a plan gives up where the noise of a linear step does not fit: low bits of the step's
//! biases, bits of the logits' window, bits of the step's weights, and bits that small tensors get
//! beyond the others.

use std::collections::BTreeSet;

use super::options::PlanOptions;
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
    /// Per linear step, by how much its biases may be wrong, in units of its result.
    pub(super) bias_slack: Vec<i64>,
    /// Per node of the graph, bits of its window as an activation.
    pub(super) windows: Vec<u32>,
    /// Bits of the logits' window.
    pub(super) logits: u32,
    /// What the user asked for.
    window: u32,
}

impl Widths {
    pub(super) fn widest(graph: &Graph, options: &PlanOptions) -> Self {
        let small = |elements: usize| if elements <= SMALL_ELEMENTS { SMALL_EXTRA_BITS } else { 0 };
        Self {
            // At most one linear step per node.
            weights: vec![options.weight_bits; graph.nodes.len()],
            bias_slack: vec![0; graph.nodes.len()],
            windows: graph.nodes.iter().map(|n| options.window_bits + small(n.shape.len())).collect(),
            logits: LOGITS_BITS,
            window: options.window_bits,
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
            let last = self.window.saturating_sub(LAST_WINDOW_BITS).max(LEAST_WINDOW_BITS);
            // The lower of a bias's two weights is often larger than a row of the others, and worth
            // a small part of a window's unit.
            let slack = std::mem::replace(&mut self.bias_slack[refusal.linear], refusal.bias_slack);
            if slack == 0 && refusal.bias_slack > 0 {
                // That may do.
            } else if is_logits && logits_bits > LEAST_LOGITS_BITS {
                self.logits = logits_bits - 1;
            } else if *weights > GOOD_WEIGHT_BITS {
                *weights -= 1;
            } else if let Some(node) = above(self.window) {
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
