//! The server: one package, any number of lanes.

mod cheat;
mod handler;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion_model::package::Package;
use fusion_net::{Counters, Ending, Limits, ServerSecurity, Shutdown};
use fusion_nn::layers::Ledger;
use rand_core::CryptoRng;

pub use cheat::Cheat;

use crate::error::Error;
use handler::ModelHandler;

/// Where and how a package is served.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Lanes, samples, bytes, seconds.
    pub limits: Limits,
    /// TLS and tokens. Plaintext is refused on an address that others can reach, unless it is
    /// allowed here.
    pub security: ServerSecurity,
    /// Deviates from the protocol: for demonstrations and tests of what verification catches.
    pub cheat: Option<Cheat>,
}

impl ServerSettings {
    /// The defaults at an address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, limits: Limits::default(), security: ServerSecurity::default(), cheat: None }
    }
}

/// A running server. Dropping it ends all lanes at once; [`shutdown`](Self::shutdown) lets them
/// end.
pub struct Server {
    net: fusion_net::Server,
    spent: Arc<Mutex<Ledger>>,
}

/// What a server has done so far, for another thread than its owner's. Cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    net: fusion_net::Monitor,
    spent: Arc<Mutex<Ledger>>,
}

impl Monitor {
    /// Lanes, bytes, refusals, connections.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.net.counters()
    }

    /// Time and bytes by phase, of the lanes that came to their end. A phase takes time while the
    /// server waits for its client, too.
    #[must_use]
    pub fn phases(&self) -> Ledger {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Serves the package in the directory `package`. `rng` seeds the generator of every lane; a
    /// server that may be cloned or restored from a snapshot should hand in the operating system's,
    /// so that no two lanes ever draw the same.
    ///
    /// # Errors
    /// A package that is truncated or whose parts do not match, an address or certificates that
    /// cannot be used.
    pub fn serve(package: &Path, settings: ServerSettings, rng: impl CryptoRng + Send + 'static) -> Result<Self, Error> {
        let handler = ModelHandler::new(&Package::open(package)?, settings.cheat, rng)?;
        let spent = handler.spent();
        let net = fusion_net::Server::builder(handler).limits(settings.limits).security(settings.security).start(settings.listen)?;
        Ok(Self { net, spent })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.net.local_addr()
    }

    /// Lanes that run now.
    #[must_use]
    pub fn lanes_running(&self) -> usize {
        self.net.lanes_running()
    }

    /// The limits that it was given.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.net.limits()
    }

    /// Samples of the longest lane that it announces: what its limits allow and its memory has room
    /// for.
    #[must_use]
    pub fn samples_per_lane(&self) -> u32 {
        self.net.samples_per_lane()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.net.counters()
    }

    /// Its end, for another thread to wait for: a server may fail although nobody stops it.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.net.ending()
    }

    /// Counts what it does.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor { net: self.net.monitor(), spent: Arc::clone(&self.spent) }
    }

    /// Takes no more lanes, gives those that run `grace` to end, and then ends them.
    pub fn shutdown(self, grace: Duration) -> Shutdown {
        self.net.shutdown(grace)
    }
}
