//! The table of docs/models.md.

use super::compare::{Deviation, Verdict};
use super::measure::{LANE_SAMPLES, Row};
use super::photos::COMPARED;

/// Longest reason that is shown whole.
const NOTE_CHARACTERS: usize = 240;

/// The whole document.
pub(super) fn document(rows: &[Row]) -> String {
    let mut text = format!(
        "# Networks that import\n\n\
        Made by `cargo xtask model-zoo`; do not edit. Networks of torchvision and Keras are exported to ONNX by the tools of \
        [requirements-torch.txt](../xtask/python/requirements-torch.txt) and [requirements-keras.txt](../xtask/python/requirements-keras.txt). \
        Their weights are seeded; photos scale the layers, give batch norms their statistics and are each imprinted on a class \
        of the last layer, so that labels differ and lead by about as much as after training. EfficientNet-Lite0 has real weights.\n\n\
        * **import**: the largest difference from onnxruntime of the imported float network's logits, in deviations of the logits \
        over classes and {COMPARED} photos.\n\
        * **twin**: the same of the fixed-point network as two parties compute it, planned with the default widths on other photos.\n\
        * **labels**: photos of {COMPARED} on which the twin has onnxruntime's label. **distinct**: how many labels onnxruntime has for them.\n\
        * **MB**: predicted bytes of one inference, both directions, in lanes of {LANE_SAMPLES}.\n\
        * **right**: the import differs by less than 0.001 and at least {} labels are equal. **inexact**: fewer are. **WRONG**: the import \
        differs. **refused**: the reason is there.\n\n\
        {}\n\n\
        | network | exported by | result | import | twin | labels | distinct | MB | reason |\n\
        |---|---|---|---|---|---|---|---|---|\n",
        COMPARED - 1,
        summary(rows),
    );
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// The last line that the command prints.
pub(super) fn summary(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (right, wrong) = (count(Verdict::Right), count(Verdict::Wrong));
    let others = format!("{} inexact, {wrong} WRONG, {} refused", count(Verdict::Inexact), count(Verdict::Refused));
    format!("{right} of {} rows right ({others})", rows.len())
}

/// One row of the table.
pub(super) fn line(row: &Row) -> String {
    let error = |of: Option<&Deviation>| of.map_or_else(String::new, |d| format!("{:.0e}", d.worst));
    let coarse = |of: Option<&Deviation>| of.map_or_else(String::new, |d| format!("{:.2}", d.worst));
    let labels = row.twin.as_ref().map_or_else(String::new, |d| d.labels.to_string());
    let megabytes = row.bytes.map_or_else(String::new, |bytes| format!("{:.0}", (bytes as f64 / 1e6).max(1.0)));
    format!(
        "| {} | {} | {} | {} | {} | {labels} | {} | {megabytes} | {} |\n",
        row.network,
        row.exporter,
        row.verdict.word(),
        error(row.float.as_ref()),
        coarse(row.twin.as_ref()),
        row.distinct,
        cell(&row.note),
    )
}

/// A reason as it may stand in a cell.
fn cell(note: &str) -> String {
    let flat = note.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    match flat.char_indices().nth(NOTE_CHARACTERS) {
        Some((end, _)) => format!("{}...", &flat[..end]),
        None => flat,
    }
}
