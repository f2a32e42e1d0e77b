//! Erases what is to be forgotten, whether or not the server is there.

use std::time::Duration;

use super::link::Links;
use super::waits::trouble;
use crate::settings::journal_of;
use crate::shared::{Shared, now};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);
/// How often for times of retention that are shorter than that.
const OFTEN: Duration = Duration::from_secs(1);

/// Erases until the gateway stops.
pub(super) fn work(shared: &Shared, _: &Links) {
    let Some(after) = shared.settings.forget_after else { return };
    while !shared.stops() {
        if let Err(error) = forget(shared, after) {
            trouble(shared, &error);
        }
        shared.pause(if after < EVERY { OFTEN } else { EVERY });
    }
}

/// Erases what ended so long ago: images, labels, and the journals that hold labels by position.
fn forget(shared: &Shared, after: Duration) -> rusqlite::Result<()> {
    let moment = now().saturating_sub(i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
    for batch in shared.store.forget(moment)? {
        let journal = journal_of(&shared.directory, &batch);
        match std::fs::remove_dir_all(&journal) {
            Ok(()) => shared.store.erased(&batch)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => shared.store.erased(&batch)?,
            Err(error) => tracing::error!(%error, journal = %journal.display(), "a journal cannot be erased; trying again later"),
        }
    }
    Ok(())
}
