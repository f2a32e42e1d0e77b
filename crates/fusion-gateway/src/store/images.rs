//! Images: as they come, while they wait, and as their users see them.

use fusion::net::Digest;
use rusqlite::{OptionalExtension, params};

use super::Store;
use super::rows::{Answer, ImageRow, ImageState};

/// Provisional lanes that may fail with an image. Each failure tells the server a little, so that
/// their number is bounded; the image then waits for its batch without a provisional label.
pub(crate) const PROVISIONAL_TRIES: u32 = 3;

/// Tells an image that is sent again from another one under its key, when its bytes are long
/// erased. Under its random id, so that equal images do not show.
fn sent_as(id: &str, bytes: &[u8]) -> String {
    Digest::of(&[id.as_bytes(), bytes].concat()).to_string()
}

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Images that wait.
    pub(crate) images: u32,
    /// Bytes of the database.
    pub(crate) bytes: i64,
}

/// An image that comes.
#[derive(Clone, Copy)]
pub(crate) struct NewImage<'a> {
    pub(crate) id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) name: &'a str,
    /// What its sender will send it with again, if it must.
    pub(crate) key: Option<&'a str>,
    pub(crate) bytes: &'a [u8],
}

/// What became of an image that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Added {
    /// It waits.
    Waits,
    /// It came before, and has this id.
    Known(String),
    /// Another image came with its key.
    OtherKnown,
    /// Too many wait already.
    Full,
}

/// What became of a wish to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone.
    Gone,
    /// There is no such image of this user.
    Unknown,
    /// Its batch runs.
    Running,
}

/// An image whose provisional label is still to come.
pub(crate) struct ToAsk {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) bytes: Vec<u8>,
}

/// How many images wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) count: u32,
    /// When the oldest came.
    pub(crate) oldest: Option<i64>,
}

impl Store {
    /// Takes an image in, unless there is no room. One that comes with the key of an earlier one
    /// is that image, sent again by somebody who did not hear the answer.
    pub(crate) fn add_image(&self, new: &NewImage<'_>, now: i64, most: Room) -> rusqlite::Result<Added> {
        let NewImage { id, user, name, key, bytes } = *new;
        self.write(|transaction| {
            let query = "SELECT id, sent FROM images WHERE user = ?1 AND key = ?2";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
            let known = transaction.query_row(query, params![user, key], read).optional()?;
            if let Some((id, sent)) = known {
                let same = Some(sent_as(&id, bytes)) == sent;
                return Ok(if same { Added::Known(id) } else { Added::OtherKnown });
            }
            let sent = key.map(|_| sent_as(id, bytes));
            let waiting: u32 = transaction.query_row("SELECT count(*) FROM images WHERE state = 'waiting'", (), |row| row.get(0))?;
            let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let used = (pragma("page_count")? - pragma("freelist_count")?).saturating_mul(pragma("page_size")?);
            if waiting >= most.images || used >= most.bytes {
                return Ok(Added::Full);
            }
            transaction.execute(
                "INSERT INTO images (id, user, name, key, sent, received, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting')",
                params![id, user, name, key, sent, now],
            )?;
            transaction.execute("INSERT INTO pictures (image, bytes) VALUES (last_insert_rowid(), ?1)", params![bytes])?;
            Ok(Added::Waits)
        })
    }

    /// One image of a user.
    pub(crate) fn image(&self, user: &str, id: &str) -> rusqlite::Result<Option<ImageRow>> {
        let query = format!("{} WHERE user = ?1 AND images.id = ?2", ImageRow::SELECT);
        self.connection().query_row(&query, params![user, id], ImageRow::read).optional()
    }

    /// Images of a user, the newest first: those in `state`, and older than the image `before`.
    pub(crate) fn images(&self, user: &str, state: Option<ImageState>, before: Option<&str>, most: u32) -> rusqlite::Result<Vec<ImageRow>> {
        let query = format!(
            "{} WHERE user = ?1 AND (?2 IS NULL OR images.state = ?2) \
             AND (?3 IS NULL OR images.seq < (SELECT seq FROM images WHERE id = ?3 AND user = ?1)) ORDER BY images.seq DESC LIMIT ?4",
            ImageRow::SELECT
        );
        let connection = self.connection();
        let mut statement = connection.prepare(&query)?;
        statement.query_map(params![user, state, before, most], ImageRow::read)?.collect()
    }

    /// The bytes of an image of a user, while they are kept.
    pub(crate) fn picture(&self, user: &str, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        let query = "SELECT bytes FROM pictures JOIN images ON seq = image WHERE user = ?1 AND id = ?2";
        self.connection().query_row(query, params![user, id], |row| row.get(0)).optional()
    }

    /// Deletes an image of a user, unless its batch runs.
    pub(crate) fn delete_image(&self, user: &str, id: &str) -> rusqlite::Result<Deleted> {
        let done = self.write(|transaction| {
            let query = "SELECT state FROM images WHERE user = ?1 AND id = ?2";
            let state: Option<ImageState> = transaction.query_row(query, params![user, id], |row| row.get(0)).optional()?;
            match state {
                None => return Ok(Deleted::Unknown),
                Some(ImageState::Running) => return Ok(Deleted::Running),
                Some(ImageState::Waiting | ImageState::Verified | ImageState::Rejected | ImageState::Inconclusive | ImageState::Unfit) => {}
            }
            transaction.execute("DELETE FROM images WHERE user = ?1 AND id = ?2", params![user, id])?;
            Ok(Deleted::Gone)
        })?;
        if done == Deleted::Gone {
            self.empty_log()?;
        }
        Ok(done)
    }

    /// How many images wait for a batch.
    pub(crate) fn waiting(&self) -> rusqlite::Result<Waiting> {
        self.connection().query_row("SELECT count(*), min(received) FROM images WHERE state = 'waiting'", (), |row| {
            Ok(Waiting { count: row.get(0)?, oldest: row.get(1)? })
        })
    }

    /// The oldest images that the model with this hint digest has given no provisional label yet.
    pub(crate) fn to_ask(&self, hint: &str, most: u32) -> rusqlite::Result<Vec<ToAsk>> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "SELECT seq, id, user, bytes FROM images JOIN pictures ON image = seq WHERE state IN ('waiting', 'running') \
             AND (p_model IS NULL OR (p_model <> ?1 AND state = 'waiting')) AND tries < ?2 ORDER BY seq LIMIT ?3",
        )?;
        let read = |row: &rusqlite::Row<'_>| Ok(ToAsk { seq: row.get(0)?, id: row.get(1)?, user: row.get(2)?, bytes: row.get(3)? });
        statement.query_map(params![hint, PROVISIONAL_TRIES, most], read)?.collect()
    }

    /// Keeps provisional labels of images that have not ended meanwhile.
    pub(crate) fn set_provisional(&self, answers: &[(i64, Answer)], hint: &str, now: i64) -> rusqlite::Result<()> {
        self.write(|transaction| {
            for (seq, Answer { label, class }) in answers {
                transaction.execute(
                    "UPDATE images SET p_label = ?2, p_class = ?3, p_model = ?4, p_at = ?5 \
                     WHERE seq = ?1 AND state IN ('waiting', 'running')",
                    params![seq, label, class, hint, now],
                )?;
            }
            Ok(())
        })
    }

    /// Counts a provisional lane that failed against its images.
    pub(crate) fn provisional_failed(&self, images: &[i64]) -> rusqlite::Result<()> {
        self.write(|transaction| {
            for seq in images {
                transaction.execute("UPDATE images SET tries = tries + 1 WHERE seq = ?1", params![seq])?;
            }
            Ok(())
        })
    }

    /// Ends waiting images that do not fit the model that is served now, and erases their bytes.
    /// Says how many it ended.
    pub(crate) fn unfit(&self, images: &[(String, String)], now: i64) -> rusqlite::Result<usize> {
        let ended = self.write(|transaction| {
            let mut ended = 0;
            for (id, reason) in images {
                let change = "UPDATE images SET state = 'unfit', ended = ?2, reason = ?3 WHERE id = ?1 AND state = 'waiting'";
                ended += transaction.execute(change, params![id, now, reason])?;
                let erase = "DELETE FROM pictures WHERE image IN (SELECT seq FROM images WHERE id = ?1 AND state = 'unfit')";
                transaction.execute(erase, params![id])?;
            }
            Ok(ended)
        })?;
        self.empty_log()?;
        Ok(ended)
    }

    /// Deletes images that ended before `moment`, and returns the batches whose journals, which
    /// hold their labels, are to be erased.
    pub(crate) fn forget(&self, moment: i64) -> rusqlite::Result<Vec<String>> {
        let (deleted, batches) = self.write(|transaction| {
            let deleted = transaction.execute("DELETE FROM images WHERE ended < ?1", params![moment])?;
            let mut statement = transaction.prepare("SELECT id FROM batches WHERE ended < ?1 AND NOT erased")?;
            let batches = statement.query_map(params![moment], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            Ok((deleted, batches))
        })?;
        if deleted > 0 {
            self.empty_log()?;
        }
        Ok(batches)
    }
}
