//! Argmax: the index of the largest of a vector, opened to the client only.
//!
//! # Functionality
//! From additive shares modulo 2^h of `classes` numbers per sample (|difference| < 2^(h-1)): the client learns the index of the largest, the lowest such index if there are several. The server learns nothing.
//!
//! # Roles
//! Symmetric, but for the last message, which goes from the server to the client.
//!
//! # Protocol
//! A knock-out tournament with labels (`maximum`), the left of each pair having the lower index and winning ties; all samples play at once. Then the
//! server sends its share of the winner's index.
//!
//! # Cost
//! `classes` - 1 labelled comparisons per sample; ceil(log2 classes) times the rounds of one, and one more.
//!
//! # Security
//! As in `compare`. A malicious server can choose the label (that is what mixing is for), even one that is not below `classes`: the
//! client must treat such a label as a wrong answer, not as a reason to stop, since stopping early would tell the server something.

use fusion_ring::bits::pack::{mask32, pack, packed_len, unpack};
use fusion_ring::secret::Wiped;

use super::ProtocolError;
use super::maximum::{Labelled, check_width, maximum_labelled};
use super::party::{Party, Phase, Role};
use super::truncate::{Headroom, widen_signed};
use super::window::to_window;
use fusion_model::program::{RingBits, Window};

/// Bits of an index below `classes`.
pub(super) fn label_bits(classes: usize) -> u32 {
    usize::BITS - classes.saturating_sub(1).leading_zeros()
}

/// The index of the largest value of each sample, for the client; `None` for the server. `x` is `[samples][classes]`, shares modulo 2^h (reduced), 2 <= h <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if `classes` is zero, above 2^24, or does not divide the length.
pub fn argmax(party: &mut Party<'_>, x: &[u32], classes: usize, h: u32) -> Result<Option<Wiped<u32>>, ProtocolError> {
    check_width(h)?;
    if classes == 0 || classes > 1 << 24 || !x.len().is_multiple_of(classes) {
        return Err(ProtocolError::Misuse("argmax: whole samples of 1..=2^24 classes"));
    }
    let phase = party.enter(Phase::Argmax);
    let samples = x.len() / classes;
    let bits = label_bits(classes);
    // The indices are public at the start: the client's shares are the indices, the server's are zero.
    let label = |i: usize| if party.role() == Role::Client { (i % classes) as u32 } else { 0 };
    let mut field = Labelled { values: Wiped::filled(x.len(), x.iter().copied()), labels: Wiped::filled(x.len(), (0..x.len()).map(label)) };
    let mut width = classes;
    while width > 1 {
        let (pairs, left) = (width / 2, width.div_ceil(2));
        let (mut a, mut b) = (Labelled::new(samples * pairs), Labelled::new(samples * pairs));
        for sample in 0..samples {
            for pair in 0..pairs {
                let at = sample * width + 2 * pair;
                a.put(sample * pairs + pair, &field, at);
                b.put(sample * pairs + pair, &field, at + 1);
            }
        }
        let won = maximum_labelled(party, &a, &b, h, bits)?;
        let mut next = Labelled::new(samples * left);
        for sample in 0..samples {
            for pair in 0..pairs {
                next.put(sample * left + pair, &won, sample * pairs + pair);
            }
            if width % 2 == 1 {
                // The last one has no opponent in this round; it stays on the right.
                next.put(sample * left + pairs, &field, (sample + 1) * width - 1);
            }
        }
        field = next;
        width = left;
    }
    let labels = open_to_client(party, &field.labels, bits)?;
    party.enter(phase);
    Ok(labels)
}

/// The label of each sample from its logits: window, then [`argmax`]. `logits` is `[samples][classes]`, shares modulo 2^ring; every number in the
/// window is below 2^(bits - 1) in magnitude. The argmax works in one bit more, taken from the ring where it has one, else made by a comparison.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if the window has not 2..=31 bits or does not fit into the ring, or as for [`argmax`].
pub fn classify(
    party: &mut Party<'_>,
    logits: &[u32],
    classes: usize,
    ring: RingBits,
    window: Window,
) -> Result<Option<Wiped<u32>>, ProtocolError> {
    let (read, bits) = logits_window(ring, window)?;
    let phase = party.enter(Phase::Argmax);
    let mut x = to_window(party.role(), logits, read);
    if read.bits < bits {
        x = widen_signed(party, &x, read.bits, Headroom::None, bits)?;
    }
    let labels = argmax(party, &x, classes, bits)?;
    party.enter(phase);
    Ok(labels)
}

/// The window to read, and the width in which the argmax works.
pub(super) fn logits_window(ring: RingBits, window: Window) -> Result<(Window, u32), ProtocolError> {
    let top = window.shift.checked_add(window.bits).filter(|&top| top <= ring.0 && ring.0 <= 32);
    match top {
        Some(top) if (2..=31).contains(&window.bits) => {
            let bits = window.bits + 1;
            Ok((if top < ring.0 { Window { bits, ..window } } else { window }, bits))
        }
        _ => Err(ProtocolError::Misuse("classify: the window has 2..=31 bits and lies within a ring of at most 32")),
    }
}

/// Opens shares modulo 2^bits to the client: one message from the server. `None` for the server. With `bits` = 0 there is nothing to send.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn open_to_client(party: &mut Party<'_>, x: &[u32], bits: u32) -> Result<Option<Wiped<u32>>, ProtocolError> {
    if bits > 32 {
        return Err(ProtocolError::Misuse("open_to_client: at most 32 bits"));
    }
    if bits == 0 {
        return Ok((party.role() == Role::Client).then(|| Wiped::new(x.len())));
    }
    match party.role() {
        Role::Server => {
            party.exchange(&pack(x, bits), 0)?;
            Ok(None)
        }
        Role::Client => {
            let theirs = unpack(&party.exchange(&[], packed_len(x.len(), bits))?, bits, x.len());
            let sums = x.iter().zip(theirs.iter()).map(|(x, y)| x.wrapping_add(*y) & mask32(bits));
            Ok(Some(Wiped::filled(x.len(), sums)))
        }
    }
}
