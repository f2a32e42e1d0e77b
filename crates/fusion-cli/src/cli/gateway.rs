//! Flags of `fusion gateway`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::query::{ConnectArgs, MixArgs, ModelArgs};
use crate::lane_terms::TermsArg;

/// `fusion gateway`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion gateway --public-mnist\n  fusion gateway --server host:7878 --tls-ca ca.pem --public-dir known/ --public-labels known/labels.csv --batch 64 --every 1h\n  fusion gateway --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --users users --public-dir known/"
)]
pub struct GatewayArgs {
    /// Where the Fusion server is.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Which of its models.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Folder of public samples. Their labels are the answers that the model's owner has published;
    /// else give --public-labels.
    #[arg(long, value_name = "DIR")]
    pub public_dir: Option<PathBuf>,
    /// CSV file with the true labels of the public samples: name,class counted from 0.
    #[arg(long, value_name = "FILE", requires = "public_dir")]
    pub public_labels: Option<PathBuf>,
    /// Test against --public-labels themselves although there are published answers.
    #[arg(long, requires = "public_labels")]
    pub ground_truth: bool,
    /// Use the MNIST digits that come with this program as public samples.
    #[arg(long, conflicts_with = "public_dir", required_unless_present = "public_dir")]
    pub public_mnist: bool,
    /// The mix.
    #[command(flatten)]
    pub mix: MixArgs,
    /// Digest of the model, as `fusion prepare` and `fusion inspect` show it; anything else is
    /// refused. Without it the first digest seen at an address is remembered.
    #[arg(long, value_name = "DIGEST")]
    pub pin: Option<String>,
    /// Lanes side by side [default: two per core, four if the server is 10 ms away].
    #[arg(long, value_name = "N")]
    pub lanes: Option<usize>,
    /// What lanes save: processor time or bytes [default: by the server's distance and this
    /// machine's cores].
    #[arg(long, value_enum)]
    pub terms: Option<TermsArg>,
    /// Samples in one lane [default: what fits a moderate memory].
    #[arg(long, value_name = "N")]
    pub lane_samples: Option<u32>,
    /// Lane runs of one batch that may fail because the server breaks the protocol.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub max_failures: u32,
    /// Run plans that are weaker than what was asked for.
    #[arg(long)]
    pub allow_unsound: bool,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Certificate chain for HTTPS (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// File of users, mode 0600: lines of a name and a token of at least 16 characters. Without it
    /// whoever reaches the loopback address is let in, and no other address is listened on.
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// Allow plaintext HTTP on an address that others can reach, where something in front encrypts.
    #[arg(long, requires = "users")]
    pub plaintext: bool,
    /// Images that fill a batch.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub batch: u32,
    /// How long an image waits for its batch at most: 90s, 30min, 24h, 7d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    pub every: Duration,
    /// Images in one batch at most [default: eight times --batch].
    #[arg(long, value_name = "N")]
    pub most_in_batch: Option<u32>,
    /// Images that may wait; others are told to come back.
    #[arg(long, value_name = "N", default_value_t = 16_384)]
    pub max_waiting: u32,
    /// Bytes of an image at most.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub max_image_bytes: usize,
    /// Bytes of the gateway's database at most: while it is larger images are told to come back.
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 30)]
    pub max_disk_bytes: u64,
    /// Keep the bytes of images after their batch, until they are forgotten.
    #[arg(long)]
    pub keep_images: bool,
    /// Erase images that have ended, their labels and their journals after this time, or `never`.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = time_or_never)]
    pub forget_after: Never<Duration>,
    /// Requests at the same time.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub max_requests: usize,
    /// Connections at the same time.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_connections: usize,
    /// Seconds that a request may take to send its head.
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub head_seconds: u64,
    /// Seconds that a whole request may take.
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub request_seconds: u64,
    /// POST every batch that ended to this address, http:// or https://.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// Authority of the webhook's certificate (PEM) [default: those of the system].
    #[arg(long, value_name = "FILE", requires = "webhook")]
    pub webhook_ca: Option<PathBuf>,
    /// Seconds that running lanes get at shutdown; what they do not finish is run again later.
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub grace_seconds: u64,
    /// Stop when standard input closes: for a parent process that must not leave a gateway behind.
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// Something, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Never<T>(pub Option<T>);

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write a number and a unit, such as 90s, 30min, 24h or 7d"))
}

fn time_or_never(text: &str) -> Result<Never<Duration>, String> {
    if text == "never" { Ok(Never(None)) } else { time(text).map(|time| Never(Some(time))) }
}
