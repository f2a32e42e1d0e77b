//! What private inference computes: from an ONNX file to a fixed-point program that two parties can
//! evaluate, and the same arithmetic in the clear. How the parties evaluate it is `fusion-nn`'s.
//!
//! ```text
//!   model.onnx --onnx--> graph --passes--> simplified graph
//!                                   |  calibrate (float, images)
//!                                   v
//!                                 plan --> Program (public) ---> card -.
//!                                     `--> Weights (private) -----------+--> package
//!                                           |
//!                                           v
//!                                         twin: the program in plaintext integers
//!                                         eval: the twin beside the float network
//! ```
//!
//! A [`Program`](program::Program) is the contract of everything after it: which steps, on which
//! rings, with which windows. The planner writes it, the [`twin`] evaluates it in plaintext
//! integers, `fusion-nn` evaluates it on shares. [`card`] and [`package`] describe and store a
//! prepared model.
//!
//! # Example
//! Plan the demo's digit classifier and evaluate the plan on a blank image:
//! ```
//! use fusion_model::twin::{TruncationCarry, Twin};
//! use fusion_model::{calibrate::calibrate, onnx, plan, preprocess::Preprocess};
//!
//! # let mnist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/mnist/mnist.onnx");
//! let graph = onnx::import(&std::fs::read(mnist)?)?;
//! let image = Preprocess::mnist().tensor(&[0; 28 * 28])?;
//! let ranges = calibrate(&graph, std::slice::from_ref(&image))?;
//! let (program, weights) = plan::plan(&graph, &ranges, &plan::PlanOptions::default())?;
//! let twin = Twin::new(&program, &weights)?;
//! let run = twin.run(program.encode(&image)?, &mut TruncationCarry::Nearest)?;
//! assert_eq!((run.logits.len(), run.total_overflows()), (10, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is assumed
//! The program is public: architecture, shapes, scales, ring widths. Calibration images are typical
//! of those that clients send; a value beyond its window wraps, and the twin counts such overflows
//! by layer.
//!
//! # Security
//! Nothing here is a protocol. But files come from strangers: an ONNX file, a card or a package can
//! be refused, with a reason, and can make the reader neither panic nor allocate without bound. Not
//! audited.
//!
//! # Where to read next
//! [`program`] first, then [`noise`], [`twin`] (what is computed), [`plan`](mod@plan) (how scales
//! and windows are chosen), [`onnx`] (what is understood) and [`repeatability`] (what an owner can
//! say of answers before anybody asks). `examples/twin.rs` compares the twin
//! with the float network.
//!
//! # Features
//! `full` (default) is everything. Without it only [`program`] and [`noise`] are left, for crates
//! that evaluate programs and need neither protobuf nor safetensors.
#![forbid(unsafe_code)]

pub mod program;

pub use program::noise;

#[cfg(feature = "full")]
pub mod answer_sheet;
#[cfg(feature = "full")]
pub mod calibrate;
#[cfg(feature = "full")]
pub mod card;
#[cfg(feature = "full")]
mod conv;
#[cfg(feature = "full")]
mod curve;
#[cfg(feature = "full")]
pub mod eval;
#[cfg(feature = "full")]
pub mod float;
#[cfg(feature = "full")]
pub mod graph;
#[cfg(feature = "full")]
pub mod onnx;
#[cfg(feature = "full")]
pub mod package;
#[cfg(feature = "full")]
pub mod passes;
#[cfg(feature = "full")]
pub mod plan;
#[cfg(feature = "full")]
pub mod preprocess;
#[cfg(feature = "full")]
pub mod repeatability;
#[cfg(feature = "full")]
pub mod twin;

#[cfg(any(test, feature = "test-utils"))]
pub mod testing;

#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
