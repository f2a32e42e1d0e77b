//! The crate from outside, over loopback. One binary, since each would link the whole gRPC stack
//! again.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod crowds;
mod faults;
mod hints;
mod hostile;
mod lanes;
mod limits;
mod link;
mod models;
mod room;
mod standard;
mod support;
mod tls;
mod tokens;
