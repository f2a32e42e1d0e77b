//! The answers for a spreadsheet.

use fusion::mix::report::Report;

/// The answers that may be shown, as comma-separated values with a header. A query without a file
/// is named by its index.
///
/// # Errors
/// None that is known: what is written are strings, into memory.
pub(crate) fn report_csv(report: &Report) -> Result<String, csv::Error> {
    let mut bytes = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut bytes);
    writer.write_record(["file", "class", "label", "copies", "of", "conclusive"])?;
    for line in &report.answers {
        writer.write_record([
            line.file.as_deref().map_or_else(|| line.index.to_string(), not_a_formula),
            line.class.as_deref().map_or_else(String::new, not_a_formula),
            line.label.map_or_else(String::new, |label| label.to_string()),
            line.copies.to_string(),
            report.plan.copies.to_string(),
            line.label.is_some().to_string(),
        ])?;
    }
    writer.flush()?;
    drop(writer);
    String::from_utf8(bytes).map_err(|error| std::io::Error::other(error).into())
}

/// `text`, made such that a spreadsheet which opens it runs nothing.
fn not_a_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
