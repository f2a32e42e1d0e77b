//! Two-party evaluation of convolutional networks: from an ONNX file to labels that only the client learns.
//!
//! ```text
//!   server, once                                              both, per lane
//!   model.onnx --onnx--> graph --passes--> simplified graph
//!                                   |  calibrate (float, images)
//!                                   v
//!                                 plan --> Program (public) --------> exec: step by step on shares
//!                                     `--> Weights (private) ------>    linear     fusion-rlwe and a hint
//!                                           |                           non-linear nonlinear, on fusion-ot
//!                                           v                           argmax     opened to the client only
//!                        twin: the same arithmetic in the clear            |
//!                                           `------- equal up to carries --'
//! ```
//!
//! A [`Program`](program::Program) is the contract of everything after it: which steps, on which rings, with which windows. The planner writes it, the [`twin`] evaluates it in
//! plaintext integers, [`exec`] evaluates it on shares. [`card`] and [`package`] describe and store a prepared model.
//!
//! # Example
//! Plan the demo's digit classifier and evaluate the plan on an image (blank, to keep this short):
//! ```
//! use fusion_nn::{calibrate::calibrate, onnx, plan, preprocess::Preprocess, twin};
//!
//! let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/mnist/mnist.onnx"))?;
//! let graph = onnx::import(&file)?;
//! let image = Preprocess::mnist().tensor(&[0; 28 * 28])?;
//! let ranges = calibrate(&graph, std::slice::from_ref(&image))?;
//! let (program, weights) = plan::plan(&graph, &ranges, &plan::PlanOptions::default())?;
//! let run = twin::Twin::new(&program, &weights)?.run(program.encode(&image)?, &mut twin::Carries::Nearest)?;
//! assert_eq!((run.logits.len(), run.total_overflows()), (10, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! [`nonlinear`] has an example of two parties computing together.
//!
//! # What is assumed
//! The program is public: architecture, shapes, scales, ring widths. Calibration images are typical of what will be asked; a value beyond its window wraps, and the twin counts such
//! overflows by layer. The parties run the same program (the card's digest sees to that).
//!
//! # Security
//! Against a malicious server the client's images stay hidden: all that the server receives is ciphertexts and messages masked by fresh random OTs. The *answers* are only as right as the server is honest;
//! `fusion-mix` is for catching it. Against a semi-honest client the weights stay hidden but for the answers; a malicious client is not defended against. `docs/threats.md` lists the
//! known attacks and where each is answered. Not audited.
//!
//! # Where to read next
//! [`program`] first, then [`twin`] (what is computed), [`exec`] (who sends what) and [`nonlinear`] (how a ReLU is bought).
#![forbid(unsafe_code)]

pub mod calibrate;
pub mod card;
mod conv;
pub mod cost;
pub mod eval;
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
