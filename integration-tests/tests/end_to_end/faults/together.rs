//! Clients that share one state directory.

use super::{BATCH, assert_undisturbed, batches_counted, recover};
use crate::harness::User;

#[test]
fn two_clients_on_one_state_count_both_and_one_run_is_one_clients() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let address = &server.address;
    // Side by side, of which one is killed in the middle.
    let whole = user.start(&format!("query {BATCH} --server {address} --out {{whole}} --json {{whole.json}}"));
    let mut killed = user.start(&format!("query {BATCH} --server {address} --out {{killed}}"));
    user.wait_for_first_lane("killed", &mut killed);
    // A run that somebody works on is nobody else's.
    user.run(&format!("query --resume {{killed}} --server {address}")).expect_error(&["another process", "killed"]);
    killed.kill();
    recover(&user, "killed", address);
    whole.end().expect(0);
    assert_undisturbed(&user.json("whole.json"));
    assert_eq!(batches_counted(&user), 2);
    // A batch that is over counts no more, whoever looks at it again.
    for _ in 0..2 {
        recover(&user, "killed", address);
        assert_eq!(batches_counted(&user), 2);
    }
}
