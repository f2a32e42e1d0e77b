//! The terms under which a lane runs.

use bytes::Bytes;

use crate::PROTOCOL_VERSION;
use crate::digest::Digest;
use crate::error::{Misbehaviour, Mismatch, NetError};
use crate::proto::{self, Frame, frame::Kind};

/// What a client learns of each sample of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reveal {
    /// The index of the largest logit.
    Label,
    /// All logits.
    Logits,
}

/// The terms of one lane, as its client proposes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRequest {
    /// Digest of the model card that the client works by.
    pub card_digest: Digest,
    /// Version of the cryptographic parameters and layer protocols.
    pub params_version: u32,
    /// Samples that the lane carries, at least 1.
    pub n_samples: u32,
    /// What is opened to the client.
    pub reveal: Reveal,
}

impl LaneRequest {
    pub(crate) fn to_wire(self) -> Frame {
        let reveal = match self.reveal {
            Reveal::Label => proto::Reveal::Label,
            Reveal::Logits => proto::Reveal::Logits,
        };
        Frame {
            kind: Some(Kind::Open(proto::LaneOpen {
                protocol_version: PROTOCOL_VERSION,
                params_version: self.params_version,
                card_digest: Bytes::copy_from_slice(self.card_digest.as_bytes()),
                n_samples: self.n_samples,
                reveal: reveal.into(),
            })),
        }
    }

    /// Checks the form of a client's request and the version of its wire protocol.
    pub(crate) fn from_wire(open: &proto::LaneOpen) -> Result<Self, NetError> {
        if open.protocol_version != PROTOCOL_VERSION {
            return Err(NetError::Mismatch(Mismatch::ProtocolVersion));
        }
        let card_digest = Digest::from_slice(&open.card_digest).ok_or(Misbehaviour::DigestLength(open.card_digest.len()))?;
        if open.n_samples == 0 {
            return Err(Misbehaviour::NoSamples.into());
        }
        let reveal = match proto::Reveal::try_from(open.reveal) {
            Ok(proto::Reveal::Label) => Reveal::Label,
            Ok(proto::Reveal::Logits) => Reveal::Logits,
            Ok(proto::Reveal::Unspecified) | Err(_) => return Err(Misbehaviour::UnknownReveal(open.reveal).into()),
        };
        Ok(Self { card_digest, params_version: open.params_version, n_samples: open.n_samples, reveal })
    }
}
