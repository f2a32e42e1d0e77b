//! Two-party evaluation of convolutional networks.
#![forbid(unsafe_code)]

pub mod calibrate;
pub mod card;
mod conv;
pub mod exec;
pub mod float;
pub mod graph;
pub mod nonlinear;
pub mod onnx;
pub mod package;
pub mod passes;
pub mod plan;
pub mod preprocess;
pub mod program;
pub mod twin;

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod testing;
