//! What a lane opens to the client.

use fusion_model::program::{LOGITS_BITS, Window};
use fusion_ring::poly::words::add_four_uniforms;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::LaneError;
use crate::layers::{ClearNumbers, TensorWords};

/// Least deviation of the mask of opened logits, in units of what is opened.
pub const MASK_UNITS: f64 = 4.0;

/// What is opened to the client at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reveal {
    /// The index of the largest logit.
    #[default]
    Label,
    /// All logits, at the precision of the top bits of the logits' window, under a mask of the
    /// server's: a sum of four uniform numbers with a deviation of at least [`MASK_UNITS`] units.
    /// Only where the owner of the model allows it.
    Logits {
        /// Bits opened of a logit, sign included: [`LOGITS_BITS`].
        bits: u32,
    },
}

/// The window that is opened of logits in `window`: its top `bits` bits.
pub(super) fn opened_window(window: Window, bits: u32) -> Result<Window, LaneError> {
    if !LOGITS_BITS.contains(&bits) {
        return Err(LaneError::Misuse("logits are opened at 6 to 10 bits"));
    }
    let bits = bits.min(window.bits);
    if bits < *LOGITS_BITS.start() {
        return Err(LaneError::Misuse("the logits' window is too narrow for the mask of opened logits"));
    }
    Ok(Window { shift: window.shift + window.bits - bits, bits })
}

/// Adds the server's mask to its words of logits of which `window` will be opened.
pub(super) fn mask_logits(logits: &mut TensorWords, window: Window, rng: &mut impl CryptoRng) {
    // The sum of four uniform numbers of B bits has the deviation 2^B / sqrt(3): three bits more
    // than a unit of the window make 4.6 units.
    let unit_bits = 32 + window.shift - logits.ring().0;
    let mut seed = Zeroizing::new([0; 16]);
    rng.fill_bytes(&mut *seed);
    add_four_uniforms(logits.words_mut(), &mut AesPrg::new(*seed), unit_bits + 3);
}

/// What the client learned of each sample: private, so wiped on drop and not printed.
pub enum Opened {
    /// One label per sample. A malicious server can make a label any number, even one that is no
    /// class.
    Labels(ClearNumbers),
    /// `[sample][class]`, units of the bits that were opened.
    Logits(Vec<Wiped<i32>>),
}

impl Opened {
    /// Logits, `[sample][class]`.
    pub(super) fn logits(logits: &ClearNumbers, classes: usize) -> Self {
        let all = logits.to_signed();
        Self::Logits(all.chunks_exact(classes).map(|sample| Wiped::filled(classes, sample.iter().copied())).collect())
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Labels(labels) => write!(f, "Labels(of {} samples)", labels.len()),
            Self::Logits(logits) => write!(f, "Logits(of {} samples)", logits.len()),
        }
    }
}
