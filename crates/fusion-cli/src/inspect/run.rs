//! A run: what it agreed on, how far it is, and whether it can go on.

use std::path::Path;

use anyhow::Result;
use fusion::client::{RunState, read_state};
use serde::Serialize;

use crate::outcome::write_json;
use crate::report::plain;
use crate::terminal::show;

/// What is shown of a run. Neither the order of the batch nor any answer is in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Shown {
    server: String,
    card_digest: String,
    hint_digest: String,
    queries: usize,
    left_out: usize,
    positions: u32,
    answered: u32,
    lanes_answered: usize,
    lanes_planned: usize,
    failures: u32,
    max_failures: Option<u32>,
    complete: bool,
    resumable: bool,
}

impl From<RunState> for Shown {
    fn from(state: RunState) -> Self {
        let (complete, resumable) = (state.is_complete(), state.is_resumable());
        Self {
            queries: state.facts.inputs.files.len(),
            left_out: state.facts.inputs.skipped.len(),
            server: state.facts.server,
            card_digest: state.facts.card_digest,
            hint_digest: state.facts.hint_digest,
            positions: state.positions,
            answered: state.answered,
            lanes_answered: state.lanes,
            lanes_planned: state.facts.slices.len(),
            failures: state.failures,
            max_failures: state.facts.max_failures,
            complete,
            resumable,
        }
    }
}

impl Shown {
    fn text(&self, path: &Path) -> String {
        let path = path.display();
        let most = self.max_failures.map_or_else(String::new, |most| format!("; {most} may"));
        let next = match (self.complete, self.resumable) {
            (true, _) => format!("finished: `fusion verify {path}` judges it"),
            (false, true) => format!("not finished: `fusion query --resume {path}` goes on with it"),
            (false, false) => "not finished, and it cannot go on: too many lanes failed".to_owned(),
        };
        format!(
            "Run:      {path}\n\
             Server:   {}\n\
             Model:    digest {}\n\
             Queries:  {} images, {} files left out\n\
             Answers:  {} of {} positions, in {} lanes; planned were {}\n\
             Failed:   {} lanes{most}\n\
             State:    {next}",
            plain(&self.server),
            plain(&self.card_digest),
            self.queries,
            self.left_out,
            self.answered,
            self.positions,
            self.lanes_answered,
            self.lanes_planned,
            self.failures,
        )
    }
}

/// Shows a run. Nothing is changed, so it may be one that goes on at this moment.
///
/// # Errors
/// A directory that is no run, or is damaged; a file that cannot be written.
pub(super) fn inspect(path: &Path, json: Option<&Path>) -> Result<()> {
    let shown = Shown::from(read_state(path).map_err(fusion::Error::from)?);
    show(shown.text(path))?;
    json.map_or(Ok(()), |path| write_json(path, &shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_do_is_said() {
        let shown = Shown {
            server: "host:1\u{1b}[2J".to_owned(),
            card_digest: "aa".to_owned(),
            hint_digest: "bb".to_owned(),
            queries: 3,
            left_out: 1,
            positions: 20,
            answered: 9,
            lanes_answered: 2,
            lanes_planned: 4,
            failures: 1,
            max_failures: Some(8),
            complete: false,
            resumable: true,
        };
        let text = |shown: &Shown| shown.text(Path::new("run1"));
        let resumable = text(&shown);
        assert!(resumable.contains("9 of 20 positions, in 2 lanes") && resumable.contains("1 lanes; 8 may"), "{resumable}");
        assert!(resumable.contains("fusion query --resume run1") && !resumable.contains('\u{1b}'), "{resumable}");
        assert!(text(&Shown { complete: true, resumable: false, ..shown.clone() }).contains("fusion verify run1"));
        assert!(text(&Shown { resumable: false, ..shown }).contains("cannot go on"));
    }
}
