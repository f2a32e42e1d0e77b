//! The frontier that a search for widths found, as a table.

use anyhow::Result;
use fusion::{FRONTIER_MBIT, FrontierPoint};

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
    let mut table = plain_table(&["a sample", "seconds", "hint", "labels kept", "logit error", "windows", "weights", "left out", ""]);
    let range = |(least, most): (u32, u32)| if least == most { least.to_string() } else { format!("{least}..{most}") };
    for point in frontier {
        table.add_row([
            human_bytes(point.bytes_per_sample),
            format!("{:.2}", point.seconds_per_sample),
            human_bytes(point.hint_bytes),
            format!("{:.2}%", 100.0 * point.label_agreement),
            format!("{:.4}", point.logit_deviation),
            range(point.windows),
            range(point.weights),
            range(point.left_out),
            (if point.chosen { "chosen" } else { "" }).to_owned(),
        ]);
    }
    show(format_args!(
        "Plans by bytes; seconds over {FRONTIER_MBIT} Mbit/s, labels and the deviation of a logit as expected; widths, and"
    ))?;
    show("what comparisons of ReLUs leave out (exact: 1), in bits:")?;
    show(table)?;
    Ok(())
}
