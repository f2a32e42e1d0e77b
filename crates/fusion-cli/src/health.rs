//! `fusion health`: does a server take lanes?

use anyhow::Result;
use fusion::net::Client;

use crate::cli::HealthArgs;
use crate::query::DEFAULT_SERVER;
use crate::terminal::show;

/// Exit code of a server that answers and takes no lanes.
const NOT_SERVING: u8 = 1;

/// Runs the command; returns the exit code.
///
/// # Errors
/// Nobody answers, or not with the right certificate.
pub(crate) fn run(args: &HealthArgs) -> Result<u8> {
    let serving = Client::connect(args.connect.settings(DEFAULT_SERVER)?)?.is_serving()?;
    show(if serving { "serving" } else { "not serving" })?;
    Ok(if serving { 0 } else { NOT_SERVING })
}
