//! The server: one package or several, any number of lanes.

mod cheat;
mod handler;
mod packages;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusion_model::package::Package;
use fusion_net::{Catalogue, Counters, Ending, Limits, ModelFacts, ServerSecurity, Shutdown};
use fusion_nn::layers::Ledger;
use rand_core::CryptoRng;

pub use cheat::Cheat;

use crate::error::Error;
use handler::{ModelHandler, Shared};
use packages::packages;

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
    models: Models,
}

/// The models of a server, for whoever changes them while it runs. Cheap to clone.
#[derive(Clone)]
pub struct Models {
    catalogue: Catalogue<ModelHandler>,
    shared: Shared,
}

impl Models {
    /// Serves the packages at `paths` from now on, as [`Server::serve_all`] does; those that are
    /// served already, under the same digest and from the same directory, are not read again.
    /// Lanes that run go on. Returns what is served now.
    ///
    /// # Errors
    /// As [`Server::serve_all`]: then what was served is served still.
    pub fn replace(&self, paths: &[PathBuf]) -> Result<Vec<ModelFacts>, Error> {
        let served = self.catalogue.handlers();
        let paths = packages(paths)?;
        let models = paths.iter().map(|path| {
            let card = Package::read_card(path)?.encode()?;
            match served.iter().find(|model| model.is_of(path, &card)) {
                Some(model) => Ok(Arc::clone(model)),
                None => ModelHandler::open(path, self.shared.clone()).map(Arc::new),
            }
        });
        self.catalogue.replace(models.collect::<Result<_, Error>>()?)?;
        Ok(self.catalogue.facts())
    }

    /// What is served now, in the order of the packages.
    #[must_use]
    pub fn served(&self) -> Vec<ModelFacts> {
        self.catalogue.facts()
    }
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
        Self::serve_all(&[package.to_owned()], settings, rng)
    }

    /// Serves several models at one address: each path is a package, or a folder of packages.
    /// Clients ask for a model by the name on its card, or by its digest.
    ///
    /// # Errors
    /// As [`serve`](Self::serve); two models of one name or one digest.
    pub fn serve_all(paths: &[PathBuf], settings: ServerSettings, rng: impl CryptoRng + Send + 'static) -> Result<Self, Error> {
        let shared = Shared::new(settings.cheat, rng);
        let open = |path: &PathBuf| ModelHandler::open(path, shared.clone()).map(Arc::new);
        let paths = packages(paths)?;
        let models = paths.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
        let builder = fusion_net::Server::builder_of(models).limits(settings.limits).security(settings.security);
        let (net, catalogue) = builder.start_replaceable(settings.listen)?;
        Ok(Self { net, models: Models { catalogue, shared } })
    }

    /// What it serves, to be looked at and replaced.
    #[must_use]
    pub fn models(&self) -> Models {
        self.models.clone()
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
        Monitor { net: self.net.monitor(), spent: Arc::clone(&self.models.shared.spent) }
    }

    /// Takes no more lanes, gives those that run `grace` to end, and then ends them.
    pub fn shutdown(self, grace: Duration) -> Shutdown {
        self.net.shutdown(grace)
    }
}
