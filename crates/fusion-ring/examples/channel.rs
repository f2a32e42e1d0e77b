//! Two parties on two threads add their secret vectors: packed bytes over a channel, and what they
//! cost. `cargo run -p fusion-ring --example channel`

use std::thread;

use fusion_ring::bits::pack::{mask32, pack, packed_len, unpack};
use fusion_ring::channel::{Channel, ChannelError, Traffic, memory_pair};

/// Width of the ring elements.
const BITS: u32 = 13;

/// Sends `own`, receives the peer's vector and adds them. Both parties know the length.
fn add(channel: &mut impl Channel, own: &[u32]) -> Result<Vec<u32>, ChannelError> {
    channel.send(&pack(own, BITS))?;
    let theirs = channel.recv_vec(packed_len(own.len(), BITS))?;
    let theirs = unpack(&theirs, BITS, own.len());
    Ok(own.iter().zip(&theirs).map(|(a, b)| (a + b) & mask32(BITS)).collect())
}

fn main() -> Result<(), ChannelError> {
    let (mut near, mut far) = memory_pair();
    let (a, b): (Vec<u32>, Vec<u32>) = (0..1000).map(|i| (8 * i, 5 * i)).unzip();
    let peer = thread::spawn(move || add(&mut far, &b));
    let ours = add(&mut near, &a)?;
    let theirs = peer.join().expect("the peer does not panic")?;

    assert_eq!(ours, theirs);
    assert!((0..1000).all(|i| ours[i] as usize == 13 * i % (1 << BITS)));
    // 13000 bits are 1625 bytes, and each party waited once for the other.
    assert_eq!(near.traffic(), Traffic { sent: 1625, received: 1625, turns: 1 });
    println!("{:?}", near.traffic());
    Ok(())
}
