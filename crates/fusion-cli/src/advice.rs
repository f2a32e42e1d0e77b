//! What a user can do about an error.

use std::io::ErrorKind;
use std::path::Path;

use fusion::Error;
use fusion::client::{JournalError, TrustError};
use fusion::model::package::PackageError;
use fusion::net::{Mismatch, NetError};

/// What to do next, if something can be done about what is at the bottom of `error`.
#[must_use]
pub fn advice_on(error: &anyhow::Error) -> Option<String> {
    let of_library = error.chain().find_map(|cause| cause.downcast_ref::<Error>()).and_then(on_library);
    of_library
        .or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<NetError>()).and_then(on_network))
        .or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).and_then(on_file))
}

fn on_library(error: &Error) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "errors without advice need none")]
    match error {
        Error::NoServer(why) | Error::Net(why) => on_network(why),
        Error::WhichModel { address } | Error::NoSuchModel { address, .. } => {
            Some(format!("see which there are with `fusion models --server {address}`, and name one with --model"))
        }
        Error::Package(PackageError::Io { path, .. }) => on_absent(path),
        Error::Trust(TrustError::Changed { served, .. }) => {
            Some(format!("ask the operator whether the model was meant to change; if it was, --pin {served}"))
        }
        Error::Trust(TrustError::NotPinned { .. }) => {
            Some("ask the operator for the digest that `fusion inspect` shows, by another way than this server, and --pin that".to_owned())
        }
        Error::OutOfPatience { .. } => Some("wait longer with --patience 1h, or see with `fusion doctor --server` how it is".to_owned()),
        Error::File { path, cause } => on_path(cause.kind(), path),
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
        Error::Incomplete { resumable: true, journal, cause, .. } if matches!(**cause, Error::OutOfPatience { .. }) => Some(format!(
            "go on when the server is back with `fusion query --resume {}`, and --patience 1h to wait longer",
            journal.display()
        )),
        Error::Incomplete { resumable: true, journal, .. } | Error::NotRecorded { journal, .. } => {
            Some(format!("go on with `fusion query --resume {}`", journal.display()))
        }
        _ => None,
    }
}

fn on_network(error: &NetError) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "errors without advice need none")]
    match error {
        NetError::Unauthenticated => {
            Some("give the token that the operator gave you, with --token-file FILE (mode 0600) or in FUSION_TOKEN".to_owned())
        }
        NetError::Mismatch(Mismatch::ProtocolVersion | Mismatch::ParamsVersion) => {
            Some("use programs of one version on both sides".to_owned())
        }
        NetError::Mismatch(Mismatch::Card | Mismatch::Hint) => {
            Some("the server serves another model than a moment ago: try again, and ask the operator which digest to --pin".to_owned())
        }
        NetError::Mismatch(Mismatch::Model | Mismatch::Unnamed) => {
            Some("see which models there are with `fusion models --server`, and name one with --model".to_owned())
        }
        NetError::Unreachable { reason, .. } => {
            Some(on_handshake(reason).unwrap_or("start one with `fusion serve PACKAGE`, or name another with --server").to_owned())
        }
        NetError::Closed => Some(
            "try again; if it stays so, the server may speak TLS (--tls-ca FILE) or ask for a certificate (--client-cert FILE --client-key FILE)".to_owned(),
        ),
        NetError::Transport(reason) => on_handshake(reason).map(str::to_owned),
        NetError::Disk { path, .. } => on_absent(path),
        _ => None,
    }
}

/// What the reason for not reaching a server says of TLS. It is text of the TLS and HTTP libraries;
/// a test holds it to what they say.
fn on_handshake(reason: &str) -> Option<&'static str> {
    let says = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
    if says(&["not valid for name", "NotValidForName"]) {
        Some("connect to a name that is in the server's certificate, or say which one is with --tls-name")
    } else if says(&["UnknownIssuer", "BadSignature"]) {
        Some("give the authority that signed the server's certificate with --tls-ca FILE: this one did not")
    } else if says(&["Expired", "expired", "NotValidYet", "not valid yet"]) {
        Some("ask the operator for a certificate that is valid today, and see with `fusion doctor` whether this clock is right")
    } else if says(&["CertificateRequired"]) {
        Some("the server lets in clients with a certificate: --client-cert FILE --client-key FILE")
    } else if says(&["InvalidContentType"]) {
        Some(
            "the server does not speak TLS there: leave out --tls-ca (and --insecure if it is another machine), or ask for its TLS address",
        )
    } else if says(&["http2 error"]) {
        Some(
            "something answers, but not as a Fusion server in plaintext does: if it has a certificate, give its authority with --tls-ca FILE",
        )
    } else {
        None
    }
}

/// Of errors that keep the system's words only.
fn on_absent(path: &Path) -> Option<String> {
    if path.exists() { None } else { on_path(ErrorKind::NotFound, path) }
}

fn on_file(error: &std::io::Error) -> Option<String> {
    on_path(error.kind(), Path::new(""))
}

fn on_path(kind: ErrorKind, path: &Path) -> Option<String> {
    let here = || std::env::current_dir().map_or_else(|_| "the current directory".to_owned(), |here| here.display().to_string());
    #[expect(clippy::wildcard_enum_match_arm, reason = "the system's other reasons speak for themselves")]
    match kind {
        ErrorKind::NotFound if path.is_absolute() => Some("see whether its name is right".to_owned()),
        ErrorKind::NotFound => Some(format!("see whether its name is right; it was looked for from {}", here())),
        ErrorKind::PermissionDenied => Some("see who owns it (ls -l), and run this as a user that may use it".to_owned()),
        ErrorKind::StorageFull => Some("free space, or name another place".to_owned()),
        _ => None,
    }
}
