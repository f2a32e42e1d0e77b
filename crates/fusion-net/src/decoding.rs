//! The steps from a decoded message of the peer to a checked value, one by one, for fuzz targets
//! (feature `test-utils`). Applications get the values from [`Client`](crate::Client) and
//! [`LaneHandler`](crate::LaneHandler).

use std::path::PathBuf;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::client::{Served, served};
use crate::error::NetError;
use crate::hint_cache::Part;
use crate::lane_request::LaneRequest;
use crate::proto::{DescribeReply, Frame, HintChunk, LaneOpen};
use crate::status::{REASON, from_client, from_server};

/// What a server makes of a client's first frame.
///
/// # Errors
/// As the server tells its client.
pub fn lane_request(open: &LaneOpen) -> Result<LaneRequest, NetError> {
    LaneRequest::from_wire(open)
}

/// A request as the first frame of its lane.
#[must_use]
pub fn first_frame(request: LaneRequest) -> Frame {
    request.to_wire()
}

/// What a client makes of a server's description.
///
/// # Errors
/// As [`Client::describe`](crate::Client::describe).
pub fn description(reply: DescribeReply) -> Result<Served, NetError> {
    served(reply)
}

/// Appends the pieces of a hint of `total` bytes to the file at `path`; returns the bytes there.
///
/// # Errors
/// As [`Client::fetch_hint`](crate::Client::fetch_hint).
pub fn hint_pieces(path: PathBuf, total: u64, pieces: impl IntoIterator<Item = HintChunk>) -> Result<u64, NetError> {
    let mut part = Part::open(path, total)?;
    for piece in pieces {
        part.append(piece.offset, &piece.data)?;
    }
    Ok(part.progress().done)
}

/// What a client and a server make of a status with which the peer ends a call: its number, the
/// metadata entry that names limit or mismatch, and its text.
#[must_use]
pub fn status(code: i32, reason: &[u8], text: &str) -> [NetError; 2] {
    let mut metadata = MetadataMap::new();
    if let Ok(value) = MetadataValue::try_from(reason) {
        metadata.insert(REASON, value);
    }
    let status = Status::with_metadata(Code::from_i32(code), text, metadata);
    [from_server(&status), from_client(&status)]
}
