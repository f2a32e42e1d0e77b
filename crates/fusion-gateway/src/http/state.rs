//! What handlers work on.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::error::ApiError;
use crate::shared::Shared;

/// What handlers work on.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) shared: Arc<Shared>,
    pub(super) uploads: Arc<Semaphore>,
    pub(super) decoding: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
}

/// Runs a call of the database, which waits for the disk, where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    http: &Http,
    call: impl FnOnce(&Shared) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let shared = Arc::clone(&http.shared);
    let done = tokio::task::spawn_blocking(move || call(&shared)).await;
    Ok(done.map_err(|_| ApiError::busy("the gateway stops"))??)
}
