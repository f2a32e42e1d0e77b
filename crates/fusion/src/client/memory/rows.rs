//! Tallies as rows of tables.

use fusion_mix::audit::{AuditLog, ImageOutcomes, ModelTally};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A number of batches; the database counts in 64 bits with a sign.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn outcomes(row: &Row<'_>) -> rusqlite::Result<(String, ImageOutcomes)> {
    Ok((row.get(0)?, ImageOutcomes { truth: row.get(1)?, certified: row.get(2)? }))
}

/// The tally of the model with the hint digest `hint`, if it has one.
pub(super) fn read_tally(connection: &Connection, hint: &str) -> rusqlite::Result<Option<ModelTally>> {
    let sums = connection.query_row("SELECT batches, rejected, chances FROM tallies WHERE hint = ?1", [hint], |row| {
        Ok(ModelTally { batches: count(row, 0)?, rejected: count(row, 1)?, chances: row.get(2)?, ..ModelTally::default() })
    });
    let Some(mut tally) = sums.optional()? else { return Ok(None) };
    let mut names = connection.prepare("SELECT name FROM batches WHERE hint = ?1")?;
    tally.names = names.query_map([hint], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut images = connection.prepare("SELECT image, truth, certified FROM outcomes WHERE hint = ?1")?;
    tally.images = images.query_map([hint], outcomes)?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(tally))
}

/// The hint digests that have tallies.
pub(super) fn hints(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("SELECT hint FROM tallies ORDER BY hint")?.query_map((), |row| row.get(0))?.collect()
}

/// Writes a tally over what there was; of its images those of `images`.
pub(super) fn write_tally<'a>(
    connection: &Connection,
    hint: &str,
    tally: &ModelTally,
    images: impl Iterator<Item = &'a str>,
) -> rusqlite::Result<()> {
    let counted = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let sums = params![hint, counted(tally.batches), counted(tally.rejected), tally.chances];
    connection.execute("INSERT OR REPLACE INTO tallies VALUES (?1, ?2, ?3, ?4)", sums)?;
    let mut named = connection.prepare("INSERT OR IGNORE INTO batches VALUES (?1, ?2)")?;
    for name in &tally.names {
        named.execute([hint, name])?;
    }
    let mut write = connection.prepare("INSERT OR REPLACE INTO outcomes VALUES (?1, ?2, ?3, ?4)")?;
    for image in images {
        if let Some(outcomes) = tally.images.get(image) {
            write.execute(params![hint, image, outcomes.truth, outcomes.certified])?;
        }
    }
    Ok(())
}

/// A log of the tallies of these hints.
pub(super) fn log(tallies: impl IntoIterator<Item = (String, ModelTally)>) -> Result<AuditLog, fusion_mix::MixError> {
    let mut log = AuditLog::default();
    tallies.into_iter().try_for_each(|(hint, tally)| log.insert(&hint, tally))?;
    Ok(log)
}
