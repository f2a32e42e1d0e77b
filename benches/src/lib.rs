//! Benchmarks of the Fusion workspace: wall-clock ones in `benches/`, and the gate on instruction
//! counts in `src/bin/instructions.rs`. This library is empty.
