//! Which model was seen first at which address.

use rusqlite::{OptionalExtension, params};

use super::Memory;
use crate::client::trust::{Asked, ServedDigests, Trust, decide};
use crate::error::Error;

impl Memory {
    /// Decides on the model `served` to whoever `asked`; a pin overrides what was seen before, and
    /// is remembered. Of clients that meet an address for the first time together the first one
    /// decides for all.
    pub(crate) fn trust(&self, asked: Asked<'_>, served: ServedDigests, pin: Option<&str>) -> Result<Trust, Error> {
        self.write(|transaction| {
            let find = |key: &str| {
                let found =
                    transaction.query_row("SELECT digest FROM known_models WHERE address = ?1", [key], |row| row.get::<_, String>(0));
                found.optional().map_err(|error| self.failed(error))
            };
            let (key, digest) = (asked.key(), served.model.to_string());
            let remembered = find(&key)?;
            // A server that had one model may have several now: the same model is no news.
            let known = match &remembered {
                None => find(asked.address)?.filter(|first| *first == digest),
                Some(_) => remembered.clone(),
            };
            let trust = decide(&key, known.as_deref(), served, pin)?;
            if remembered.as_deref() != Some(&digest) {
                let done = transaction.execute("INSERT OR REPLACE INTO known_models VALUES (?1, ?2)", params![key, digest]);
                done.map_err(|error| self.failed(error))?;
            }
            Ok(trust)
        })
    }
}
