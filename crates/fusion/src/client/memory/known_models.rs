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
            let digest = served.model.to_string();
            // A server that had one model may have several now: the same model is no news.
            let at_address = find(asked.address)?.filter(|first| *first == digest);
            let mut trust = None;
            for key in asked.keys() {
                let known = find(&key)?;
                let decided = decide(&key, known.as_deref().or(at_address.as_deref()), served, pin)?;
                // What is new under one key may be known under another.
                trust = trust.filter(|trust| *trust != Trust::FirstUse).or(Some(decided));
                if known.as_deref() != Some(&digest) {
                    let done = transaction.execute("INSERT OR REPLACE INTO known_models VALUES (?1, ?2)", params![key, digest]);
                    done.map_err(|error| self.failed(error))?;
                }
            }
            let trust = trust.unwrap_or(Trust::FirstUse);
            Ok(trust)
        })
    }
}
