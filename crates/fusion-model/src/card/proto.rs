//! Generated from `proto/card.proto` by `cargo xtask codegen`.
#![expect(unreachable_pub, reason = "generated code")]

include!("proto/fusion.card.rs");
