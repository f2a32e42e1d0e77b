//! The environment, handed in, so that tests need not change that of their process.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables whose names are Unicode.
pub(super) type Variables = BTreeMap<String, OsString>;

/// Those of this process.
pub(super) fn environment() -> Variables {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}
