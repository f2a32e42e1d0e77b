//! Small things that are remembered over a restart.

use rusqlite::{OptionalExtension, params};

use super::Store;

/// The last model that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenModel {
    /// Its hint digest.
    pub(crate) hint: String,
    /// Its card, encoded.
    pub(crate) card: Vec<u8>,
}

impl Store {
    /// The last model that was met: by its card images are refused that do not fit, also while the
    /// server is away.
    pub(crate) fn seen_model(&self) -> rusqlite::Result<Option<SeenModel>> {
        let read = |row: &rusqlite::Row<'_>| Ok(SeenModel { hint: row.get(0)?, card: row.get(1)? });
        self.connection().query_row("SELECT text, bytes FROM memo WHERE key = 'model'", (), read).optional()
    }

    /// Remembers a model.
    pub(crate) fn see_model(&self, SeenModel { hint, card }: &SeenModel) -> rusqlite::Result<()> {
        let change = "INSERT INTO memo (key, text, bytes) VALUES ('model', ?1, ?2) \
                      ON CONFLICT (key) DO UPDATE SET text = excluded.text, bytes = excluded.bytes";
        self.write(|transaction| transaction.execute(change, params![hint, card]).map(drop))
    }

    /// Whether somebody has asked for a batch that has not begun yet.
    pub(crate) fn is_batch_wanted(&self) -> rusqlite::Result<bool> {
        self.connection().query_row("SELECT EXISTS (SELECT 1 FROM memo WHERE key = 'wanted')", (), |row| row.get(0))
    }

    /// Remembers that somebody asked for a batch.
    pub(crate) fn want_batch(&self) -> rusqlite::Result<()> {
        self.write(|transaction| transaction.execute("INSERT OR IGNORE INTO memo (key) VALUES ('wanted')", ()).map(drop))
    }

    /// Forgets a wish for a batch.
    pub(crate) fn want_no_batch(&self) -> rusqlite::Result<()> {
        if self.is_batch_wanted()? {
            self.write(|transaction| transaction.execute("DELETE FROM memo WHERE key = 'wanted'", ()).map(drop))?;
        }
        Ok(())
    }
}
