//! What a user can do about an error.

use fusion::Error;
use fusion::client::JournalError;

/// What to do next, if an error of the library is at the bottom of `error` and something can be
/// done.
#[must_use]
pub fn advice_on(error: &anyhow::Error) -> Option<String> {
    let known = error.chain().find_map(|cause| cause.downcast_ref::<Error>())?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "errors without advice need none")]
    match known {
        Error::NoServer(_) => Some("start one with `fusion serve PACKAGE`, or name another with --server".to_owned()),
        Error::NoClaim => Some(
            "give --claimed-accuracy, or --certified if the public labels are the model's own outputs, \
             or a whole mix with --copies, --public, --tau and --max-inconclusive"
                .to_owned(),
        ),
        Error::NoAnswers => {
            Some("give their true labels with --public-labels, or ask the owner to publish answers (fusion prepare --answers)".to_owned())
        }
        Error::Unsound { .. } => Some(
            "leave --copies, --public, --tau and --max-inconclusive to the planner, or run it all the same with --allow-unsound".to_owned(),
        ),
        Error::WeakRun { .. } => {
            Some("name runs that were as strict, ask for less with --lambda, or run it all the same with --allow-unsound".to_owned())
        }
        Error::Flips { .. } => Some("state a rate of your own with --flip-rate, if you know that copies disagree that often".to_owned()),
        Error::NothingTells => Some("give --public-labels, or leave --detect-below out".to_owned()),
        Error::MixedPool => Some("leave out --known-from, or --public-labels".to_owned()),
        Error::SheetBelowClaim { .. } => Some(
            "test against your labels alone with --ground-truth, state what you expect with --claimed-accuracy, or ask the owner"
                .to_owned(),
        ),
        Error::Journal(JournalError::Taken { path }) => {
            Some(format!("go on with `fusion query --resume {}`, or choose another --out", path.display()))
        }
        Error::Incomplete { resumable: true, journal, .. } | Error::NotRecorded { journal, .. } => {
            Some(format!("go on with `fusion query --resume {}`", journal.display()))
        }
        _ => None,
    }
}
