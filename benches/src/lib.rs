//! Benchmarks of the Fusion workspace: what `cargo xtask bench-ot`, `bench-relu`, `bench-linear`,
//! `bench-resnet50` and `bench-networks` do.
//!
//! ```text
//!   xtask (flags) ──> ot, relu, linear, resnet50, networks ──> text, JSON, HTML
//!                                 |         |        |
//!                      resnet50_weights   measure, package, verified, peers
//!                      npm, file, made up     two processes and a link
//! ```
//!
//! Beside this library, `benches/` has wall-clock benchmarks of inner loops by criterion, and
//! `src/bin/instructions.rs` the gate on instruction counts.

pub mod checkout;
pub mod linear;
mod machine;
mod measure;
mod model;
pub mod networks;
mod onnx_file;
pub mod ot;
mod package;
mod peers;
mod pictures;
pub mod relu;
pub mod resnet50;
pub mod resnet50_weights;
pub mod soak;
mod verified;
