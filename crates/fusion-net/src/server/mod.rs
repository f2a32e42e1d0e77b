//! A server of lanes: accepts, checks, counts, runs each lane on a thread of its own, and stops in
//! order.

mod accept;
mod asker;
mod attempts;
mod catalogue;
mod connections;
mod counters;
mod ending;
mod gate;
mod health;
mod hint;
mod known;
mod monitor;
mod origin;
mod service;
mod slots;
mod throttle;
mod waiting;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic_health::server::HealthReporter;

use self::accept::Accept;
pub use self::catalogue::{Catalogue, ModelFacts};
use self::connections::Connections;
use self::counters::Tally;
pub use self::counters::{Counters, LaneFault};
pub use self::ending::Ending;
use self::gate::Gate;
pub use self::monitor::Monitor;
use self::service::Service;
use self::slots::Slots;
use crate::error::NetError;
use crate::handler::LaneHandler;
use crate::limits::Limits;
use crate::proto::DESCRIPTORS;
use crate::proto::fusion_server::FusionServer;
use crate::security::ServerSecurity;
use crate::transport::{deadline_after, runtime};
use crate::tuning::{
    CONNECTION_WINDOW, DESCRIPTION_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MAX_HEADER_LIST, MAX_HTTP2_FRAME, STREAM_WINDOW,
    STREAMS_PER_CONNECTION,
};

/// How long the last frames of ended lanes may take to leave once the grace period is over.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a server is made of.
#[derive(Debug)]
pub struct ServerBuilder<H> {
    handlers: Vec<Arc<H>>,
    limits: Limits,
    security: ServerSecurity,
}

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets lanes finish.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    slots: Arc<Slots>,
    tally: Arc<Tally>,
    connections: Arc<Connections>,
    limits: Limits,
    ending: Ending,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    health: HealthReporter,
    runtime: Option<Runtime>,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Lanes that were still running when the grace period was over, and were cancelled.
    pub cancelled: usize,
}

impl Server {
    /// Begins to describe a server of one model.
    #[must_use]
    pub fn builder<H: LaneHandler>(handler: H) -> ServerBuilder<H> {
        Self::builder_of(vec![Arc::new(handler)])
    }

    /// Begins to describe a server of several models.
    #[must_use]
    pub fn builder_of<H: LaneHandler>(handlers: Vec<Arc<H>>) -> ServerBuilder<H> {
        ServerBuilder { handlers, limits: Limits::default(), security: ServerSecurity::default() }
    }

    /// Where the server listens; the port is real even if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Lanes that run now.
    #[must_use]
    pub fn lanes_running(&self) -> usize {
        self.slots.running()
    }

    /// The limits that it was given.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.monitor().counters()
    }

    /// Counts for another thread, also while the server shuts down.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor { slots: Arc::clone(&self.slots), tally: Arc::clone(&self.tally), connections: Arc::clone(&self.connections) }
    }

    /// Its end, for another thread to wait for: a server may fail although nobody stops it.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Takes no more lanes and says so to whoever asks for its health, waits up to `grace` for the
    /// running lanes, cancels the rest, then stops accepting. Blocks.
    pub fn shutdown(mut self, grace: Duration) -> Shutdown {
        let end = deadline_after(grace);
        self.slots.close();
        self.ending.tell();
        if let Some(runtime) = &self.runtime {
            runtime.block_on(health::not_serving(&self.health));
        }
        let left = self.slots.wait_empty(grace);
        self.slots.cancel_all();
        self.slots.wait_empty(FAREWELL);
        self.stop_accepting();
        if let (Some(runtime), Some(serving)) = (self.runtime.take(), self.serving.take()) {
            // Connections close by themselves once their streams have ended and their last frames
            // are sent.
            let time = end.saturating_duration_since(Instant::now()).min(FAREWELL).max(FAREWELL / 4);
            let drained = runtime.block_on(async { tokio::time::timeout(time, serving).await });
            if drained.is_err() {
                tracing::warn!("connections still open after the grace period were cut");
            }
            runtime.shutdown_background();
        }
        Shutdown { cancelled: left }
    }

    fn stop_accepting(&mut self) {
        self.ending.tell();
        if let Some(stop) = self.stop.take() {
            // The serving task may have ended on its own.
            let _ = stop.send(());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.slots.close();
        self.stop_accepting();
        self.slots.cancel_all();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // The runtime does not finish its tasks.
        self.ending.set(Ok(()));
    }
}

impl<H: LaneHandler> ServerBuilder<H> {
    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets TLS and tokens.
    #[must_use]
    pub fn security(mut self, security: ServerSecurity) -> Self {
        self.security = security;
        self
    }

    /// Listens on `address` and serves until the [`Server`] is shut down or dropped.
    ///
    /// # Errors
    /// [`NetError::Settings`] for limits, TLS settings or an address that cannot be used;
    /// [`NetError::Disk`] for certificate files that cannot be read.
    pub fn start(self, address: SocketAddr) -> Result<Server, NetError> {
        self.start_replaceable(address).map(|(server, _)| server)
    }

    /// As [`start`](Self::start), and gives the models, which can be replaced while the server
    /// runs.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_replaceable(self, address: SocketAddr) -> Result<(Server, Catalogue<H>), NetError> {
        self.limits.check()?;
        let tls = self.security.tls(address)?;
        let listener = TcpListener::bind(address).map_err(|error| NetError::Settings(format!("cannot listen on {address}: {error}")))?;
        let address = listener.local_addr().map_err(setup)?;
        listener.set_nonblocking(true).map_err(setup)?;

        let models = Catalogue::new(self.handlers, &self.limits)?;
        let slots = Arc::new(Slots::default());
        let tally = Arc::new(Tally::default());
        let connections = Arc::new(Connections::new(self.limits.clone(), Arc::clone(&tally)));
        let service = Service { models: models.clone(), limits: self.limits.clone(), slots: Arc::clone(&slots), tally: Arc::clone(&tally) };
        let gate = Gate::new(self.security.token, self.limits.first_request, Arc::clone(&connections), Arc::clone(&tally));
        let service =
            FusionServer::new(service).max_decoding_message_size(self.limits.message_bytes).max_encoding_message_size(DESCRIPTION_BYTES);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(setup)?;

        let mut transport = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_HTTP2_FRAME)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
        if let Some(tls) = tls {
            transport = transport.tls_config(tls).map_err(setup)?;
        }

        let mut transport = transport.layer(gate);

        let runtime = runtime()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let ending = Ending::default();
        let (health, health_service) = tonic_health::server::health_reporter();
        let reporter = health.clone();
        let serving = {
            let _entered = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener).map_err(setup)?;
            let incoming = Accept::new(listener, Arc::clone(&connections), Arc::clone(&tally));
            tokio::spawn(ending.clone().supervise(async move {
                reporter.set_serving::<FusionServer<Service<H>>>().await;
                let until = async move {
                    // A dropped sender means the same as a message: stop.
                    let _ = stopped.await;
                    health::not_serving(&reporter).await;
                };
                let router = transport.add_service(service).add_service(health_service).add_service(reflection);
                router.serve_with_incoming_shutdown(incoming, until).await
            }))
        };
        for ModelFacts { name, card_digest, samples_per_lane, .. } in models.facts() {
            tracing::info!(%address, name, %card_digest, samples_per_lane, memory = self.limits.memory, "serving");
        }
        let (limits, stop, serving, runtime) = (self.limits, Some(stop), Some(serving), Some(runtime));
        Ok((Server { address, slots, tally, connections, limits, ending, stop, serving, health, runtime }, models))
    }
}

fn setup(error: impl std::fmt::Display) -> NetError {
    NetError::Settings(format!("cannot set up the server: {error}"))
}
