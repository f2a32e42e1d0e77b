//! Connections: how many, over TLS or not, and for how long they may say nothing, or take nothing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::error::GatewayError;
use crate::settings::{GatewaySettings, HttpLimits};

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 32 << 10;
/// Headers of a request.
const HEADERS: usize = 64;
/// Wait after the system had no more sockets or files for us.
const NO_ROOM: Duration = Duration::from_millis(100);

/// An address that is listened on.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: HttpLimits,
}

impl Listener {
    /// Begins to listen, if the settings allow it.
    pub(crate) async fn bind(settings: &GatewaySettings) -> Result<Self, GatewayError> {
        let address = settings.listen;
        if !address.ip().is_loopback() {
            if settings.users.is_none() {
                let text = format!("refusing to listen on {address}, which others can reach, without users: give --users FILE");
                return Err(GatewayError::Settings(text));
            }
            if settings.tls.is_none() && !settings.plaintext {
                let text = format!(
                    "refusing plaintext on {address}, which others can reach: give --tls-cert and --tls-key, or --plaintext if something in front encrypts"
                );
                return Err(GatewayError::Settings(text));
            }
        }
        let tls = settings.tls.as_ref().map(|(certificate, key)| tls(certificate, key)).transpose()?;
        let socket = TcpListener::bind(address).await.map_err(|cause| GatewayError::Listen { address, cause })?;
        Ok(Self { socket, tls, limits: settings.limits })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, GatewayError> {
        self.socket.local_addr().map_err(GatewayError::file(Path::new("socket")))
    }
}

/// TLS 1.3 with the certificate and the key of two PEM files.
fn tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, GatewayError> {
    let unusable = |path: &Path, reason: &dyn std::fmt::Display| GatewayError::Settings(format!("{}: {reason}", path.display()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unusable(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| unusable(certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves connections until the task is dropped.
pub(crate) async fn serve(listener: Listener, router: Router) {
    let Listener { socket, tls, limits } = listener;
    let room = Arc::new(Semaphore::new(limits.connections));
    let places = Places::default();
    loop {
        // No connection is accepted that there is no room for: it waits in the system's queue.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(NO_ROOM).await;
                continue;
            }
        };
        let Some(place) = Place::take(&places, peer.ip(), limits.connections) else {
            tracing::debug!(%peer, "too many connections of one address");
            continue;
        };
        let (router, tls) = (router.clone(), tls.clone());
        tokio::spawn(async move {
            let _held = (permit, place);
            secured(stream, tls, router, limits).await;
        });
    }
}

/// Connections by address.
type Places = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection's place among those of its address. Half of all are one address's at most, so that
/// nobody who sends from one machine keeps all others out.
struct Place {
    places: Places,
    address: IpAddr,
}

impl Place {
    fn take(places: &Places, address: IpAddr, connections: usize) -> Option<Self> {
        let mut taken = places.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= connections.div_ceil(2) {
            return None;
        }
        *count += 1;
        Some(Self { places: Arc::clone(places), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

async fn secured(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, limits: HttpLimits) {
    // Without it answers wait for more to send; a socket that cannot do without does with.
    let _ = stream.set_nodelay(true);
    match tls {
        None => connection(stream, router, limits).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(limits.head, tls.accept(stream)).await {
                connection(stream, router, limits).await;
            }
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router, limits: HttpLimits) {
    // Whoever takes no answers holds a connection no longer than one that sends no request.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let places = Places::default();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held: Vec<_> = (0..2).map(|_| Place::take(&places, a, 4).unwrap()).collect();
        assert!(Place::take(&places, a, 4).is_none());
        assert!(Place::take(&places, b, 4).is_some());
        drop(held);
        assert!(Place::take(&places, a, 4).is_some() && places.lock().unwrap().is_empty());
    }
}
