//! The frontier that a search for widths found, as a table.

use anyhow::Result;
use fusion::FrontierPoint;

use crate::tables::{human_bytes, plain_table};
use crate::terminal::show;

/// Prints the points by bytes; nothing where there was no search.
///
/// # Errors
/// Nobody reads the output.
pub(crate) fn show_frontier(frontier: &[FrontierPoint]) -> Result<()> {
    if frontier.is_empty() {
        return Ok(());
    }
    let mut table = plain_table(&["a sample", "hint", "labels kept", "logit error", "windows", "weights", ""]);
    let range = |(least, most): (u32, u32)| if least == most { least.to_string() } else { format!("{least}..{most}") };
    for point in frontier {
        table.add_row([
            human_bytes(point.bytes_per_sample),
            human_bytes(point.hint_bytes),
            format!("{:.2}%", 100.0 * point.label_agreement),
            format!("{:.4}", point.logit_deviation),
            range(point.windows),
            range(point.weights),
            (if point.chosen { "chosen" } else { "" }).to_owned(),
        ]);
    }
    show("Plans by bytes; labels and the deviation of a logit as expected, widths in bits:")?;
    show(table)?;
    Ok(())
}
