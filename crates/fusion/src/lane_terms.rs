//! The terms of a lane, on the wire and in the protocol: the one place where the two meet.

use fusion_net::{Extension, LaneRequest, Reveal as Asked, Split as AskedSplit};
use fusion_nn::exec::Reveal;
use fusion_nn::layers::{LaneTerms, Split};
use fusion_ot::silent::ExtensionSize;

/// The terms of the lane that `request` asks for.
pub(crate) fn terms_of(request: &LaneRequest) -> LaneTerms {
    let split = match request.split {
        AskedSplit::FewestOts => Split::FewestOts,
        AskedSplit::OneMore => Split::OneMore,
        AskedSplit::FewestBits => Split::FewestBits,
    };
    let extension = match request.extension {
        Extension::Small => ExtensionSize::Small,
        Extension::Medium => ExtensionSize::Medium,
        Extension::Large => ExtensionSize::Large,
    };
    LaneTerms { split, extension }
}

/// What a request for a lane on these terms says of them.
pub(crate) fn asked(terms: LaneTerms) -> (AskedSplit, Extension) {
    let split = match terms.split {
        Split::FewestOts => AskedSplit::FewestOts,
        Split::OneMore => AskedSplit::OneMore,
        Split::FewestBits => AskedSplit::FewestBits,
    };
    let extension = match terms.extension {
        ExtensionSize::Small => Extension::Small,
        ExtensionSize::Medium => Extension::Medium,
        ExtensionSize::Large => Extension::Large,
    };
    (split, extension)
}

/// What the protocol opens where a lane request asks for this and the model's card allows
/// `logits_bits` bits of a logit; `None` where it allows none.
pub(crate) fn opened_by(asked: Asked, logits_bits: u32) -> Option<Reveal> {
    match asked {
        Asked::Label => Some(Reveal::Label),
        Asked::Logits => (logits_bits > 0).then_some(Reveal::Logits { bits: logits_bits }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_the_terms_that_were_asked_for() {
        for (split, extension) in Split::ALL.into_iter().flat_map(|split| ExtensionSize::ALL.map(|size| (split, size))) {
            let terms = LaneTerms { split, extension };
            let (split, extension) = asked(terms);
            let card_digest = fusion_net::Digest::of(b"card");
            let request = LaneRequest { card_digest, params_version: 1, n_samples: 1, reveal: Asked::Label, lane: 0, split, extension };
            assert_eq!(terms_of(&request), terms);
        }
    }

    #[test]
    fn logits_are_opened_only_where_the_card_allows_it() {
        assert_eq!(opened_by(Asked::Logits, 0), None);
        assert_eq!(opened_by(Asked::Logits, 8), Some(Reveal::Logits { bits: 8 }));
        assert_eq!(opened_by(Asked::Label, 0), Some(Reveal::Label));
    }
}
