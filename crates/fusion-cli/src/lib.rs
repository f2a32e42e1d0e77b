//! What the `fusion` command is made of: input images, the demo's assets, and one module per command.
//!
//! `main.rs` is a page; everything else is here, so that tests and `xtask` call the same code that a user runs.
//!
//! ```
//! use fusion_cli::{images, samples};
//! use fusion_nn::preprocess::Preprocess;
//!
//! let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist/queries");
//! let queries = samples::folder(&folder)?;
//! let tensor = queries[0].tensor(&Preprocess::mnist())?;
//! assert_eq!(tensor.len(), 28 * 28);
//! # Ok::<(), images::ImageError>(())
//! ```
//!
//! Read [`images`] for what an image file goes through before a network sees it, [`samples`] for folders, labels and pools.
#![forbid(unsafe_code)]

pub mod assets;
pub mod images;
mod resize;
pub mod samples;
