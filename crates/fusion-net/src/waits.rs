//! What the time of a lane goes to beside computing.

use std::time::Duration;

/// How long one end of a lane waited, by what it waited for, as far as one end can tell: a message
/// of which a part has arrived is the link's, also where the peer still computes the rest, and so
/// is a queue that the peer does not empty. What is left of its time it computed, or waited for a
/// core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// Until the peer began to say what comes next, the trip over the link included.
    pub peer: Duration,
    /// Until the link took what this end said, or carried the rest of what the peer had begun to
    /// say.
    pub link: Duration,
}

impl Waits {
    /// Both.
    #[must_use]
    pub fn total(self) -> Duration {
        self.peer + self.link
    }
}
