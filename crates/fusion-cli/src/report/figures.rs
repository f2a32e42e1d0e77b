//! Tables and a figure in characters.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use fusion::mix::{firing::Firing, interval::Interval};

use super::words::{chance, percent};

/// How many characters the line from 0% to 100% has.
const CELLS: usize = 50;

/// A rate and its interval on a line from 0% to 100%.
pub(super) fn axis(interval: &Interval, rate: f64) -> String {
    let cell = |rate: f64| ((rate * CELLS as f64) as usize).min(CELLS - 1);
    let low = cell(interval.low);
    let high = cell(interval.high).max(low);
    let at = cell(rate).clamp(low, high);
    format!("0% |{}[{}*{}]{}| 100%", "-".repeat(low), "=".repeat(at - low), "=".repeat(high - at), "-".repeat(CELLS - 1 - high))
}

/// The chance that cheating passes by how often it shows, as lines that begin with `indent`.
pub(super) fn curve(by_firing: &[Firing], indent: &str) -> String {
    let mut table = table(&["fires on", "best chance", "positions", "wrong answers then"], &[2, 3]);
    for row in by_firing {
        table.add_row([percent(row.phi), chance(row.log2), row.worst_m.to_string(), format!("{:.1}", row.expected_wrong)]);
    }
    lines(&table, indent)
}

/// A table without frills, in which the columns `right` hold numbers.
pub(super) fn table(headings: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    for index in 0..headings.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
}

/// The lines of `table`, each after `indent`.
pub(super) fn lines(table: &Table, indent: &str) -> String {
    let mut out = String::new();
    for line in table.lines() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{indent}{}", line.trim_end());
    }
    out
}
