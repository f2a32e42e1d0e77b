//! Memory for secrets: wiped on drop, never printed, never compared.

mod wiped;

pub use wiped::{Element, Wiped, wipe};
