//! What a lane costs and how far it is.

use fusion_ring::channel::Traffic;

use crate::layers::Ledger;

/// What one step cost this party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepCost {
    /// Name of the step.
    pub name: String,
    /// Account of the step by phase.
    pub ledger: Ledger,
}

/// Told after every step.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Steps done.
    pub done: usize,
    /// Steps in all, the opening of the answers counted as one.
    pub steps: usize,
    /// Name of the step just done.
    pub name: &'a str,
    /// What this party has sent and received so far.
    pub traffic: Traffic,
}
