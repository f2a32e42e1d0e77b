//! What a lane opens, on the wire and in the protocol: the one place where the two meet.

use fusion_net::Reveal as Asked;
use fusion_nn::exec::Reveal;

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
    fn logits_are_opened_only_where_the_card_allows_it() {
        assert_eq!(opened_by(Asked::Logits, 0), None);
        assert_eq!(opened_by(Asked::Logits, 8), Some(Reveal::Logits { bits: 8 }));
        assert_eq!(opened_by(Asked::Label, 0), Some(Reveal::Label));
    }
}
