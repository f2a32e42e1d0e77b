//! End-to-end tests of the Fusion workspace live in `tests/`; this library is empty.
