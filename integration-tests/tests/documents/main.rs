//! Keeps documents and house rules true: what a text names must exist, and every source file must
//! keep the rules that CONTRIBUTING.md lists. Reads the tree only; needs none of our crates.

#![expect(clippy::unwrap_used, reason = "a test")]

mod circles;
mod code_blocks;
mod modules;
mod paths;
mod rules;
mod source;
mod tables;
mod tree;
mod words;
