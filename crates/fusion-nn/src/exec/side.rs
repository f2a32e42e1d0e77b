//! The two parties of a lane, as types: what one may do, the other cannot be asked for.

use super::opened::Opened;
use crate::layers::Role;

/// Which party of a lane: [`Client`] or [`Server`].
pub trait Side: sealed::Sealed {
    /// The party's role.
    const ROLE: Role;
    /// What the party learns.
    type Opened;
}

/// Has the images and learns the labels.
pub enum Client {}

/// Has the weights and learns nothing.
pub enum Server {}

impl Side for Client {
    const ROLE: Role = Role::Client;
    type Opened = Opened;
}

impl Side for Server {
    const ROLE: Role = Role::Server;
    type Opened = ();
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Client {}
    impl Sealed for super::Server {}
}
