//! The gateway over HTTP, with a real server of digits in this process.
//!
//! | module | what it holds the gateway to |
//! |---|---|
//! | `answers` | what becomes of an image, retention, webhook |
//! | `refusals` | everything that a request can have wrong with it |
//! | `hostile` | other users' images, other sites, slow and huge requests |
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do, by panicking")]

mod answers;
mod common;
mod hostile;
mod refusals;
