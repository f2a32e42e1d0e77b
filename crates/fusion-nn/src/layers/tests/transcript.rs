//! What goes over the wire: pinned, and booked to the byte.

use super::*;

#[test]
fn the_bytes_on_the_wire_are_pinned() {
    let shared = Shared::new(&values(162, 9, 1), 12);
    let prints = |protocol: fn(&mut Party<'_>, &Shared) -> Everything| {
        let pair = run(64, |party| protocol(party, &shared).map(|_| ()));
        pair.recordings.each_ref().map(|handle| handle.recording().fingerprint())
    };
    assert_eq!(prints(everything), ["7f0a13ddbdb2aa51", "987d812ef32b7d47"]);
    assert_eq!(prints(functions), ["67122cef11b1316b", "f1baefa133e2e720"]);
}

#[test]
fn the_account_books_every_byte_under_its_phase() {
    let shared = Shared::new(&values(162, 9, 1), 12);
    let pair = run(64, |party| {
        everything(party, &shared).unwrap();
        let ledger = party.ledger();
        assert_eq!(ledger.total().traffic, party.traffic());
        let sent = |phase| ledger.get(phase).traffic.sent;
        (sent(Phase::RandomOt), sent(Phase::Activation) > 0, sent(Phase::Pooling) > 0, sent(Phase::Argmax) > 0, sent(Phase::Setup))
    });
    assert_eq!(pair.client.result, (0, true, true, true, 0));
    assert_eq!(pair.server.result, (0, true, true, true, 0));
}

#[test]
fn functions_are_activations_in_the_account() {
    let shared = Shared::new(&values(162, 9, 1), 12);
    let pair = run(64, |party| {
        functions(party, &shared).unwrap();
        party.ledger().get(Phase::Activation).traffic == party.traffic()
    });
    assert!(pair.client.result && pair.server.result);
}
