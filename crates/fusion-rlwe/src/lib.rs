//! Hinted RLWE linear algebra.
#![forbid(unsafe_code)]

mod client;
mod error;
pub mod geometry;
mod layer;
pub mod layout;
pub mod params;
pub mod plain;
pub mod public;
mod sample;
mod server;

pub use client::ClientLane;
pub use error::RlweError;
pub use geometry::{ConvGeometry, Padding, Shape};
pub use layer::{Layer, key_bytes};
pub use layout::Layout;
pub use params::RlweParams;
pub use public::PublicSeed;
pub use server::{ServerKey, ServerLane, ServerLayer};
