//! Two-party evaluation of convolutional networks.
#![forbid(unsafe_code)]

pub mod nonlinear;
pub mod preprocess;
pub mod program;
