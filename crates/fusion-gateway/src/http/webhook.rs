//! Tells another service of batches that ended: a POST of JSON, again until it is taken.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::guard;
use super::views::BatchView;
use crate::error::GatewayError;
use crate::settings::Webhook;
use crate::shared::{Happened, Shared};

/// Time for one POST.
const PATIENCE: Duration = Duration::from_secs(30);
/// Waits between tries: the first, doubled up to the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Where to send.
pub(crate) struct Target {
    host: String,
    port: u16,
    path: String,
    /// Value of the header `Host`.
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    /// Checks the URL, and reads the authorities of its certificate.
    pub(crate) fn new(webhook: &Webhook) -> Result<Self, GatewayError> {
        let bad = |reason: &str| GatewayError::Settings(format!("the webhook {}: {reason}", webhook.url));
        let uri: Uri = webhook.url.parse().map_err(|_| bad("is no URL"))?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(|| bad("expected https://host/path, without a user"))?;
        let tls = match uri.scheme_str() {
            // Labels go to it: by a name that is this machine's, or encrypted.
            Some("http") if guard::is_this_machine(authority.host()) => None,
            Some("http") => return Err(bad("is not encrypted, and not on this machine: use https://")),
            Some("https") => {
                let host = authority.host().trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(host).map_err(|_| bad("has no host that a certificate could name"))?;
                Some((connector(webhook)?, name))
            }
            _ => return Err(bad("expected http:// or https://")),
        };
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 }),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()),
            authority: authority.as_str().to_owned(),
            tls,
        })
    }

    /// One POST; a reason if it was not taken.
    async fn send(&self, body: Vec<u8>) -> Result<(), String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        match &self.tls {
            None => self.exchange(stream, body).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|error| error.to_string())?;
                self.exchange(stream, body).await
            }
        }
    }

    async fn exchange(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, body: Vec<u8>) -> Result<(), String> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let request = Request::post(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let status = sender.send_request(request).await.map(|response| response.status());
        driver.abort();
        let status = status.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }
}

fn connector(webhook: &Webhook) -> Result<TlsConnector, GatewayError> {
    let mut roots = RootCertStore::empty();
    match &webhook.ca {
        Some(path) => {
            let unusable = |reason: &dyn std::fmt::Display| GatewayError::Settings(format!("{}: {reason}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
                roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err(GatewayError::Settings(
            "no authority is known that could vouch for the webhook: name one with --webhook-ca".to_owned(),
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| GatewayError::Settings(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Tells of every batch that ended, the oldest first, until the task is dropped. What was told is
/// on record, so a batch may be told of twice, but never not at all.
pub(crate) async fn tell_of_batches(shared: Arc<Shared>, target: Target) {
    let mut happened = shared.listen();
    let mut wait = WAITS.0;
    loop {
        match tell(&shared, &target).await {
            Ok(()) => {
                wait = WAITS.0;
                // Whatever it is, or if some was missed: it is a reason to look.
                while matches!(happened.recv().await, Ok(Happened::State | Happened::Image { .. })) {}
            }
            Err(reason) => {
                tracing::warn!(%reason, "the webhook was not told of a batch; trying again");
                tokio::time::sleep(wait).await;
                wait = (2 * wait).min(WAITS.1);
            }
        }
    }
}

async fn tell(shared: &Arc<Shared>, target: &Target) -> Result<(), String> {
    loop {
        let Some((id, body)) = look(shared).await? else { return Ok(()) };
        tokio::time::timeout(PATIENCE, target.send(body)).await.map_err(|_| "it did not answer in time".to_owned())??;
        let done = Arc::clone(shared);
        let told = tokio::task::spawn_blocking(move || done.store.told(&id)).await;
        told.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    }
}

/// The oldest batch that ended and was not told of.
async fn look(shared: &Arc<Shared>) -> Result<Option<(String, Vec<u8>)>, String> {
    let shared = Arc::clone(shared);
    let look = move || -> rusqlite::Result<_> {
        let Some(batch) = shared.store.untold()?.into_iter().next() else { return Ok(None) };
        let images = shared.store.members(&batch.id)?;
        let images: Vec<_> = images
            .into_iter()
            .map(|image| json!({ "user": image.user, "id": image.id, "state": image.state, "label": image.label }))
            .collect();
        let body = json!({ "batch": BatchView::from(&batch), "images": images });
        Ok(Some((batch.id, body.to_string().into_bytes())))
    };
    tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
