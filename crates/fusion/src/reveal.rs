//! What a lane opens, on the wire and in the protocol: the one place where the two meet.

use fusion_net::Reveal as Asked;
use fusion_nn::exec::Reveal;

/// What the protocol opens where a lane request asks for this.
pub(crate) fn opened_by(asked: Asked) -> Reveal {
    match asked {
        Asked::Label => Reveal::Label,
        Asked::Logits => Reveal::Logits,
    }
}
