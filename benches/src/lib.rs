//! Criterion benches of the Fusion workspace live in `benches/`; this library is empty.
