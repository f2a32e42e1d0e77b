//! What the tests in `tests/` and `cargo xtask` share: a peer that cheats, and inputs for fuzz
//! targets by a seeded mutator.
#![forbid(unsafe_code)]

pub mod fuzzing;
pub mod hostile;
mod memory;
