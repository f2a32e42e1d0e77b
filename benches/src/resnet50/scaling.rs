//! How seconds and memory go with the number of lanes.

use anyhow::Result;
use fusion_cli::tables::plain_table;
use serde::Serialize;

use crate::measure::Measured;

/// Numbers of lanes that are tried.
pub(crate) const LANES: [usize; 4] = [1, 2, 4, 8];

/// One number of lanes; seconds, bytes and processor seconds are per sample.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Row {
    pub(crate) lanes: usize,
    pub(crate) samples: usize,
    pub(crate) seconds: f64,
    pub(crate) cpu_client: Option<f64>,
    pub(crate) cpu_server: Option<f64>,
    pub(crate) bytes: f64,
    /// Peak resident memory, 10^6 bytes.
    pub(crate) client_mb: Option<f64>,
    pub(crate) server_mb: Option<f64>,
}

impl Row {
    /// `None` if no sample came to its end.
    pub(crate) fn of(lanes: usize, measured: &Measured) -> Option<Self> {
        let samples = measured.costs.samples;
        let over = |sum: f64| sum / samples as f64;
        let (up, down) = measured.costs.bytes();
        (samples > 0).then(|| Self {
            lanes,
            samples,
            seconds: over(measured.costs.wall_seconds),
            cpu_client: measured.cpu_seconds.0.map(over),
            cpu_server: measured.cpu_seconds.1.map(over),
            bytes: over((up + down) as f64),
            client_mb: measured.peak_rss_mb.0,
            server_mb: measured.peak_rss_mb.1,
        })
    }
}

/// Has `measure` run every number of [`LANES`] that the samples suffice for and that is not
/// measured yet. Ends early when interrupted.
///
/// # Errors
/// As `measure`.
pub(crate) fn run(samples: usize, first: Option<Row>, measure: impl Fn(usize) -> Result<Measured>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = first.into_iter().collect();
    for lanes in LANES.into_iter().filter(|&lanes| lanes <= samples) {
        if rows.iter().any(|row| row.lanes == lanes) {
            continue;
        }
        eprintln!("Scaling: {samples} samples on {lanes} lanes ...");
        let measured = measure(lanes)?;
        rows.extend(Row::of(lanes, &measured));
        if measured.interrupted {
            break;
        }
    }
    rows.sort_unstable_by_key(|row| row.lanes);
    Ok(rows)
}

/// The rows as a table.
pub(crate) fn table(rows: &[Row]) -> comfy_table::Table {
    let mut table = plain_table(&["lanes", "samples", "seconds", "client CPU s", "server CPU s", "MB", "client peak MB", "server peak MB"]);
    let number = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"));
    for row in rows {
        table.add_row([
            row.lanes.to_string(),
            row.samples.to_string(),
            format!("{:.2}", row.seconds),
            number(row.cpu_client, 2),
            number(row.cpu_server, 2),
            format!("{:.1}", row.bytes * 1e-6),
            number(row.client_mb, 0),
            number(row.server_mb, 0),
        ]);
    }
    table
}
