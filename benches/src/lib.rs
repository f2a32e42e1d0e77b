//! Benchmarks of the Fusion workspace: what `cargo xtask bench-ot`, `bench-relu`, `bench-linear`
//! and `bench-resnet50` do.
//!
//! ```text
//!   xtask (flags) ──> ot, relu, linear, resnet50 ──> text, JSON, HTML
//!                                     |
//!                      resnet50_weights    by npm, from a file, or made up
//!                      measure, package, verified    two processes and a link
//! ```
//!
//! Beside this library, `benches/` has wall-clock benchmarks of inner loops by criterion, and
//! `src/bin/instructions.rs` the gate on instruction counts.

pub mod checkout;
pub mod linear;
mod machine;
mod measure;
mod model;
mod onnx_file;
pub mod ot;
mod package;
mod peers;
mod pictures;
pub mod relu;
pub mod resnet50;
pub mod resnet50_weights;
mod verified;
