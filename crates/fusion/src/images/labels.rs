//! Lists of true labels: CSV as spreadsheets and scripts write it, and what is said of labels that
//! the model has no class for.

use std::collections::BTreeMap;

use super::error::ImageError;
use super::samples::Sample;

/// A row of a list of labels.
pub(super) struct Row {
    /// Where it begins, counted from one.
    pub(super) line: u64,
    /// File name, or index on a contact sheet.
    pub(super) key: String,
    /// Index of the class.
    pub(super) label: u32,
}

/// The rows of a list without its heading. A first row is a heading only if its label is no number
/// and `is_key` does not know its key: a mistake in the first row must not cost an image in
/// silence.
pub(super) fn rows(content: &[u8], list: &str, is_key: impl Fn(&str) -> bool) -> Result<Vec<Row>, ImageError> {
    let refuse = |line: u64, reason: String| ImageError::Labels { name: list.to_owned(), line, reason };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content);
    let mut lines = Lines { content, at: 0, line: 1 };
    let (mut rows, mut record, mut first) = (Vec::new(), csv::StringRecord::new(), true);
    loop {
        let line = lines.of_row_after(reader.position().byte());
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(rows),
            Err(_) => return Err(refuse(line, "not in UTF-8: save the list as CSV in UTF-8".to_owned())),
        }
        let mut fields: Vec<&str> = record.iter().map(bare).collect();
        // Spreadsheets end rows of tables that were wider once in commas.
        while fields.last().is_some_and(|field| field.is_empty()) {
            fields.pop();
        }
        if fields.is_empty() {
            continue;
        }
        let is_first = std::mem::take(&mut first);
        let (key, label) = (without_dot(fields[0]), fields.get(1).copied().unwrap_or_default());
        match label.parse() {
            Ok(label) if fields.len() == 2 => rows.push(Row { line, key: key.to_owned(), label }),
            Err(_) if is_first && label.parse::<f64>().is_err() && !is_key(key) => {}
            _ => return Err(refuse(line, "expected a name, a comma and a class index, as in cat.png,3".to_owned())),
        }
    }
}

/// A field without the spaces around it, and without quotes that stand behind such a space, which
/// RFC 4180 does not know.
fn bare(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(field)
}

/// A name without the `./` that `find` and shells put before it.
fn without_dot(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("./").or_else(|| name.strip_prefix(".\\")) {
        name = rest;
    }
    name
}

/// Counts lines as editors do. The reader's own position is where it looks for the next row, which
/// may be blank lines before it.
struct Lines<'a> {
    content: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which the first row at or behind `byte` begins.
    fn of_row_after(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(&here) = self.content.get(self.at).filter(|here| self.at < byte || matches!(here, b'\r' | b'\n')) {
            self.at += 1;
            let ends = here == b'\n' || (here == b'\r' && self.content.get(self.at) != Some(&b'\n'));
            self.line += u64::from(ends);
        }
        self.line
    }
}

/// The rows by name. A name may stand twice if both rows say the same.
pub(super) fn by_name(rows: Vec<Row>, list: &str) -> Result<BTreeMap<String, Row>, ImageError> {
    let mut all: BTreeMap<String, Row> = BTreeMap::new();
    for row in rows {
        if let Some(other) = all.get(&row.key).filter(|other| other.label != row.label) {
            let reason = format!("{} has label {} here, but {} on line {}: keep one row", row.key, row.label, other.label, other.line);
            return Err(ImageError::Labels { name: list.to_owned(), line: row.line, reason });
        }
        all.entry(row.key.clone()).or_insert(row);
    }
    Ok(all)
}

/// Checks that a model of so many classes can give every label.
///
/// # Errors
/// [`ImageError::NoSuchClass`], which says so if the list seems to count from one.
pub fn check_labels<'a>(samples: impl Iterator<Item = &'a Sample> + Clone, classes: usize) -> Result<(), ImageError> {
    let beyond = |label: u32| label as usize >= classes;
    let Some((sample, label)) = samples.clone().find_map(|sample| Some((sample, sample.label.filter(|&label| beyond(label))?))) else {
        return Ok(());
    };
    let from_one = samples.clone().filter_map(|sample| sample.label).all(|label| label != 0 && label as usize <= classes);
    let place = sample.listed.as_ref().map(|listed| format!("{}, line {}: ", listed.list, listed.line)).unwrap_or_default();
    Err(ImageError::NoSuchClass { place, name: sample.name.clone(), label, classes, from_one })
}
