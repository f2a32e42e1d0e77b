//! Hinted RLWE linear algebra.

pub mod geometry;

pub use geometry::{ConvGeometry, Padding, Shape};
