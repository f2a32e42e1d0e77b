//! Argmax: the index of the largest of a vector, opened to the client only.
//!
//! # Functionality
//! From additive shares modulo 2^h of `classes` numbers per sample (|difference| < 2^(h-1)): the
//! client learns the index of the largest, the lowest such index if there are several. The server
//! learns nothing.
//!
//! # Roles
//! Those of `maximum`, but for the last message, which goes from the server to the client.
//!
//! # Protocol
//! A knock-out tournament with labels (`maximum`), the left of each pair having the lower index and
//! winning ties; all samples play at once. Then the server sends its share of the winner's index.
//!
//! # Cost
//! `classes` - 1 labelled comparisons per sample; ceil(log2 classes) times the flights of one, and
//! one more unless the label can travel with the last of them.
//!
//! # Security
//! As in `compare`. A malicious server can choose the label (that is what mixing is for), even one
//! that is not below `classes`: the client must treat such a label as a wrong answer, not as a
//! reason to stop, since stopping early would tell the server something.

use fusion_model::program::{RingBits, Window};
use fusion_ring::bits::pack::{pack, packed_len, unpack};
use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::maximum::{Labelled, check_width, maximum_labelled};
use super::party::{Party, Phase};
use super::role::Role;
use super::shares::{AdditiveShares, ClearNumbers};
use super::truncate::{Headroom, widen_signed};
use super::window::to_window;
use super::words::TensorWords;

/// Bits of an index below `classes`.
pub(super) fn label_bits(classes: usize) -> u32 {
    usize::BITS - classes.saturating_sub(1).leading_zeros()
}

/// The index of the largest value of each sample, for the client; `None` for the server. `x` is
/// `[samples][classes]`, shares modulo 2^h, 2 <= h <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if `classes` is zero, above 2^24, or does
/// not divide the length.
pub fn argmax(party: &mut Party<'_>, x: &AdditiveShares, classes: usize) -> Result<Option<ClearNumbers>, ProtocolError> {
    party.layer(Phase::Argmax, |party| {
        check_width(x.ring())?;
        if classes == 0 || classes > 1 << 24 || !x.len().is_multiple_of(classes) {
            return Err(ProtocolError::Misuse("argmax: whole samples of 1..=2^24 classes"));
        }
        let samples = x.len() / classes;
        // The indices are public at the start: the client's shares are the indices, the server's
        // are zero.
        let label = |i: usize| if party.role() == Role::Client { (i % classes) as u32 } else { 0 };
        let labels = Wiped::filled(x.len(), (0..x.len()).map(label));
        let labels = AdditiveShares::from_reduced(labels, RingBits(label_bits(classes)));
        let mut field = Labelled { values: x.all().reduced_to(x.ring()), labels };
        let mut width = classes;
        while width > 1 {
            field = play(party, &field, samples, width)?;
            width = width.div_ceil(2);
        }
        open_to_client(party, &field.labels)
    })
}

/// One round of the tournament: the larger of each pair of neighbours, of `width` per sample.
fn play(party: &mut Party<'_>, field: &Labelled, samples: usize, width: usize) -> Result<Labelled, ProtocolError> {
    let (pairs, left) = (width / 2, width.div_ceil(2));
    let (mut a, mut b) = (field.like(samples * pairs), field.like(samples * pairs));
    for sample in 0..samples {
        for pair in 0..pairs {
            let at = sample * width + 2 * pair;
            a.put(sample * pairs + pair, field, at);
            b.put(sample * pairs + pair, field, at + 1);
        }
    }
    let won = maximum_labelled(party, &a, &b)?;
    let mut next = field.like(samples * left);
    for sample in 0..samples {
        for pair in 0..pairs {
            next.put(sample * left + pair, &won, sample * pairs + pair);
        }
        if width % 2 == 1 {
            // The last one has no opponent in this round; it stays on the right.
            next.put(sample * left + pairs, field, (sample + 1) * width - 1);
        }
    }
    Ok(next)
}

/// The label of each sample from its logits: window, then [`argmax`]. `logits` is
/// `[samples][classes]`; every number in the window is below 2^(bits - 1) in magnitude. The argmax
/// works in one bit more, taken from the ring where it has one, else made by a comparison.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if the window has not 2..=31 bits or does
/// not fit into the ring, or as for [`argmax`].
pub fn classify(
    party: &mut Party<'_>,
    logits: &TensorWords,
    classes: usize,
    window: Window,
) -> Result<Option<ClearNumbers>, ProtocolError> {
    party.layer(Phase::Argmax, |party| {
        let (read, bits) = logits_window(logits.ring(), window)?;
        let mut x = to_window(party.role(), logits, read)?;
        if read.bits < bits {
            x = widen_signed(party, &x, Headroom::None, RingBits(bits))?;
        }
        argmax(party, &x, classes)
    })
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

/// Opens shares to the client: one message from the server. `None` for the server. A ring of no
/// bits has nothing to send.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards.
pub fn open_to_client(party: &mut Party<'_>, x: &AdditiveShares) -> Result<Option<ClearNumbers>, ProtocolError> {
    party.layer(Phase::Argmax, |party| {
        let bits = x.ring().0;
        if bits > 32 {
            return Err(ProtocolError::Misuse("open_to_client: at most 32 bits"));
        }
        match party.role() {
            Role::Server if bits == 0 => Ok(None),
            Role::Server => {
                party.send(&pack(x.words(), bits))?;
                Ok(None)
            }
            Role::Client if bits == 0 => x.reveal(&AdditiveShares::zeros(x.len(), x.ring())).map(Some),
            Role::Client => {
                let theirs = unpack(&party.recv(packed_len(x.len(), bits))?, bits, x.len());
                x.reveal(&AdditiveShares::from_reduced(theirs, x.ring())).map(Some)
            }
        }
    })
}
