//! gRPC lanes between a Fusion client and a Fusion server: service, limits, hint download, link shaping.
#![forbid(unsafe_code)]
