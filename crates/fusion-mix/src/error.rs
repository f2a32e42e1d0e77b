//! Errors of planning and verification: each says whose fault it is.
//!
//! A rejected batch is not an error: it is a verdict with evidence.

use std::path::PathBuf;

/// Why a plan, a batch or a file of this crate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MixError {
    /// The caller passed a value outside its documented range.
    #[error("{what} must be {range}, but is {value}")]
    OutOfRange {
        /// The parameter.
        what: &'static str,
        /// The range in words.
        range: &'static str,
        /// What was passed.
        value: String,
    },
    /// No plan within the limits meets the request.
    #[error(
        "no plan for {queries} queries reaches soundness 2^-{lambda} with at most {max_publics} public samples and {max_copies} copies: {hint}"
    )]
    NoPlan {
        /// Queries asked for.
        queries: u32,
        /// Soundness asked for, in bits.
        lambda: f64,
        /// The most public samples that the request allows.
        max_publics: u32,
        /// The most copies that the request allows.
        max_copies: u32,
        /// What the user may change.
        hint: &'static str,
    },
    /// The pool holds fewer public samples than the plan draws.
    #[error("the plan draws {needed} public samples, but the pool holds only {available}")]
    PoolTooSmall {
        /// Samples that the plan draws.
        needed: u32,
        /// Samples in the pool.
        available: u32,
    },
    /// The caller broke the contract of a function.
    #[error("misuse: {0}")]
    Misuse(&'static str),
    /// Too many lanes failed. This says nothing about cheating: a server or a network that is down
    /// looks the same.
    #[error("server unavailable: {failed} lane runs failed, at most {allowed} are allowed")]
    ServerUnavailable {
        /// Lane runs that failed.
        failed: u32,
        /// Lane runs that may fail.
        allowed: u32,
    },
    /// An interrupted run is not resumed, because more of its lanes had failed than may.
    #[error("this run cannot be resumed: {failed} lane runs failed before, at most {allowed} are allowed; begin a new run")]
    FailuresUsedUp {
        /// Lane runs that failed.
        failed: u32,
        /// Lane runs that may fail.
        allowed: u32,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file was read, but it is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its contents.
        reason: String,
    },
}
