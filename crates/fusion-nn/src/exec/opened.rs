//! What a lane opens to the client.

use fusion_ring::secret::Wiped;

use crate::layers::ClearNumbers;

/// What is opened to the client at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reveal {
    /// The index of the largest logit.
    #[default]
    Label,
    /// All logits, at the precision of the logits window.
    Logits,
}

/// What the client learned of each sample: private, so wiped on drop and not printed.
pub enum Opened {
    /// One label per sample. A malicious server can make a label any number, even one that is no
    /// class.
    Labels(ClearNumbers),
    /// `[sample][class]`, units of the logits window.
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
