//! Generated from `proto/onnx.proto` by `cargo xtask codegen`.
#![expect(unreachable_pub, reason = "generated code")]

include!("proto/onnx.rs");
