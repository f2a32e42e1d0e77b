//! A service on the client's side of an organisation: for applications and people that have one
//! image at a time.
//!
//! Checking a server takes batches: queries in copies, hidden among public samples. Whoever has one
//! image now pays a hundred inferences for it, or waits until there are more. A gateway does the
//! waiting: it takes images in over HTTP, gives each a *provisional* label after one plain private
//! inference, and verifies all of them together when a batch is full or its time has come.
//!
//! ```text
//!   application, page            gateway                             Fusion server
//!   POST /v1/images  ────>  decode, fit? ──> store: waiting
//!                           provisional: plain lanes of 1 to 16 ──>  sees that they are queries
//!   GET, events  <────────  provisional label
//!                           batch: all that wait, one transaction
//!                              mix, journal ── lanes ─────────────>  cannot tell which is which
//!   GET, events  <────────  verified | rejected | inconclusive
//! ```
//!
//! # Example
//! ```no_run
//! use std::sync::Arc;
//!
//! use fusion::mix::pool::KnownFrom;
//! use fusion::{ClientSettings, MixSettings, PublicPool, images};
//! use fusion_gateway::{Gateway, GatewaySettings, PoolOf};
//!
//! let known = images::labelled_folder("known".as_ref(), "known/labels.csv".as_ref())?;
//! let pool: PoolOf = Arc::new(move |_| {
//!     let pool = PublicPool::labelled(known.clone(), KnownFrom::GroundTruth);
//!     pool.map_err(|error| error.to_string())
//! });
//! let client = ClientSettings::new("127.0.0.1:7878", "/var/lib/me/fusion");
//! let mix = MixSettings::at_lambda(40.0, Some(0.6));
//! let gateway = Gateway::start(GatewaySettings::new(client, mix, pool))?;
//! println!("http://{}/", gateway.address());
//! std::thread::park();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! `examples/one_at_a_time.rs` is a gateway with its server in one process, and an image that it
//! verifies.
//!
//! # What survives
//! Everything that was answered. Images and verdicts are in a database that is on disk before the
//! answer; a batch that runs has its journal (`fusion::Journal`). A gateway that is killed at any
//! moment goes on when it is started again: the batch is resumed, no answer is lost, and none is
//! given twice. A server that is away is waited for without end.
//!
//! # Security
//! The verdict of a batch is that of `fusion-mix`: a provisional label proves nothing, and says so
//! wherever it is shown. What the plain lanes tell a server (that they hold queries, how many and
//! when, never what they show) is in [`threats`](fusion::threats). After a rejected batch the
//! server is asked nothing more until somebody has acknowledged it. Users see their own images
//! only; bytes and labels are erased when their time is over, and overwritten in the database. Not
//! audited.
//!
//! # Where to read next
//! `store` for the states of an image, then `worker::batch`; `http` for the way of a request.
#![forbid(unsafe_code)]

mod error;
mod http;
mod ids;
mod settings;
mod shared;
mod shown;
mod store;
mod users;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fusion::model::card::ModelCard;
use tokio::runtime::Runtime;

pub use error::GatewayError;
pub use settings::{GatewaySettings, HttpLimits, Most, PoolOf, Webhook};

use http::{Listener, Target};
use shared::{Model, Shared};
use store::Store;
use users::Users;

/// How often a stopping gateway looks whether its workers have ended.
const LOOK: Duration = Duration::from_millis(20);

/// A gateway that runs, until it is [shut down](Gateway::shutdown) or dropped.
pub struct Gateway {
    shared: Arc<Shared>,
    /// Drives connections; taken when the gateway stops.
    runtime: Option<Runtime>,
    workers: Vec<JoinHandle<()>>,
    address: SocketAddr,
}

impl Gateway {
    /// Opens the database, listens, and starts the workers. The Fusion server need not be there.
    ///
    /// # Errors
    /// Settings that cannot or must not be used, another gateway on the same home, a damaged
    /// database, an address that is taken.
    pub fn start(settings: GatewaySettings) -> Result<Self, GatewayError> {
        if settings.batch == 0 || settings.most.in_batch < settings.batch || settings.most.waiting < settings.batch {
            let text = format!("a batch of {} images cannot fill: as many must be allowed to wait, and in one batch", settings.batch);
            return Err(GatewayError::Settings(text));
        }
        let users = settings.users.as_deref().map_or(Ok(Users::Local), Users::read)?;
        let webhook = settings.webhook.as_ref().map(Target::new).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("gateway")
            .enable_all()
            .build()
            .map_err(GatewayError::file("runtime".as_ref()))?;
        let listener = runtime.block_on(Listener::bind(&settings))?;
        let address = listener.address()?;
        let store = Store::open(&settings.directory())?;
        // A card that this version cannot read is met anew.
        let seen = store.seen_model()?;
        let model = seen.and_then(|seen| Some(Model { card: Arc::new(ModelCard::decode(&seen.card).ok()?), hint: seen.hint }));
        let shared = Arc::new(Shared::new(settings, store, users, model));
        let workers = worker::start(&shared)?;
        runtime.spawn(http::serve(listener, http::router(&shared)));
        if let Some(target) = webhook {
            runtime.spawn(http::tell_of_batches(Arc::clone(&shared), target));
        }
        Ok(Self { shared, runtime: Some(runtime), workers, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no request is answered any more, and running lanes have `grace` to come to their end.
    /// Lanes that do not are run again by the next gateway. Returns whether all have ended.
    pub fn shutdown(mut self, grace: Duration) -> bool {
        self.stop();
        let began = Instant::now();
        while self.workers.iter().any(|worker| !worker.is_finished()) && began.elapsed() < grace {
            std::thread::sleep(LOOK);
        }
        self.workers.iter().all(JoinHandle::is_finished)
    }

    fn stop(&mut self) {
        self.shared.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}
