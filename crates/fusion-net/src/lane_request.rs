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

/// How a lane's comparisons are cut into digits, one look-up by oblivious transfer each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// As few look-ups as possible.
    FewestOts,
    /// One look-up more, where that saves bits.
    OneMore,
    /// As few bits as possible.
    FewestBits,
}

/// Size of the extensions in which a lane's random OTs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extension {
    /// 1.7 million OTs.
    Small,
    /// 3.5 million.
    Medium,
    /// 7 million.
    Large,
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
    /// How comparisons are cut.
    pub split: Split,
    /// Size of the extensions in which random OTs are made.
    pub extension: Extension,
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
        let split = match self.split {
            Split::FewestOts => 0,
            Split::OneMore => 1,
            Split::FewestBits => 2,
        };
        let extension = match self.extension {
            Extension::Small => 0,
            Extension::Medium => 1,
            Extension::Large => 2,
        };
        let numbers = [PROTOCOL_VERSION, self.params_version, self.n_samples, reveal, self.lane, split, extension];
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
                split: self.split.to_wire().into(),
                extension: self.extension.to_wire().into(),
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
        let split = Split::from_wire(open.split).ok_or(Misbehaviour::UnknownSplit(open.split))?;
        let extension = Extension::from_wire(open.extension).ok_or(Misbehaviour::UnknownExtension(open.extension))?;
        let (params_version, n_samples, lane) = (open.params_version, open.n_samples, open.lane);
        Ok(Self { card_digest, params_version, n_samples, reveal, lane, split, extension })
    }
}

impl Split {
    fn to_wire(self) -> proto::Split {
        match self {
            Self::FewestOts => proto::Split::FewestOts,
            Self::OneMore => proto::Split::OneMore,
            Self::FewestBits => proto::Split::FewestBits,
        }
    }

    fn from_wire(split: i32) -> Option<Self> {
        match proto::Split::try_from(split) {
            Ok(proto::Split::FewestOts) => Some(Self::FewestOts),
            Ok(proto::Split::OneMore) => Some(Self::OneMore),
            Ok(proto::Split::FewestBits) => Some(Self::FewestBits),
            Ok(proto::Split::Unspecified) | Err(_) => None,
        }
    }
}

impl Extension {
    fn to_wire(self) -> proto::ExtensionSize {
        match self {
            Self::Small => proto::ExtensionSize::Small,
            Self::Medium => proto::ExtensionSize::Medium,
            Self::Large => proto::ExtensionSize::Large,
        }
    }

    fn from_wire(extension: i32) -> Option<Self> {
        match proto::ExtensionSize::try_from(extension) {
            Ok(proto::ExtensionSize::Small) => Some(Self::Small),
            Ok(proto::ExtensionSize::Medium) => Some(Self::Medium),
            Ok(proto::ExtensionSize::Large) => Some(Self::Large),
            Ok(proto::ExtensionSize::Unspecified) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_requests_have_different_bindings() {
        let (card_digest, reveal) = (Digest::of(b"card"), Reveal::Label);
        let (split, extension) = (Split::OneMore, Extension::Medium);
        let base = LaneRequest { card_digest, params_version: 1, n_samples: 2, reveal, lane: 3, split, extension };
        let all = [
            base,
            LaneRequest { card_digest: Digest::of(b"another"), ..base },
            LaneRequest { params_version: 2, ..base },
            LaneRequest { n_samples: 3, ..base },
            LaneRequest { reveal: Reveal::Logits, ..base },
            LaneRequest { lane: 2, ..base },
            LaneRequest { split: Split::FewestOts, ..base },
            LaneRequest { split: Split::FewestBits, ..base },
            LaneRequest { extension: Extension::Small, ..base },
            LaneRequest { extension: Extension::Large, ..base },
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a.binding() != b.binding()));
        }
    }
}
