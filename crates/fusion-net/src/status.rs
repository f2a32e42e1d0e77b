//! Errors as gRPC statuses and back.
//!
//! The code says the kind of error, the metadata entry `fusion-reason` names the limit or the
//! mismatch for machines, and the message is for people. A peer's message is shortened, and its
//! control characters are removed, before anyone sees it.

use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::error::{Misbehaviour, Mismatch, NetError};
use crate::limit_name::LimitName;

pub(crate) const REASON: &str = "fusion-reason";

/// How the gRPC library of this process begins what it says of a peer's message that does not
/// decode or does not come. Its status is internal and has no source, as that of a server that
/// failed.
const MALFORMED: [&str; 4] =
    ["failed to decode Protobuf message", "Missing response message", "Missing request message", "Unexpected EOF decoding stream"];

/// When to try again, in ms: the name that gRPC's own retries know.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Samples of the largest lane that has room.
const FITS: &str = "fusion-fits";

/// What a client believes of a server that asks it to wait: a hostile one may ask for anything.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Characters of a peer's message that we keep.
const MESSAGE_CHARS: usize = 300;

/// What the server tells its client about the end of a call.
pub(crate) fn to_status(error: &NetError) -> Status {
    match error {
        NetError::Limit { limit, retry_after } => {
            let status = with_reason(Status::resource_exhausted(error.to_string()), limit.as_str());
            match retry_after {
                Some(wait) => with_number(status, PUSHBACK, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                None => status,
            }
        }
        NetError::LaneTooLarge { limit, samples } => {
            let status = with_reason(Status::resource_exhausted(error.to_string()), limit.as_str());
            with_number(status, FITS, u64::from(*samples))
        }
        NetError::Timeout { seconds } => {
            let text = format!("limit reached: {}, nothing arrived for {seconds} s", LimitName::Idle);
            with_reason(Status::resource_exhausted(text), LimitName::Idle.as_str())
        }
        NetError::Mismatch(what) => with_reason(Status::failed_precondition(error.to_string()), &what.to_string()),
        NetError::Unauthenticated => Status::unauthenticated("a valid bearer token is required"),
        NetError::ShuttingDown => Status::unavailable("the server is shutting down"),
        NetError::PeerMisbehaved(what) => Status::invalid_argument(what.to_string()),
        NetError::Closed => Status::cancelled("the client closed the lane"),
        // Details of a failure on this side are for this side's log.
        NetError::Unreachable { .. }
        | NetError::Transport(_)
        | NetError::Rejected(_)
        | NetError::PeerFailed(_)
        | NetError::Stopped(_)
        | NetError::Settings(_)
        | NetError::Disk { .. } => Status::internal("the server failed; its log says why"),
    }
}

fn with_reason(mut status: Status, reason: &str) -> Status {
    if let Ok(value) = MetadataValue::try_from(reason) {
        status.metadata_mut().insert(REASON, value);
    }
    status
}

fn with_number(mut status: Status, key: &'static str, number: u64) -> Status {
    status.metadata_mut().insert(key, MetadataValue::from(number));
    status
}

fn number(status: &Status, key: &str) -> Option<u64> {
    status.metadata().get(key)?.to_str().ok()?.parse().ok()
}

/// What a status from the server means to the client.
pub(crate) fn from_server(status: &Status) -> NetError {
    let reason = status.metadata().get(REASON).and_then(|value| value.to_str().ok());
    let text = printable(status.message());
    match status.code() {
        Code::ResourceExhausted => match reason.and_then(LimitName::from_wire) {
            Some(limit) => match number(status, FITS) {
                Some(samples) => NetError::LaneTooLarge { limit, samples: u32::try_from(samples).unwrap_or(u32::MAX) },
                None => NetError::Limit { limit, retry_after: number(status, PUSHBACK).map(wait) },
            },
            None => NetError::PeerFailed(text),
        },
        Code::FailedPrecondition => match reason.and_then(|name| Mismatch::ALL.into_iter().find(|what| what.to_string() == name)) {
            Some(what) => NetError::Mismatch(what),
            None => NetError::PeerFailed(text),
        },
        Code::InvalidArgument => NetError::Rejected(text),
        Code::Unauthenticated | Code::PermissionDenied => NetError::Unauthenticated,
        // The library gives transport errors these codes too; then the status has a source.
        Code::Unavailable if std::error::Error::source(status).is_none() => NetError::ShuttingDown,
        Code::Internal if MALFORMED.iter().any(|said| text.starts_with(said)) => Misbehaviour::MalformedMessage.into(),
        Code::Internal if std::error::Error::source(status).is_none() => NetError::PeerFailed(text),
        Code::OutOfRange => Misbehaviour::MalformedMessage.into(),
        Code::Cancelled => NetError::Closed,
        Code::Ok | Code::Unknown | Code::Unavailable | Code::Internal | Code::DataLoss | Code::Aborted | Code::DeadlineExceeded => {
            lost(status, text)
        }
        Code::NotFound | Code::AlreadyExists | Code::Unimplemented => NetError::PeerFailed(text),
    }
}

fn wait(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).min(LONGEST_WAIT)
}

/// What a failure to read the client's frames means to the server.
pub(crate) fn from_client(status: &Status) -> NetError {
    if std::error::Error::source(status).is_some() {
        return NetError::Closed;
    }
    match status.code() {
        // A status without a source comes from the decoder of this process: the message is too
        // large or malformed.
        Code::OutOfRange => NetError::limit(LimitName::MessageBytes),
        Code::Internal | Code::Unimplemented | Code::InvalidArgument => Misbehaviour::MalformedMessage.into(),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => NetError::Closed,
    }
}

/// A connection that broke is `Closed`; anything else keeps its text.
fn lost(status: &Status, text: String) -> NetError {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
            let gone = [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof].contains(&io.kind());
            return if gone { NetError::Closed } else { NetError::Transport(io.to_string()) };
        }
        cause = error.source();
    }
    NetError::Transport(text)
}

fn printable(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_can_act_on_survives_the_wire() {
        let mut errors = vec![NetError::Unauthenticated, NetError::ShuttingDown, NetError::Closed];
        errors.extend(Mismatch::ALL.map(NetError::Mismatch));
        errors.push(NetError::limit(LimitName::BytesPerLane));
        let retry_after = Some(Duration::from_millis(1234));
        errors.push(NetError::Limit { limit: LimitName::LanesTotal, retry_after });
        errors.push(NetError::LaneTooLarge { limit: LimitName::Memory, samples: 812 });
        for error in errors {
            assert_eq!(from_server(&to_status(&error)), error);
        }
        assert_eq!(from_server(&to_status(&NetError::Timeout { seconds: 3 })), NetError::limit(LimitName::Idle));
        let rejected = from_server(&to_status(&Misbehaviour::NoSamples.into()));
        assert_eq!(rejected, NetError::Rejected("a lane with 0 samples".into()));
    }

    #[test]
    fn a_server_makes_nobody_wait_for_long() {
        let full = NetError::Limit { limit: LimitName::LanesTotal, retry_after: None };
        let status = |pushback: &str| {
            let mut status = to_status(&full);
            status.metadata_mut().insert(PUSHBACK, pushback.parse().unwrap());
            status
        };
        for (pushback, expected) in [
            ("250", Some(Duration::from_millis(250))),
            ("99999999", Some(LONGEST_WAIT)),
            ("18446744073709551615", Some(LONGEST_WAIT)),
            // gRPC's "do not retry", and nonsense.
            ("-1", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            let NetError::Limit { retry_after, .. } = from_server(&status(pushback)) else { panic!("another error") };
            assert_eq!(retry_after, expected, "{pushback}");
        }
    }

    #[test]
    fn a_reply_that_does_not_decode_is_the_servers_fault() {
        use prost::Message as _;
        let error = crate::proto::DescribeReply::decode(&b"\xff"[..]).unwrap_err();
        for said in [&error.to_string(), "Missing response message."] {
            assert_eq!(from_server(&Status::internal(said)), Misbehaviour::MalformedMessage.into());
        }
        assert!(matches!(from_server(&Status::internal("the server failed")), NetError::PeerFailed(_)));
    }

    #[test]
    fn internal_details_stay_inside() {
        let status = to_status(&NetError::Disk { path: "/secret/place".into(), reason: "denied".into() });
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"), "{}", status.message());
    }

    #[test]
    fn a_hostile_message_is_cut_and_cleaned() {
        let status = Status::internal(format!("\u{1b}[31m{}", "x".repeat(10_000)));
        let NetError::PeerFailed(text) = from_server(&status) else { panic!("wrong kind") };
        assert_eq!(text.chars().count(), MESSAGE_CHARS);
        assert!(!text.chars().any(char::is_control));
    }
}
