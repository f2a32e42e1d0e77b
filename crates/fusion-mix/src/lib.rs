//! Verification of private inference: soundness arithmetic, planner, secret permutation, accuracy statistics, report.
#![forbid(unsafe_code)]
