//! The functionality as another crate sees it: whoever writes a realisation of random OT, or a
//! protocol on top of one, can hold it to the same test.

use fusion_ot::{ideal, testing};

#[test]
fn the_ideal_functionality_is_random_ot_at_every_edge_size() {
    let (sender, receiver) = ideal::pair(7);
    testing::check_random_ot(|_| sender, |_| receiver, &[0, 1, 127, 128, 129, 1023]);
}
