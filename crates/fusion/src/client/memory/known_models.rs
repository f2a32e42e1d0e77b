//! Which model was seen first at which address.

use rusqlite::{OptionalExtension, params};

use super::Memory;
use crate::client::trust::{ServedDigests, Trust, decide};
use crate::error::Error;

impl Memory {
    /// Decides on the model `served` at `address`; a pin overrides what was seen before, and is
    /// remembered. Of clients that meet an address for the first time together the first one
    /// decides for all.
    pub(crate) fn trust(&self, address: &str, served: ServedDigests, pin: Option<&str>) -> Result<Trust, Error> {
        self.write(|transaction| {
            let known =
                transaction.query_row("SELECT digest FROM known_models WHERE address = ?1", [address], |row| row.get::<_, String>(0));
            let known = known.optional().map_err(|error| self.failed(error))?;
            let trust = decide(address, known.as_deref(), served, pin)?;
            let served = served.model.to_string();
            if known.as_deref() != Some(&served) {
                let remembered = transaction.execute("INSERT OR REPLACE INTO known_models VALUES (?1, ?2)", params![address, served]);
                remembered.map_err(|error| self.failed(error))?;
            }
            Ok(trust)
        })
    }
}
