//! The threads that talk to the Fusion server.
//!
//! ```text
//!   provisional   waiting images, up to sixteen in a plain lane   -> a provisional label
//!   batch         all waiting images, mixed, tested, judged       -> verified or rejected
//!   sweep         what ended long enough ago                      -> erased
//! ```
//! The first two stop asking when a batch was rejected, until somebody has acknowledged it: what a
//! cheating server learns from further questions is its own.

mod batch;
mod link;
mod provisional;
mod sweep;
mod waits;

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::error::GatewayError;
use crate::shared::Shared;
use link::Links;

/// Starts the workers.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, GatewayError> {
    let links = Arc::new(Links::default());
    let begin = |name: &str, work: fn(&Shared, &Links)| {
        let (shared, links) = (Arc::clone(shared), Arc::clone(&links));
        let run = move || work(&shared, &links);
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(GatewayError::file(&shared_name(name)))
    };
    Ok(vec![begin("provisional", provisional::work)?, begin("batch", batch::work)?, begin("sweep", sweep::work)?])
}

fn shared_name(thread: &str) -> std::path::PathBuf {
    format!("thread {thread}").into()
}
