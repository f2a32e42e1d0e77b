//! Rows as the rest of the gateway sees them.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What has become of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ImageState {
    /// It waits for a batch. Its label, if it has one, is provisional.
    Waiting,
    /// Its batch runs.
    Running,
    /// Its batch was accepted, and its label is as certain as the batch's report says.
    Verified,
    /// Its batch was rejected: the server cheats, and no label is given.
    Rejected,
    /// Its batch was accepted, but its copies disagree: it has no label.
    Inconclusive,
    /// It does not fit the model that is served now.
    Unfit,
}

/// What has become of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BatchState {
    /// Lanes run, or wait for the server.
    Running,
    /// The server passed the test.
    Accepted,
    /// It did not.
    Rejected,
    /// It came to no end: nothing was compared, and its images wait again.
    Unavailable,
}

macro_rules! texts {
    ($state:ident { $($variant:ident = $text:literal),* }) => {
        impl $state {
            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
        impl ToSql for $state {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.text().into())
            }
        }
        impl FromSql for $state {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_str()? {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(FromSqlError::InvalidType),
                }
            }
        }
    };
}

texts!(ImageState {
    Waiting = "waiting",
    Running = "running",
    Verified = "verified",
    Rejected = "rejected",
    Inconclusive = "inconclusive",
    Unfit = "unfit"
});
texts!(BatchState { Running = "running", Accepted = "accepted", Rejected = "rejected", Unavailable = "unavailable" });

/// A label and the name of its class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Answer {
    /// Index of the class.
    pub label: u32,
    /// Its name, if the model names its classes.
    pub class: Option<String>,
}

/// An image without its bytes. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageRow {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) received: i64,
    pub(crate) state: ImageState,
    /// Provisional lanes that failed with it.
    pub(crate) tries: u32,
    pub(crate) provisional: Option<Answer>,
    /// Hint digest of the model that gave it.
    pub(crate) provisional_model: Option<String>,
    pub(crate) batch: Option<String>,
    /// Hint digest of the model of its batch.
    pub(crate) batch_model: Option<String>,
    pub(crate) verified: Option<Answer>,
    pub(crate) ended: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) has_bytes: bool,
}

impl ImageRow {
    /// What [`ImageRow::read`] reads.
    pub(super) const SELECT: &str = "SELECT images.seq, images.id, user, name, received, images.state, tries, p_label, p_class, p_model, \
         batch, batches.hint, label, class, images.ended, images.reason, EXISTS (SELECT 1 FROM pictures WHERE image = images.seq) \
         FROM images LEFT JOIN batches ON batches.id = images.batch";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let answer = |label: Option<u32>, class: Option<String>| label.map(|label| Answer { label, class });
        Ok(Self {
            seq: row.get(0)?,
            id: row.get(1)?,
            user: row.get(2)?,
            name: row.get(3)?,
            received: row.get(4)?,
            state: row.get(5)?,
            tries: row.get(6)?,
            provisional: answer(row.get(7)?, row.get(8)?),
            provisional_model: row.get(9)?,
            batch: row.get(10)?,
            batch_model: row.get(11)?,
            verified: answer(row.get(12)?, row.get(13)?),
            ended: row.get(14)?,
            reason: row.get(15)?,
            has_bytes: row.get(16)?,
        })
    }

    /// Whether the provisional label is another than the verified one, of the same model: near ties
    /// flip now and then, and a server that cheats leaves such traces.
    pub(crate) fn differs(&self) -> Option<bool> {
        let (provisional, verified) = (self.provisional.as_ref()?, self.verified.as_ref()?);
        (self.provisional_model == self.batch_model).then_some(provisional.label != verified.label)
    }
}

/// A batch without its images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchRow {
    pub(crate) id: String,
    pub(crate) state: BatchState,
    pub(crate) begun: i64,
    pub(crate) ended: Option<i64>,
    /// Hint digest of its model.
    pub(crate) hint: String,
    pub(crate) model: String,
    pub(crate) images: u32,
    /// JSON, without the answers.
    pub(crate) report: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) acknowledged: bool,
}

impl BatchRow {
    /// What [`BatchRow::read`] reads.
    pub(super) const SELECT: &str = "SELECT id, state, begun, ended, hint, model, images, report, reason, acknowledged FROM batches";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            state: row.get(1)?,
            begun: row.get(2)?,
            ended: row.get(3)?,
            hint: row.get(4)?,
            model: row.get(5)?,
            images: row.get(6)?,
            report: row.get(7)?,
            reason: row.get(8)?,
            acknowledged: row.get(9)?,
        })
    }
}
