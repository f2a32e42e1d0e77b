//! `fusion serve --metrics`: what the server does, as text for Prometheus.
//!
//! Numbers only: no address or name of a client is a label, so nobody learns who asks, and nobody
//! can make the text grow. The port has a thread and few connections of its own, each with little
//! time: whoever holds them does not hold up lanes.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use fusion::net::{LaneFault, RELEASE};
use fusion::nn::layers::Phase;
use fusion::server::Monitor;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::diagnostics::lost_lines;

/// Connections at the same time; more wait in the system's queue.
const CONNECTIONS: usize = 8;
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the text is, for whoever reads it.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Listens on `address`.
///
/// # Errors
/// An address that others can reach, unless that is wanted; one that cannot be listened on.
pub(crate) fn listen(address: SocketAddr, public: bool) -> Result<TcpListener> {
    if !address.ip().is_loopback() && !public {
        bail!("others could read the metrics on {address}: give an address of 127.0.0.0/8 or ::1, or --insecure-metrics if they may");
    }
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address} for --metrics"))
}

/// Answers on `listener`, in a thread of its own, until the process ends.
///
/// # Errors
/// No thread, no socket.
pub(crate) fn serve(listener: TcpListener, of: Monitor) -> Result<()> {
    listener.set_nonblocking(true).context("cannot serve metrics")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot serve metrics")?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(of)));
    let registry = Arc::new(registry);
    let page = move || {
        let registry = Arc::clone(&registry);
        async move {
            let mut page = String::new();
            // Writing to a string does not fail.
            let _ = text::encode(&mut page, &registry);
            ([(CONTENT_TYPE, FORMAT)], page)
        }
    };
    let router = Router::new().route("/metrics", get(page));
    let thread = std::thread::Builder::new().name("metrics".to_owned());
    thread.spawn(move || runtime.block_on(accept(listener, router))).context("no thread for metrics")?;
    Ok(())
}

async fn accept(listener: TcpListener, router: Router) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, say: it passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            // Whoever is slow or talks nonsense is not answered.
            let _ = timeout(PATIENCE, http.serve_connection(TokioIo::new(stream), service)).await;
            drop(permit);
        });
    }
}

/// The counters, read when somebody asks.
struct Snapshot(Monitor);

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (c, phases) = (self.0.counters(), self.0.phases());
        let mut out = Out(&mut encoder);
        out.family("fusion_build_info", "What runs", MetricType::Gauge, [([("version", RELEASE)], 1.0)])?;
        out.gauge("fusion_lanes_running", "Lanes that run now", c.lanes_running)?;
        out.gauge("fusion_lane_memory_bytes", "Memory that they were admitted with", c.lane_memory)?;
        out.counter("fusion_lanes_begun", "Lanes that were admitted", c.lanes_begun)?;
        out.counter("fusion_lanes_done", "Lanes that came to their end", c.lanes_done)?;
        let faults = [LaneFault::Client, LaneFault::Lost, LaneFault::Limit, LaneFault::Stopped, LaneFault::Server];
        let failed = faults.map(|fault| ([("kind", fault.as_str())], count(c.lanes_failed.get(&fault).copied().unwrap_or(0))));
        out.family("fusion_lanes_failed", "Lanes that failed, by whose fault it is", MetricType::Counter, failed)?;
        out.counter("fusion_samples_done", "Samples of the lanes that came to their end", c.samples_done)?;
        let bytes = [("received", c.received_bytes), ("sent", c.sent_bytes)].map(|(way, bytes)| ([("direction", way)], count(bytes)));
        out.family("fusion_lane_bytes", "Payload of lanes that have ended", MetricType::Counter, bytes)?;
        let seconds = Phase::ALL.map(|phase| ([("phase", phase.name())], phases.get(phase).time.as_secs_f64()));
        let help = "Time of the lanes that came to their end, waiting for clients included";
        out.family("fusion_lane_phase_seconds", help, MetricType::Counter, seconds)?;
        out.gauge("fusion_hints_running", "Downloads of hints that run now", c.hints_running)?;
        out.counter("fusion_hint_bytes", "Bytes of hints and answers sent", c.hint_bytes)?;
        let refusals = c.refusals.iter().map(|(limit, n)| ([("limit", limit.as_str())], count(*n)));
        out.family("fusion_refusals", "What a limit refused or ended", MetricType::Counter, refusals)?;
        out.counter("fusion_wrong_tokens", "Calls with a wrong bearer token", c.wrong_tokens)?;
        out.gauge("fusion_connections_open", "Connections that are open now", c.connections_open)?;
        out.counter("fusion_connections_accepted", "Connections that were accepted", c.connections_accepted)?;
        out.counter("fusion_connections_refused", "Connections closed at once for lack of room", c.connections_refused)?;
        out.counter("fusion_connections_cut", "Connections closed for being silent, slow or in the way", c.connections_cut)?;
        out.counter("fusion_accept_errors", "Errors of the listening socket", c.accept_errors)?;
        out.counter("fusion_log_lines_lost", "Lines that standard error did not take", lost_lines())
    }
}

/// Counters stay far below 2^53, up to which this is exact.
fn count(n: u64) -> f64 {
    n as f64
}

struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), std::fmt::Error> {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// One line for each label.
    fn family<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> Result<(), std::fmt::Error> {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            let one = family.encode_family(&labels)?;
            if matches!(kind, MetricType::Counter) {
                ConstCounter::new(value).encode(one)?;
            } else {
                ConstGauge::new(value).encode(one)?;
            }
        }
        Ok(())
    }
}
