//! Batches: which images they take, and how they end.

use rusqlite::{OptionalExtension, Transaction, params};

use super::Store;
use super::rows::{Answer, BatchRow, BatchState, ImageState};

/// Bytes of the images of one batch at most, but that it has one: all are in memory when it begins.
const BATCH_BYTES: i64 = 1 << 30;

/// The waiting images that a batch takes, `?1` of `?2` bytes at most, with their places.
const TAKEN: &str = "SELECT of, place FROM (SELECT seq AS of, row_number() OVER oldest - 1 AS place, \
     sum(length(bytes)) OVER oldest AS total FROM images JOIN pictures ON image = seq WHERE state = 'waiting' \
     WINDOW oldest AS (ORDER BY seq)) WHERE place < ?1 AND (total <= ?2 OR place = 0)";

/// The verified label of an image of a batch, by its place; none if its copies disagree.
pub(crate) type Label = Option<Answer>;

/// An image of a batch, as others than its user may need it.
pub(crate) struct Member {
    pub(crate) user: String,
    pub(crate) id: String,
    pub(crate) state: ImageState,
    pub(crate) label: Option<u32>,
}

/// How a batch ends.
pub(crate) enum Ending<'a> {
    /// Accepted, with a label for every image.
    Accepted(&'a [Label]),
    /// Rejected: no label is given.
    Rejected,
}

impl Store {
    /// Begins a batch of the oldest waiting images, `most` of them and [`BATCH_BYTES`] at most, in
    /// one transaction. Returns how many it took; none, and there is no batch, if none wait.
    pub(crate) fn begin_batch(&self, id: &str, most: u32, hint: &str, model: &str, now: i64) -> rusqlite::Result<u32> {
        self.write(|transaction| {
            let count = format!("SELECT count(*) FROM ({TAKEN})");
            let images: u32 = transaction.query_row(&count, params![most, BATCH_BYTES], |row| row.get(0))?;
            transaction.execute("DELETE FROM memo WHERE key = 'wanted'", ())?;
            if images == 0 {
                return Ok(0);
            }
            transaction.execute(
                "INSERT INTO batches (id, state, begun, hint, model, images) VALUES (?1, 'running', ?2, ?3, ?4, ?5)",
                params![id, now, hint, model, images],
            )?;
            let take = format!(
                "UPDATE images SET state = 'running', batch = ?3, place = taken.place FROM ({TAKEN}) AS taken WHERE seq = taken.of"
            );
            transaction.execute(&take, params![most, BATCH_BYTES, id])?;
            Ok(images)
        })
    }

    /// The batch that runs, if one does.
    pub(crate) fn running_batch(&self) -> rusqlite::Result<Option<BatchRow>> {
        let query = format!("{} WHERE state = 'running'", BatchRow::SELECT);
        self.connection().query_row(&query, (), BatchRow::read).optional()
    }

    /// Ids and bytes of the images of a batch, by place.
    pub(crate) fn images_of(&self, batch: &str) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare("SELECT id, bytes FROM images JOIN pictures ON image = seq WHERE batch = ?1 ORDER BY place")?;
        statement.query_map(params![batch], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// Places of a user's images in a batch, with their ids.
    pub(crate) fn places_of(&self, user: &str, batch: &str) -> rusqlite::Result<Vec<(u32, String)>> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT place, id FROM images WHERE user = ?1 AND batch = ?2 ORDER BY place")?;
        statement.query_map(params![user, batch], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// Ends a running batch and its images, and erases their bytes unless they are to be kept.
    /// Returns whether it did: a batch that has ended stays as it is.
    pub(crate) fn end_batch(&self, id: &str, ending: &Ending<'_>, report: &str, now: i64, keep: bool) -> rusqlite::Result<bool> {
        let state = match ending {
            Ending::Accepted(_) => BatchState::Accepted,
            Ending::Rejected => BatchState::Rejected,
        };
        let done = self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE batches SET state = ?2, ended = ?3, report = ?4 WHERE id = ?1 AND state = 'running'",
                params![id, state, now, report],
            )?;
            if changed == 0 {
                return Ok(false);
            }
            end_images(transaction, id, ending, now)?;
            if !keep {
                transaction.execute("DELETE FROM pictures WHERE image IN (SELECT seq FROM images WHERE batch = ?1)", params![id])?;
            }
            Ok(true)
        })?;
        if done && !keep {
            self.empty_log()?;
        }
        Ok(done)
    }

    /// Ends a running batch without a verdict; its images wait again, as if it had never been. One
    /// of which nothing was asked is not even remembered.
    pub(crate) fn withdraw(&self, id: &str, reason: &str, asked: bool, now: i64) -> rusqlite::Result<()> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE images SET state = 'waiting', batch = NULL, place = NULL WHERE batch = ?1 AND state = 'running'",
                params![id],
            )?;
            // What it was begun for still holds.
            transaction.execute("INSERT OR IGNORE INTO memo (key) VALUES ('wanted')", ())?;
            if asked {
                let change = "UPDATE batches SET state = 'unavailable', ended = ?2, reason = ?3 WHERE id = ?1 AND state = 'running'";
                transaction.execute(change, params![id, now, reason]).map(drop)
            } else {
                transaction.execute("DELETE FROM batches WHERE id = ?1 AND state = 'running'", params![id]).map(drop)
            }
        })
    }

    /// One batch.
    pub(crate) fn batch(&self, id: &str) -> rusqlite::Result<Option<BatchRow>> {
        let query = format!("{} WHERE id = ?1", BatchRow::SELECT);
        self.connection().query_row(&query, params![id], BatchRow::read).optional()
    }

    /// The newest batches.
    pub(crate) fn batches(&self, most: u32) -> rusqlite::Result<Vec<BatchRow>> {
        let query = format!("{} ORDER BY seq DESC LIMIT ?1", BatchRow::SELECT);
        let connection = self.connection();
        let mut statement = connection.prepare(&query)?;
        statement.query_map(params![most], BatchRow::read)?.collect()
    }

    /// The oldest rejected batch that nobody has acknowledged: until then the server is asked
    /// nothing more.
    pub(crate) fn held_by(&self) -> rusqlite::Result<Option<String>> {
        let query = "SELECT id FROM batches WHERE state = 'rejected' AND NOT acknowledged ORDER BY seq LIMIT 1";
        self.connection().query_row(query, (), |row| row.get(0)).optional()
    }

    /// Whether there was such a rejected batch; if so, it is acknowledged now.
    pub(crate) fn acknowledge(&self, id: &str) -> rusqlite::Result<bool> {
        let change = "UPDATE batches SET acknowledged = 1 WHERE id = ?1 AND state = 'rejected'";
        self.write(|transaction| Ok(transaction.execute(change, params![id])? > 0))
    }

    /// Ended batches that the webhook has not been told of.
    pub(crate) fn untold(&self) -> rusqlite::Result<Vec<BatchRow>> {
        let query = format!("{} WHERE state <> 'running' AND NOT told ORDER BY seq LIMIT 100", BatchRow::SELECT);
        let connection = self.connection();
        let mut statement = connection.prepare(&query)?;
        statement.query_map((), BatchRow::read)?.collect()
    }

    /// Remembers that the webhook has been told of a batch.
    pub(crate) fn told(&self, id: &str) -> rusqlite::Result<()> {
        self.write(|transaction| transaction.execute("UPDATE batches SET told = 1 WHERE id = ?1", params![id]).map(drop))
    }

    /// Remembers that the journal of a batch is erased.
    pub(crate) fn erased(&self, id: &str) -> rusqlite::Result<()> {
        self.write(|transaction| transaction.execute("UPDATE batches SET erased = 1 WHERE id = ?1", params![id]).map(drop))
    }

    /// All images of a batch, by place.
    pub(crate) fn members(&self, batch: &str) -> rusqlite::Result<Vec<Member>> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT user, id, state, label FROM images WHERE batch = ?1 ORDER BY place")?;
        let read = |row: &rusqlite::Row<'_>| Ok(Member { user: row.get(0)?, id: row.get(1)?, state: row.get(2)?, label: row.get(3)? });
        statement.query_map(params![batch], read)?.collect()
    }
}

fn end_images(transaction: &Transaction<'_>, batch: &str, ending: &Ending<'_>, now: i64) -> rusqlite::Result<()> {
    let labels = match ending {
        Ending::Rejected => {
            let change = "UPDATE images SET state = 'rejected', ended = ?2 WHERE batch = ?1 AND state = 'running'";
            return transaction.execute(change, params![batch, now]).map(drop);
        }
        Ending::Accepted(labels) => labels,
    };
    let change = "UPDATE images SET state = ?3, label = ?4, class = ?5, ended = ?6 WHERE batch = ?1 AND place = ?2 AND state = 'running'";
    // A verdict is of the whole batch, or of nothing.
    let images: u32 = transaction.query_row("SELECT images FROM batches WHERE id = ?1", params![batch], |row| row.get(0))?;
    if images as usize != labels.len() {
        return Err(rusqlite::Error::StatementChangedRows(labels.len()));
    }
    for (place, label) in (0u32..).zip(labels.iter()) {
        let (state, label, class) = match label {
            Some(Answer { label, class }) => ("verified", Some(label), class.as_deref()),
            None => ("inconclusive", None, None),
        };
        let changed = transaction.execute(change, params![batch, place, state, label, class, now])?;
        if changed != 1 {
            return Err(rusqlite::Error::StatementChangedRows(changed));
        }
    }
    Ok(())
}
