//! Two-party evaluation of convolutional networks.
#![forbid(unsafe_code)]

pub mod program;
