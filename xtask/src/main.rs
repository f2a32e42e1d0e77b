//! Maintenance tasks of the Fusion workspace: `cargo xtask <task>`.

fn main() {}
