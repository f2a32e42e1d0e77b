//! Faults that change what a byte or a message says, and leave its frame whole.

use super::script::Action;

/// Bytes of the header of an HTTP/2 frame.
pub(super) const FRAME_HEADER: usize = 9;

/// Bytes as a fault leaves them that does no more than change them.
pub(super) fn rewritten(content: &[u8], action: Action) -> Vec<u8> {
    // Never what was there, and never a repetition.
    let noise =
        |length: usize| (0..length).map(|at| (at as u8).wrapping_mul(151) ^ 0x5a ^ content.get(at).map_or(0, |byte| byte.rotate_left(3)));
    match action {
        Action::Zero => vec![0; content.len()],
        Action::Noise => noise(content.len()).collect(),
        Action::Shorten => content[..content.len() / 2].to_vec(),
        Action::Lengthen => content.iter().copied().chain(noise(17)).collect(),
        Action::Repeat => content.repeat(2),
        Action::Drop(_) | Action::Stall(_) | Action::Truncate | Action::Corrupt | Action::Reorder(_) | Action::Disconnect => {
            content.to_vec()
        }
    }
}

/// Bytes before the content of a gRPC message in a frame: a flag and the content's length.
const GRPC_HEADER: usize = 5;

/// A DATA frame whose gRPC message, or what there is of one, has another content. Lengths are those
/// of the new content, so that HTTP/2 and gRPC go on.
pub(super) fn rewritten_frame(frame: &[u8], action: Action) -> Vec<u8> {
    let (header, body) = frame.split_at(FRAME_HEADER);
    let whole = body.get(1..GRPC_HEADER).is_some_and(|length| length == ((body.len() - GRPC_HEADER) as u32).to_be_bytes());
    let (prefix, content) = body.split_at(if whole { GRPC_HEADER } else { 0 });
    let content = rewritten(content, action);
    let length = |bytes: usize| (bytes as u32).to_be_bytes();
    let mut prefix = prefix.to_vec();
    if whole {
        prefix[1..].copy_from_slice(&length(content.len()));
    }
    [&length(prefix.len() + content.len())[1..], &header[3..], &prefix, &content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(content: &[u8]) -> Vec<u8> {
        [&[0, 0, content.len() as u8 + 5, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, content.len() as u8], content].concat()
    }

    #[test]
    fn a_changed_message_is_well_framed() {
        let one = frame(b"one!");
        assert_eq!(rewritten_frame(&one, Action::Zero), frame(&[0; 4]));
        assert_eq!(rewritten_frame(&one, Action::Shorten), frame(b"on"));
        for (action, length) in [(Action::Noise, 4), (Action::Lengthen, 4 + 17)] {
            let changed = rewritten_frame(&one, action);
            let content = &changed[FRAME_HEADER + GRPC_HEADER..];
            assert_eq!((&changed, content.len()), (&frame(content), length), "{action:?}");
            assert_eq!(content[..4] == *b"one!", action == Action::Lengthen);
        }
        // What is no whole gRPC message has no length of its own.
        let part = [&[0, 0, 4, 0, 0, 0, 0, 0, 1], &b"part"[..]].concat();
        assert_eq!(rewritten_frame(&part, Action::Zero), [&part[..FRAME_HEADER], &[0; 4]].concat());
    }
}
