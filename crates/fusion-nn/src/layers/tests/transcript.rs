//! What goes over the wire: pinned, and booked to the byte.

use super::*;

#[test]
fn the_bytes_on_the_wire_are_pinned() {
    let shared = Shared::new(&values(162, 9, 1), 12);
    let pair = run(64, |party| everything(party, &shared).map(|_| ()));
    let prints = pair.recordings.each_ref().map(|handle| handle.recording().fingerprint());
    assert_eq!(prints, ["7f0a13ddbdb2aa51", "987d812ef32b7d47"]);
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
