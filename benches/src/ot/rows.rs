//! What `bench-ot` reports: the JSON of `--json`, field by field.

use serde::Serialize;

/// One kind of OT.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) m: u32,
    pub(super) malicious: bool,
    /// Million outputs per second before pads.
    pub(super) mots: f64,
    pub(super) mots_with_pads: f64,
    pub(super) bits_per_output: f64,
    /// Of the bare LPN fold; absent where there is none.
    pub(super) fraction_of_limit: Option<f64>,
    /// What both parties together added to the process at their peak, in MB.
    pub(super) peak_mb: f64,
    /// As `mots`, by CPU time of the slower party.
    pub(super) mots_cpu: f64,
    pub(super) mots_with_pads_cpu: f64,
    pub(super) fraction_of_limit_cpu: Option<f64>,
    pub(super) fraction_of_limit_with_pads_cpu: Option<f64>,
    /// Wall over CPU time of the slower party: one if both are always at work.
    pub(super) wall_over_cpu: f64,
    pub(super) wall_over_cpu_with_pads: f64,
}

/// All rows, and the machine.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) host: String,
    pub(super) tier: &'static str,
    pub(super) aes: String,
    /// Million outputs per second of the bare fold on each of two threads, by the wall and by CPU
    /// time.
    pub(super) limit_mots: f64,
    pub(super) limit_mots_cpu: f64,
    /// The same on one thread alone, by CPU time.
    pub(super) alone_mots_cpu: f64,
    pub(super) rows: Vec<Row>,
}
