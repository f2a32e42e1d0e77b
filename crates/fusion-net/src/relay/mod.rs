//! A link between two processes, as slow and as faulty as a test wants it (feature `relay`).
//!
//! A [`Relay`] listens on loopback and carries every connection to a target, bytes untouched,
//! through a wire of a given rate per direction and a one-way delay. All connections share the two
//! wires, as they would share a cable. It stands in for `netem`, which is not everywhere, and needs
//! no privileges. What it does not imitate: loss and congestion control (the relay ends TCP on both
//! sides, so a link is filled as soon as the sender has that much to say).
//!
//! ```
//! use fusion_net::relay::{Link, Relay, Script};
//! let server = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let relay = Relay::start(server.local_addr()?, Link::parse("100,10")?, Script::default())?;
//! let _client = std::net::TcpStream::connect(relay.address())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod inject;
mod link;
mod measure;
mod proxy;
mod pump;
mod rewrite;
mod script;

pub use self::link::Link;
pub use self::measure::{Measured, measure};
pub use self::proxy::{Carried, Relay};
pub use self::script::{Action, Direction, Fault, Position, Script};
