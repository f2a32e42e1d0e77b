//! Peers that send other bytes or stop, and callers that err.

use fusion_ring::channel::ChannelError;

use super::*;

type Protocol = fn(&mut Party<'_>, &Shared) -> Everything;

/// Protocols, how many shares they give, and whether two labels go with them.
const PROTOCOLS: [(Protocol, usize, bool); 2] = [(everything, 32, true), (functions, 3 * 162, false)];

/// A run whose client's channel `prepare` changes.
fn hostile(protocol: Protocol, prepare: impl Fn(&mut RecordingChannel<MemoryChannel>)) -> Pair<Everything> {
    let shared = Shared::new(&values(162, 9, 1), 12);
    let prepare = |role, end: &mut RecordingChannel<MemoryChannel>| {
        if role == Role::Client {
            prepare(end);
        }
    };
    run_prepared(cut(64), prepare, |party| protocol(party, &shared))
}

#[test]
fn any_bytes_give_well_formed_shares() {
    for (protocol, n, labelled) in PROTOCOLS {
        let good = hostile(protocol, |_| ());
        let well_formed = |pair: &Pair<Everything>| {
            let (z, labels) = pair.client.result.as_ref().unwrap();
            assert!(z.len() == n && z.iter().all(|&z| z < 1 << 20));
            assert_eq!(labels.as_ref().map(Vec::len), labelled.then_some(2));
            assert!(labels.iter().flatten().all(|&label| label < 16), "a label of {} bits", 4);
        };
        well_formed(&good);
        for seed in 0..8u64 {
            let noise = |end: &mut RecordingChannel<MemoryChannel>| {
                let mut state = seed;
                end.change_received(move |_, bytes| {
                    for byte in bytes {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                        *byte = (state >> 56) as u8;
                    }
                });
            };
            well_formed(&hostile(protocol, noise));
        }
        // A changed byte has an effect unless all of it is padding or masked messages that the
        // client did not choose (15 of 16 at a digit); a wrong carry has none where the digits
        // above differ.
        let total = good.client.traffic.received;
        let mut changed = 0;
        let step = (total / 97).max(1);
        for at in (0..total).step_by(step as usize) {
            let pair = hostile(protocol, |end| end.corrupt_received_from_now(at as usize, 0xff));
            well_formed(&pair);
            changed += u64::from(pair.client.result != good.client.result);
        }
        assert!(changed > 20, "{changed} of about 97 changed bytes had an effect");
    }
}

#[test]
fn a_peer_that_stops_at_any_message_is_an_error() {
    for (protocol, ..) in PROTOCOLS {
        let total = hostile(protocol, |_| ()).client.traffic.received;
        for at in (0..total).step_by((total / 61).max(1) as usize) {
            let pair = hostile(protocol, |end| end.close_after(at));
            assert_eq!(pair.client.result, Err(ProtocolError::Channel(ChannelError::Closed)));
        }
    }
}

/// `n` shares of one.
fn ones(n: usize, bits: u32) -> AdditiveShares {
    AdditiveShares::from_words(vec![1; n], RingBits(bits))
}

#[test]
fn misuse_is_an_error() {
    type Case = (&'static str, fn(&mut Party<'_>) -> bool);
    let cases: [Case; 22] = [
        ("relu width", |p| relu(p, &ones(1, 1), RingBits(5)).is_err()),
        ("relu output", |p| relu(p, &ones(1, 5), RingBits(33)).is_err()),
        ("relu without a bit left out", |p| coarse_relu(p, &ones(1, 5), 0, RingBits(5)).is_err()),
        ("relu of too few bits", |p| coarse_relu(p, &ones(1, 5), 4, RingBits(5)).is_err()),
        ("clip width", |p| clip(p, &ones(1, 1), 1, RingBits(5)).is_err()),
        ("clip output", |p| clip(p, &ones(1, 5), 1, RingBits(0)).is_err()),
        ("clip at zero", |p| clip(p, &ones(1, 5), 0, RingBits(5)).is_err()),
        ("clip above the window", |p| clip(p, &ones(1, 5), 16, RingBits(5)).is_err()),
        ("piecewise width", |p| piecewise(p, &ones(1, 2), &bent(), RingBits(5)).is_err()),
        ("piecewise output", |p| piecewise(p, &ones(1, 12), &bent(), RingBits(33)).is_err()),
        ("piecewise without a bit left out", |p| piecewise(p, &ones(1, 12), &Piecewise { left_out: 0, ..bent() }, RingBits(5)).is_err()),
        // 200 + 2^6 - 1 is more than 2^8.
        ("piecewise with knots outside", |p| piecewise(p, &ones(1, 10), &Piecewise { left_out: 7, ..bent() }, RingBits(5)).is_err()),
        ("multiply widths", |p| multiply(p, &ones(1, 9), &ones(1, 9), RingBits(9)).is_err()),
        ("multiply narrow numbers", |p| multiply(p, &ones(1, 9), &ones(1, 2), RingBits(9)).is_err()),
        ("multiply in a wider ring", |p| multiply(p, &ones(1, 9), &ones(1, 4), RingBits(10)).is_err()),
        ("multiply lengths", |p| multiply(p, &ones(2, 9), &ones(1, 4), RingBits(9)).is_err()),
        ("maximum lengths", |p| maximum(p, &ones(1, 5), &ones(0, 5)).is_err()),
        ("maximum rings", |p| maximum(p, &ones(1, 5), &ones(1, 6)).is_err()),
        ("argmax samples", |p| argmax(p, &ones(3, 5), 2).is_err()),
        ("widen", |p| widen_signed(p, &ones(1, 32), Headroom::None, RingBits(33)).is_err()),
        ("window", |p| classify(p, &words(&ones(1, 10)), 1, Window { shift: 8, bits: 4 }).is_err()),
        ("another ring", |p| {
            let step = Requantise::new(Shape::flat(1), RingBits(12), Window { shift: 2, bits: 8 }, None, Activation::Relu, RingBits(12));
            step.unwrap().run(p, &words(&ones(1, 13))).is_err()
        }),
    ];
    for (name, case) in cases {
        let pair = run(64, case);
        assert!(pair.client.result && pair.server.result, "{name}");
        assert_eq!((pair.client.traffic.sent, pair.server.traffic.sent), (0, 0), "{name}");
    }
    let shape = Shape::new(1, 2, 2);
    for (ring, shift, bits, out) in [(10, 3, 8, 20), (33, 3, 8, 20), (20, 3, 1, 20), (20, 3, 8, 0), (32, 0, 32, 20), (20, u32::MAX, 8, 20)]
    {
        let step = Requantise::new(shape, RingBits(ring), Window { shift, bits }, None, Activation::Relu, RingBits(out));
        assert!(matches!(step, Err(ProtocolError::Misuse(_))), "{ring} {shift} {bits} {out}");
    }
}

#[test]
fn a_party_that_failed_refuses_every_later_call() {
    let shared = Shared::new(&values(64, 9, 1), 12);
    let pair = run_prepared(
        cut(64),
        |role, end| {
            if role == Role::Client {
                end.close_after(10);
            }
        },
        |party| {
            let first = relu(party, shared.of(party), RingBits(12)).err();
            let before = party.traffic();
            let later = [
                relu(party, shared.of(party), RingBits(12)).err(),
                maximum(party, shared.of(party), shared.of(party)).err(),
                argmax(party, shared.of(party), 1).err(),
                open_to_client(party, shared.of(party)).err(),
                clip(party, shared.of(party), 1, RingBits(12)).err(),
                piecewise(party, shared.of(party), &bent(), RingBits(12)).err(),
                multiply(party, shared.of(party), shared.of(party), RingBits(12)).err(),
            ];
            assert_eq!(party.traffic(), before);
            (first, later)
        },
    );
    for (first, later) in [pair.client.result, pair.server.result] {
        assert_eq!(first, Some(ProtocolError::Channel(ChannelError::Closed)));
        assert_eq!(later, [const { Some(ProtocolError::Dead) }; 7]);
    }
}

#[test]
fn misuse_is_the_end_of_a_party_too() {
    let pair = run(64, |party| {
        let misuse = relu(party, &ones(1, 1), RingBits(5)).err();
        assert!(matches!(misuse, Some(ProtocolError::Misuse(_))));
        relu(party, &ones(1, 5), RingBits(5)).err()
    });
    assert_eq!((pair.client.result, pair.server.result), (Some(ProtocolError::Dead), Some(ProtocolError::Dead)));
}
