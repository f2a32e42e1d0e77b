//! Whether an instance checks its extensions, as a type.

mod sealed {
    pub trait Sealed: Send {}
}

/// Whether extensions are checked: [`Malicious`] or [`SemiHonest`].
pub trait Security: sealed::Sealed {
    /// Whether extensions are checked.
    const CHECKED: bool;
}

/// Extensions are checked: secure against any deviation of the peer.
#[derive(Debug)]
pub struct Malicious;

/// Extensions are not checked: for measuring what the check costs.
#[derive(Debug)]
pub struct SemiHonest;

impl sealed::Sealed for Malicious {}
impl sealed::Sealed for SemiHonest {}
impl Security for Malicious {
    const CHECKED: bool = true;
}
impl Security for SemiHonest {
    const CHECKED: bool = false;
}
