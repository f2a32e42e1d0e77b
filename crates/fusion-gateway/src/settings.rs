//! What a gateway needs to know from whoever runs it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fusion::{Client, ClientSettings, MixSettings, PublicPool};

/// Makes the pool of public samples for the model that a client met; the reason, in words, if it
/// cannot.
pub type PoolOf = Arc<dyn Fn(&Client) -> Result<PublicPool, String> + Send + Sync>;

/// Everything that a gateway needs to know.
#[derive(Clone)]
pub struct GatewaySettings {
    /// The Fusion server, and the home for what is remembered; the gateway's own directory is
    /// `gateway` in it.
    pub client: ClientSettings,
    /// How the batches are mixed.
    pub mix: MixSettings,
    /// The public samples that the server is tested with.
    pub pool: PoolOf,
    /// Where to listen (`127.0.0.1:8080`).
    pub listen: SocketAddr,
    /// Certificate chain and private key (PEM files): HTTPS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// File of the users and their tokens; without it everybody who reaches the loopback address is
    /// the user `local`.
    pub users: Option<PathBuf>,
    /// Allows plaintext on an address that others can reach, where something in front encrypts.
    pub plaintext: bool,
    /// Images that fill a batch (512).
    pub batch: u32,
    /// How long the oldest image waits for its batch at most (24 h).
    pub every: Duration,
    /// Images in one batch at most (4096), and those that may wait (16384).
    pub most: Most,
    /// Images keep their bytes after their batch; else these are erased with its verdict.
    pub keep_images: bool,
    /// Ended images, and what was written of their batch, are erased after this time (30 days).
    pub forget_after: Option<Duration>,
    /// Is sent every batch that ended.
    pub webhook: Option<Webhook>,
    /// Limits of the HTTP side.
    pub limits: HttpLimits,
}

/// How many images there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// In one batch.
    pub in_batch: u32,
    /// Waiting, over all users.
    pub waiting: u32,
    /// Bytes of one.
    pub bytes: usize,
    /// Bytes of the database with all of them (8 GiB): an image that comes when it is larger is
    /// told to come back.
    pub disk: u64,
}

/// Whom to tell of batches that ended.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// `http://` or `https://`, host, port and path.
    pub url: String,
    /// Authorities of its certificate (PEM), if not those of the system.
    pub ca: Option<PathBuf>,
}

/// What the HTTP side allows its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at the same time (256).
    pub connections: usize,
    /// Requests at the same time (64); others are told to come back.
    pub requests: usize,
    /// Streams of events at the same time (64).
    pub streams: usize,
    /// Time for the head of a request, or for TLS (10 s).
    pub head: Duration,
    /// Time for a whole request (60 s).
    pub request: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connections: 256, requests: 64, streams: 64, head: Duration::from_secs(10), request: Duration::from_secs(60) }
    }
}

impl GatewaySettings {
    /// The defaults, for a client, a mix and a pool.
    #[must_use]
    pub fn new(client: ClientSettings, mix: MixSettings, pool: PoolOf) -> Self {
        Self {
            client,
            mix,
            pool,
            listen: ([127, 0, 0, 1], 8080).into(),
            tls: None,
            users: None,
            plaintext: false,
            batch: 512,
            every: Duration::from_secs(24 * 3600),
            most: Most { in_batch: 4096, waiting: 16_384, bytes: 16 << 20, disk: 8 << 30 },
            keep_images: false,
            forget_after: Some(Duration::from_secs(30 * 24 * 3600)),
            webhook: None,
            limits: HttpLimits::default(),
        }
    }

    /// The gateway's own directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.client.home.join("gateway")
    }
}

/// Where the journal of a batch is kept.
pub(crate) fn journal_of(directory: &Path, batch: &str) -> PathBuf {
    directory.join("runs").join(batch)
}

impl std::fmt::Debug for GatewaySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewaySettings").field("client", &self.client).field("listen", &self.listen).finish_non_exhaustive()
    }
}
