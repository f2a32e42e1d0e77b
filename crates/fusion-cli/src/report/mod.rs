//! Pages for people: the report on a batch, a plan and an audit, as text, HTML or CSV.
//!
//! `fusion-mix` computes every number; these functions only lay it out. Text and HTML say the same
//! in the same order: the verdict, the answers, what it guarantees, the evidence, the plan.

mod figures;
mod html;
mod overview;
mod spreadsheet;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub(crate) use html::report_html;
pub(crate) use overview::{audit_text, plan_text};
pub(crate) use spreadsheet::report_csv;
pub use text::report_text;
pub(crate) use words::plain;
