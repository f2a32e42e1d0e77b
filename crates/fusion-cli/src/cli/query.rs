//! Flags of `fusion query`, and those that it shares with `fusion plan`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use fusion::mix::plan::Assurance;

use crate::lane_terms::TermsArg;

/// How certain to be, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AssuranceArg {
    /// A server whose deviations change the answer whatever the image is is caught with 99%.
    Covert,
    /// It passes with chance at most 2^-40.
    Standard,
}

impl From<AssuranceArg> for Assurance {
    fn from(named: AssuranceArg) -> Self {
        match named {
            AssuranceArg::Covert => Self::Covert,
            AssuranceArg::Standard => Self::Standard,
        }
    }
}

/// Which of a server's models.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// The model, where the server has several: its name, or its digest, which is then pinned
    /// [default: the only one, or that of the run to resume].
    #[arg(long = "model", value_name = "NAME|DIGEST", env = "FUSION_MODEL")]
    pub name: Option<String>,
}

/// How to reach a server.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// The server [default: 127.0.0.1:7878, or that of the run to resume].
    #[arg(long, value_name = "HOST:PORT", env = "FUSION_SERVER")]
    pub server: Option<String>,
    /// Authority of the server's certificate (PEM): turns TLS on.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Name in the server's certificate, if it is not the host's.
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    pub tls_name: Option<String>,
    /// Client certificate (PEM) for mutual TLS.
    #[arg(long, value_name = "FILE", requires_all = ["client_key", "tls_ca"])]
    pub client_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// File with the bearer token; else the variable FUSION_TOKEN.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow plaintext to a server on another machine.
    #[arg(long)]
    pub insecure: bool,
}

/// What to mix and tolerate.
#[derive(Debug, Args)]
pub struct MixArgs {
    /// How certain to be: covert (a server whose deviations change the answer whatever the image is
    /// is caught with 99%) or standard (it passes with chance at most 2^-40) [default: standard].
    #[arg(long, value_enum, conflicts_with = "lambda")]
    pub assurance: Option<AssuranceArg>,
    /// The same as a number: position-dependent cheating passes with chance at most 2^-LAMBDA.
    #[arg(long)]
    pub lambda: Option<f64>,
    /// Be as certain about deviations that change the answer on this fraction of the images or
    /// more.
    #[arg(long, value_name = "PHI", default_value_t = 1.0)]
    pub fires: f64,
    /// Accuracy claimed for the model [default: the model card's].
    #[arg(long, value_name = "RATE")]
    pub claimed_accuracy: Option<f64>,
    /// A model below this accuracy must be noticed by this batch (false accept at most --beta).
    #[arg(long, value_name = "RATE")]
    pub detect_below: Option<f64>,
    /// The public labels are the advertised model's own outputs, certified by its owner, not ground
    /// truth.
    #[arg(long)]
    pub certified: bool,
    /// An honest server is rejected with chance at most ALPHA.
    #[arg(long, default_value_t = 1e-3)]
    pub alpha: f64,
    /// A model at --detect-below is accepted with chance at most BETA.
    #[arg(long, default_value_t = 1e-3)]
    pub beta: f64,
    /// Chance that an honest copy's label flips at a near tie [default: what the model card says].
    /// The plan tolerates as many inconclusive queries as that makes likely.
    #[arg(long, value_name = "RATE")]
    pub flip_rate: Option<f64>,
    /// Copies of each query, with --public, --tau and --max-inconclusive: judge or use that very
    /// plan. Without a claim of accuracy the public labels then count as certified.
    #[arg(long, value_name = "B", requires_all = ["public", "tau", "max_inconclusive"])]
    pub copies: Option<u32>,
    /// Public samples.
    #[arg(long, value_name = "T", requires = "copies")]
    pub public: Option<u32>,
    /// Wrong public answers tolerated.
    #[arg(long, requires = "copies")]
    pub tau: Option<u32>,
    /// Inconclusive queries tolerated.
    #[arg(long, alias = "kappa", requires = "copies")]
    pub max_inconclusive: Option<u32>,
}

/// `fusion query`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion query assets/mnist/queries --public-mnist --out run1\n  fusion query photo.jpg more/ --public-dir known/ --csv answers.csv\n  fusion query photo.jpg --public-dir known/ --public-labels known/labels.csv --assurance covert\n  fusion query next.jpg --known-from run1\n  fusion query photo.jpg --server host:7878 --model resnet50 --public-dir known/\n  fusion query --resume run1"
)]
pub struct QueryArgs {
    /// Images, or folders of them.
    #[arg(required_unless_present = "resume", value_name = "IMAGE|DIR")]
    pub images: Vec<PathBuf>,
    /// Where the server is.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Which of its models.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Folder of public samples. Their labels are the answers that the model's owner has published;
    /// else give --public-labels.
    #[arg(long, value_name = "DIR")]
    pub public_dir: Option<PathBuf>,
    /// CSV file with the true labels of the public samples: name,class counted from 0. Published
    /// answers are first held against them, and refused if they do not bear out what is claimed.
    #[arg(long, value_name = "FILE", requires = "public_dir")]
    pub public_labels: Option<PathBuf>,
    /// Test against --public-labels themselves although there are published answers.
    #[arg(long, requires = "public_labels")]
    pub ground_truth: bool,
    /// Use what accepted runs under the same hint digest have answered as public samples: images
    /// that nobody else knows.
    #[arg(long, value_name = "RUN", num_args = 1..)]
    pub known_from: Vec<PathBuf>,
    /// Use the MNIST digits that come with this program as public samples.
    #[arg(long, conflicts_with = "public_dir")]
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
    /// How long to wait, in all, for a server that is away, and at a time for one that has no room,
    /// such as 90s or 1h [default: 5m during a run, 3s to connect at its beginning].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub patience: Option<Duration>,
    /// Lane runs in which the server may fail, or break the protocol, before it counts as
    /// unavailable; a resumed run keeps the number that it began with, and those that failed. Lanes
    /// that are lost with their connection cost --patience instead.
    #[arg(long, value_name = "N", default_value_t = 8, conflicts_with = "resume")]
    pub max_failures: u32,
    /// Directory of the run, for resuming and verifying [default: a new one under the state
    /// directory].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted run.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["images", "out", "public_dir", "public_mnist", "known_from"])]
    pub resume: Option<PathBuf>,
    /// Run a plan that is weaker than what was asked for.
    #[arg(long)]
    pub allow_unsound: bool,
    /// Show the answers of a rejected batch. They may be wrong on purpose.
    #[arg(long)]
    pub show_rejected_answers: bool,
    /// Print where the time of every lane went, and time and bytes of every step.
    #[arg(long)]
    pub profile: bool,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the answers as CSV.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the report as a self-contained HTML page, with small pictures of the images.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}
