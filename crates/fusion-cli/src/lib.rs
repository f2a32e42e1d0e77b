//! The fusion command: prepare, serve, query, plan, verify, eval and demo.
#![forbid(unsafe_code)]
