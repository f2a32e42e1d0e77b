//! Errors of the library as Python exceptions, by what a caller can do about them.

use fusion::Error;
use fusion::client::TrustError;
use fusion::net::{Fault as NetFault, NetError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The classes of `fusion.errors` that calls raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything else.
    FusionError,
    /// No server, or one that is gone, busy or of another version.
    ServerUnavailable,
    /// A network or package that cannot be used.
    BadModel,
    /// A server, or what it serves, that is not to be relied on.
    Untrusted,
    /// What the caller gave.
    BadInput,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::FusionError => "FusionError",
            Self::ServerUnavailable => "ServerUnavailable",
            Self::BadModel => "BadModel",
            Self::Untrusted => "Untrusted",
            Self::BadInput => "BadInput",
        }
    }
}

/// Why a call did not do its work.
pub(crate) enum Fault {
    /// The library says why.
    Library(Error),
    /// This crate does.
    Own(Kind, String),
    /// It was asked to stop.
    Stopped,
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Library(error.into())
    }
}

impl Fault {
    /// A fault in what the caller gave.
    pub(crate) fn input(reason: impl ToString) -> Self {
        Self::Own(Kind::BadInput, reason.to_string())
    }

    /// A fault of a package, which is the model owner's own: nobody else is to be mistrusted.
    pub(crate) fn of_package(error: impl Into<Error>) -> Self {
        let error = error.into();
        if matches!(error, Error::Card(_) | Error::Package(_) | Error::Lane(_)) {
            return Self::Own(Kind::BadModel, with_causes(&error));
        }
        Self::Library(error)
    }

    /// The exception.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Library(error) => exception(py, &error),
            Self::Own(kind, reason) => made(py, kind.name(), &reason, &PyDict::new(py)),
            Self::Stopped => made(py, Kind::FusionError.name(), "the call was stopped", &PyDict::new(py)),
        }
    }
}

/// A fault in what the caller gave, as an exception.
pub(crate) fn bad_input(py: Python<'_>, reason: impl ToString) -> PyErr {
    Fault::input(reason).raise(py)
}

/// An error and what lies behind it, in one line each.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        // Some errors name their cause in their own words.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let text = match hint(error) {
        Some(hint) => format!("{}\n{hint}", with_causes(error)),
        None => with_causes(error),
    };
    let Error::Incomplete { answered, all, resumable, journal, cause } = error else {
        return made(py, kind(error).name(), &text, &PyDict::new(py));
    };
    let facts = PyDict::new(py);
    let set = facts
        .set_item("run", journal)
        .and_then(|()| facts.set_item("answered", answered))
        .and_then(|()| facts.set_item("total", all))
        .and_then(|()| facts.set_item("resumable", resumable));
    match set {
        Ok(()) => {
            let raised = made(py, "Incomplete", &text, &facts);
            raised.set_cause(py, Some(exception(py, cause)));
            raised
        }
        Err(error) => error,
    }
}

/// The exception of a class of `fusion.errors`, or why it cannot be made.
fn made(py: Python<'_>, class: &str, text: &str, facts: &Bound<'_, PyDict>) -> PyErr {
    let class = py.import("fusion.errors").and_then(|module| module.getattr(class));
    match class.and_then(|class| class.call((text,), Some(facts))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "errors without a kind of their own are of the general one")]
fn kind(error: &Error) -> Kind {
    match error {
        Error::NoServer(_) | Error::OutOfPatience { .. } => Kind::ServerUnavailable,
        Error::Net(error) => kind_on_the_way(error),
        Error::Trust(TrustError::NotPinned { .. } | TrustError::Changed { .. })
        | Error::Served { .. }
        | Error::Card(_)
        | Error::Flips { .. }
        | Error::SheetBelowClaim { .. }
        | Error::Answers(_)
        | Error::OtherModel { .. } => Kind::Untrusted,
        Error::Package(_)
        | Error::Import { .. }
        | Error::Calibrate(_)
        | Error::Plan(_)
        | Error::Sensitivity(_)
        | Error::Tolerance { .. }
        | Error::Eval(_)
        | Error::Cost(_) => Kind::BadModel,
        Error::Trust(_)
        | Error::Mix(_)
        | Error::NoClaim
        | Error::NoSuchModel { .. }
        | Error::WhichModel { .. }
        | Error::Unsound { .. }
        | Error::WeakRun { .. }
        | Error::NothingTells
        | Error::NoAnswers
        | Error::TwoLabels { .. }
        | Error::NoSuchClass { .. }
        | Error::FloatLabels { .. }
        | Error::Memory(_)
        | Error::MixedPool
        | Error::NotAccepted { .. }
        | Error::NoDigests { .. }
        | Error::Image(_)
        | Error::Encode { .. }
        | Error::NoInputs
        | Error::Journal(_)
        | Error::OtherInputs
        | Error::File { .. } => Kind::BadInput,
        Error::LaneRun { error, .. } => match &**error {
            fusion::client::RunError::Net(error) | fusion::client::RunError::Opening(error) => kind_on_the_way(error),
            _ => Kind::FusionError,
        },
        _ => Kind::FusionError,
    }
}

fn kind_on_the_way(error: &NetError) -> Kind {
    if *error == NetError::Unauthenticated {
        return Kind::Untrusted;
    }
    match error.fault() {
        NetFault::Peer => Kind::Untrusted,
        NetFault::Local => Kind::BadInput,
        NetFault::Network | NetFault::Incompatible => Kind::ServerUnavailable,
        // Added to fusion-net after this was written.
        _ => Kind::FusionError,
    }
}

/// What to do next, in the words of the Python package.
#[expect(clippy::wildcard_enum_match_arm, reason = "errors without advice need none")]
fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::NoServer(_) => Some("Start one with fusion.serve(package), or name another address."),
        Error::NoSuchModel { .. } | Error::WhichModel { .. } => Some("Name one with fusion.Client(..., model=NAME)."),
        Error::NoClaim => Some(
            "Pass claimed_accuracy=, or known_from=\"certified\" if the labels are the model's own answers, or a whole mix: copies=, public_samples=, tau=, max_inconclusive=.",
        ),
        Error::NoAnswers => Some("Give labels with publics=, or ask the owner to publish answers (fusion.prepare(answers=...))."),
        Error::Unsound { .. } => {
            Some("Leave the mix to the planner, ask for less (assurance=\"covert\"), or pass allow_unsound=True to Client.")
        }
        Error::NothingTells => Some("Give true labels of the public samples, or leave detect_below out."),
        Error::Trust(TrustError::Changed { .. }) => Some("In Python: fusion.Client(..., pin=DIGEST)."),
        Error::Incomplete { resumable: true, .. } => Some("Go on with client.resume(error.run)."),
        _ => None,
    }
}
