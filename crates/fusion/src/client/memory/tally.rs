//! What public samples have shown, added up by all clients of one home.

use std::collections::BTreeSet;
use std::path::Path;

use fusion_mix::audit::{AuditEntry, AuditLog};
use fusion_mix::verify::Verification;

use super::Memory;
use super::error::MemoryError;
use super::rows::{hints, log, read_tally, write_tally};

impl Memory {
    /// Adds the answers of a batch, once however often it is called, and returns the tally of its
    /// model with it.
    pub(crate) fn record(&self, entry: &AuditEntry, batch: &Verification) -> Result<AuditLog, MemoryError> {
        self.write(|transaction| {
            let hint = entry.digest();
            let failed = |error| self.failed(error);
            let mut log = log(read_tally(transaction, hint).map_err(failed)?.map(|tally| (hint.to_owned(), tally)))?;
            let before = log.clone();
            log.record(entry, batch);
            if log != before {
                for (hint, tally) in log.tallies() {
                    write_tally(transaction, hint, tally, entry.images()).map_err(failed)?;
                }
            }
            Ok(log)
        })
    }

    /// The tallies of all models.
    pub(crate) fn audit(&self) -> Result<AuditLog, MemoryError> {
        let Some(mut connection) = self.look()? else { return Ok(AuditLog::default()) };
        let mut read = || {
            // All of them as they are at one moment.
            let transaction = connection.transaction()?;
            let mut all = Vec::new();
            for hint in hints(&transaction)? {
                all.extend(read_tally(&transaction, &hint)?.map(|tally| (hint, tally)));
            }
            Ok(all)
        };
        Ok(log(read().map_err(|error| self.failed(error))?)?)
    }

    /// The digests of all images that were public samples under any model: what a draw should
    /// avoid.
    pub(crate) fn used_images(&self) -> Result<BTreeSet<String>, MemoryError> {
        let Some(connection) = self.look()? else { return Ok(BTreeSet::new()) };
        let read = || connection.prepare("SELECT DISTINCT image FROM outcomes")?.query_map((), |row| row.get(0))?.collect::<Result<_, _>>();
        read().map_err(|error| self.failed(error))
    }
}

/// What the clients with this home have seen of the models that they asked.
///
/// # Errors
/// [`MemoryError`] if it cannot be read.
pub fn audit_log(home: &Path) -> Result<AuditLog, MemoryError> {
    Memory::of(home).audit()
}
