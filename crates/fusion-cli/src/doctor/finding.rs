//! What `fusion doctor` finds: a state, a fact, and what to do.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::colour::{Mood, painted};

/// Width of the names of parts in a list.
const PART: usize = 12;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warning,
    /// It does not work, or must not be used like that.
    Problem,
}

impl State {
    fn painted(self, colours: bool) -> String {
        let (word, mood) = match self {
            Self::Ok => ("ok", Mood::Good),
            Self::Warning => ("warning", Mood::Doubtful),
            Self::Problem => ("problem", Mood::Bad),
        };
        painted(format_args!("{word:8}"), mood, colours)
    }
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    /// Of what.
    pub(super) part: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) says: String,
    /// What to do about it.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
    /// The figures behind it, for programs.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) figures: Map<String, Value>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(part: &'static str, says: impl Into<String>) -> Self {
        Self { part, state: State::Ok, says: says.into(), advice: None, figures: Map::new() }
    }

    /// It could be better, and how.
    pub(super) fn warning(part: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Warning, advice: Some(advice.into()), ..Self::ok(part, says) }
    }

    /// It does not work, and what to do.
    pub(super) fn problem(part: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Problem, advice: Some(advice.into()), ..Self::ok(part, says) }
    }

    /// With the figures of `object` for programs.
    pub(super) fn with(mut self, object: Value) -> Self {
        if let Value::Object(figures) = object {
            self.figures.extend(figures);
        }
        self
    }

    fn text(&self, colours: bool) -> String {
        let advice = self.advice.iter().map(|advice| format!("\n{:PART$} {}", "", format_args!("         try: {advice}")));
        format!("{:PART$} {} {}{}", self.part, self.state.painted(colours), self.says, advice.collect::<String>())
    }
}

/// All findings as a list for people.
pub(super) fn text(findings: &[Finding], colours: bool) -> String {
    let lines: Vec<_> = findings.iter().map(|finding| finding.text(colours)).collect();
    let (warnings, problems) = (count(findings, State::Warning), count(findings, State::Problem));
    format!("{}\n\n{problems} problem{}, {warnings} warning{}", lines.join("\n"), plural(problems), plural(warnings))
}

/// All findings for programs.
pub(super) fn to_json(findings: &[Finding]) -> Value {
    json!({ "problems": count(findings, State::Problem), "warnings": count(findings, State::Warning), "findings": findings })
}

/// How many are in this state.
pub(super) fn count(findings: &[Finding], state: State) -> usize {
    findings.iter().filter(|finding| finding.state == state).count()
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let findings = [
            Finding::ok("cpu", "2 cores").with(json!({ "cores": 2 })),
            Finding::warning("disk", "nearly full", "free some"),
            Finding::problem("server", "away", "start it"),
        ];
        let text = text(&findings, false);
        assert!(
            text.contains("cpu          ok       2 cores\n") && text.contains("try: free some") && text.ends_with("1 problem, 1 warning"),
            "{text}"
        );
        let json = to_json(&findings);
        assert_eq!((&json["problems"], &json["findings"][0]["figures"]["cores"]), (&json!(1), &json!(2)));
        assert_eq!((&json["findings"][2]["state"], &json["findings"][2]["try"]), (&json!("problem"), &json!("start it")));
    }
}
