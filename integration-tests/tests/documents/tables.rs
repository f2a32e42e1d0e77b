//! The tables of docs/wire-pins.md and docs/tuning.md against the sources that they speak of.

use std::fs;

use crate::tree;

/// The cells of each row whose first two cells are code, without their backquotes.
fn rows(document: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(tree::root().join(document)).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let is_code = |cell: &String| cell.len() > 2 && cell.starts_with('`') && cell.ends_with('`');
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(cells)
        .filter(|row| row.len() > 2 && row[..2].iter().all(is_code))
        .map(|row| row.iter().map(|cell| cell.trim_matches('`').to_owned()).collect())
        .collect();
    assert!(rows.len() > 4, "{document} has no table");
    rows
}

#[test]
fn pinned_transcripts_are_where_the_list_says() {
    let mut faults = Vec::new();
    let rows = rows("docs/wire-pins.md");
    for row in &rows {
        let text = fs::read_to_string(tree::root().join(&row[1])).unwrap_or_default();
        if !text.contains(&format!("fn {}(", row[0])) {
            faults.push(format!("docs/wire-pins.md: no {} in {}", row[0], row[1]));
        }
    }
    for file in tree::rust() {
        let names = file.text.lines().filter_map(|line| line.trim_start().strip_prefix("fn ")?.split('(').next());
        for name in names.filter(|name| name.ends_with("_pinned")) {
            if !rows.iter().any(|row| row[0] == name && row[1] == file.path) {
                faults.push(format!("docs/wire-pins.md: {name} of {} is missing", file.path));
            }
        }
    }
    tree::none(faults);
}

#[test]
fn tuning_constants_have_the_values_that_the_list_says() {
    let mut faults = Vec::new();
    for row in rows("docs/tuning.md") {
        let [name, path, value, ..] = &row[..] else { continue };
        let text = fs::read_to_string(tree::root().join(path)).unwrap_or_default();
        let has = |line: &str| line.contains(name) && line.contains(value) && !line.trim_start().starts_with("//");
        if !text.lines().any(has) {
            faults.push(format!("docs/tuning.md: {name} of {path} is not {value}"));
        }
    }
    tree::none(faults);
}
