//! What a client asks of a lane: both sides check it, and the lane's protocol is bound to it.

use bytes::Bytes;

use crate::PROTOCOL_VERSION;
use crate::error::{Misbehaviour, Mismatch, NetError};
use crate::proto::{self, Frame, frame::Kind};
use fusion_ring::symmetric::digest::Digest;

/// What a client learns of each sample of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reveal {
    /// The index of the largest logit.
    Label,
    /// All logits.
    Logits,
}

/// One lane, as its client asks for it.
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
    /// The client's number of the lane, which no other lane of its run has.
    pub lane: u32,
}

impl LaneRequest {
    /// The request as bytes: the same on both sides, and different for different requests. The
    /// lane's OT session is bound to them, so that parties who mean different lanes share no key.
    #[must_use]
    pub fn binding(&self) -> Vec<u8> {
        let reveal = match self.reveal {
            Reveal::Label => 0,
            Reveal::Logits => 1,
        };
        let numbers = [PROTOCOL_VERSION, self.params_version, self.n_samples, reveal, self.lane];
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        // Fixed lengths, so that no two requests have the same bytes.
        self.card_digest.as_bytes().iter().copied().chain(numbers).collect()
    }

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
                lane: self.lane,
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
        Ok(Self { card_digest, params_version: open.params_version, n_samples: open.n_samples, reveal, lane: open.lane })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_requests_have_different_bindings() {
        let base = LaneRequest { card_digest: Digest::of(b"card"), params_version: 1, n_samples: 2, reveal: Reveal::Label, lane: 3 };
        let all = [
            base,
            LaneRequest { card_digest: Digest::of(b"another"), ..base },
            LaneRequest { params_version: 2, ..base },
            LaneRequest { n_samples: 3, ..base },
            LaneRequest { reveal: Reveal::Logits, ..base },
            LaneRequest { lane: 2, ..base },
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a.binding() != b.binding()));
        }
    }
}
