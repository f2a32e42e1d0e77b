//! Pages for people: the report on a batch, a plan and an audit, as text or HTML.
//!
//! `fusion-mix` computes every number; these functions only lay it out.

mod html;
mod overview;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use html::report_html;
pub(crate) use overview::{audit_text, plan_text};
pub(crate) use text::report_text;
