//! The command line: flags and their help. Nothing here does work.

mod afterwards;
mod demo;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use afterwards::{AuditArgs, VerifyArgs};
pub use demo::{DemoArgs, DemoServer};

use fusion::server::Cheat;

use crate::lane_terms::TermsArg;

/// Private inference that the client can check.
#[derive(Debug, Parser)]
#[command(name = "fusion", version, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done (a batch: accepted), 1 error, 2 wrong usage, 3 batch rejected, 4 batch incomplete.\nStart with `fusion demo`."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log more (-v: progress of lanes, -vv: details). RUST_LOG overrides.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything at once on this machine: a server, a client, real digits, and the verdict.
    Demo(DemoArgs),
    /// Turn an ONNX classifier into a package that can be served.
    Prepare(PrepareArgs),
    /// Show what the linear layers of a package are: rings, bits, noise, bytes.
    Inspect(InspectArgs),
    /// Serve a prepared package.
    Serve(ServeArgs),
    /// Classify images privately on a server, and check the server.
    Query(QueryArgs),
    /// Choose or judge the mix of copies and public samples, before anything runs.
    Plan(PlanArgs),
    /// Verify the answers of a finished or interrupted query again, from its run directory.
    Verify(VerifyArgs),
    /// Show what batches under one model have proved of its accuracy so far.
    Audit(AuditArgs),
    /// Compare a model's fixed-point twin with the float model on images, without any cryptography.
    Eval(EvalArgs),
}

/// How to read a float model and quantise it.
#[derive(Debug, Args)]
pub struct QuantiseArgs {
    /// From pixels to the input tensor: imagenet-caffe, cifar10 or mnist.
    #[arg(long, value_name = "PRESET", default_value = "imagenet-caffe")]
    pub preprocess: String,
    /// Part of images that must keep the float model's label: the cheapest widths that do are
    /// searched for, place by place, in minutes [default: no search].
    #[arg(long, value_name = "RATE", conflicts_with_all = ["window", "weight_bits"])]
    pub label_agreement: Option<f64>,
    /// Largest deviation of a logit's error, as a part of the logits' own, of the widths searched
    /// for [default with --label-agreement: any].
    #[arg(long, value_name = "PART", conflicts_with_all = ["window", "weight_bits"])]
    pub logit_noise: Option<f64>,
    /// Exact ReLUs only: cheaper ones mistake the signs of numbers near zero.
    #[arg(long, conflicts_with = "left_out")]
    pub exact_sign: bool,
    /// Bits that comparisons of ReLUs leave out, the same everywhere [default: 1, which is exact].
    #[arg(long, value_name = "BITS", conflicts_with_all = ["label_agreement", "logit_noise"])]
    pub left_out: Option<u32>,
    /// Window width h of activations, the same everywhere, bits [default: 12].
    #[arg(long, value_name = "BITS")]
    pub window: Option<u32>,
    /// Bits of every weight, sign included [default: 12].
    #[arg(long, value_name = "BITS")]
    pub weight_bits: Option<u32>,
    /// How far beyond the calibration images values may go.
    #[arg(long, default_value_t = 1.3)]
    pub margin: f64,
    /// Calibration images used, at most.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub calibration_images: usize,
}

/// `fusion prepare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion prepare resnet50.onnx --calibrate photos/ --out resnet50.fusion --claimed-accuracy 0.747\n  fusion prepare assets/mnist/mnist.onnx --preprocess mnist --calibrate assets/mnist/queries --out mnist.fusion"
)]
pub struct PrepareArgs {
    /// The ONNX file.
    pub model: PathBuf,
    /// Folder of images to calibrate on.
    #[arg(long, value_name = "DIR")]
    pub calibrate: PathBuf,
    /// Package to write: a directory that does not exist yet.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Name on the model card [default: the file's name].
    #[arg(long)]
    pub name: Option<String>,
    /// Accuracy that the card claims.
    #[arg(long, value_name = "RATE")]
    pub claimed_accuracy: Option<f64>,
    /// On which data the accuracy is claimed.
    #[arg(long, default_value = "the owner's test set")]
    pub dataset: String,
    /// JSON file with class names, by index.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Bits of a logit that clients may ask for, 6 to 10, under a mask; labels only by default.
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub logits_bits: u32,
    /// How to quantise.
    #[command(flatten)]
    pub quantise: QuantiseArgs,
    /// Write the summary as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `fusion inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fusion inspect mnist.fusion\n  fusion inspect mnist.fusion/card.pb --json layers.json")]
pub struct InspectArgs {
    /// The package, or the card that a server published.
    pub package: PathBuf,
    /// Write the layers as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `fusion serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion serve mnist.fusion\n  fusion serve resnet50.fusion --listen 0.0.0.0:7878 --tls-cert cert.pem --tls-key key.pem --token-file token"
)]
pub struct ServeArgs {
    /// The package that `fusion prepare` wrote.
    pub package: PathBuf,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7878")]
    pub listen: SocketAddr,
    /// Certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Authorities whose client certificates are let in (PEM): mutual TLS.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub client_ca: Option<PathBuf>,
    /// File with the bearer token that clients must present; else the variable FUSION_TOKEN.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow plaintext on an address that others can reach.
    #[arg(long)]
    pub insecure: bool,
    /// Lanes at the same time, over all clients.
    #[arg(long, value_name = "N")]
    pub max_lanes: Option<u32>,
    /// Lanes of one client at the same time.
    #[arg(long, value_name = "N")]
    pub max_lanes_per_client: Option<u32>,
    /// Samples in one lane.
    #[arg(long, value_name = "N")]
    pub max_lane_samples: Option<u32>,
    /// Payload bytes of one lane, both directions.
    #[arg(long, value_name = "BYTES")]
    pub max_lane_bytes: Option<u64>,
    /// Seconds without a frame after which a lane ends.
    #[arg(long, value_name = "S")]
    pub idle_seconds: Option<u64>,
    /// Seconds after which a lane ends whatever it does.
    #[arg(long, value_name = "S")]
    pub lane_seconds: Option<u64>,
    /// Seconds that running lanes get at shutdown.
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub grace_seconds: u64,
    /// Deviate from the protocol, to see verification catch it: samples=RATE, lanes=RATE,
    /// layer=STEP or bit.
    #[arg(long, value_name = "HOW")]
    pub cheat: Option<Cheat>,
    /// Stop when standard input closes: for a parent process that must not leave a server behind.
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
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
    /// Position-dependent cheating passes with chance at most 2^-LAMBDA.
    #[arg(long, default_value_t = 40.0)]
    pub lambda: f64,
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
    /// Chance that an honest copy's label flips at a near tie: `fusion eval` measures it. The plan
    /// tolerates as many inconclusive queries as that makes likely.
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    pub flip_rate: f64,
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
    after_help = "Examples:\n  fusion query assets/mnist/queries --public-mnist --out run1\n  fusion query photo.jpg more/ --public-dir known/ --public-labels known/labels.csv --lambda 40\n  fusion query --resume run1"
)]
pub struct QueryArgs {
    /// Images, or folders of them.
    #[arg(required_unless_present = "resume", value_name = "IMAGE|DIR")]
    pub images: Vec<PathBuf>,
    /// Where the server is.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Folder of public samples whose labels are known.
    #[arg(long, value_name = "DIR", requires = "public_labels")]
    pub public_dir: Option<PathBuf>,
    /// CSV file with the labels of the public samples: a heading, then name,class.
    #[arg(long, value_name = "FILE", requires = "public_dir")]
    pub public_labels: Option<PathBuf>,
    /// Use the MNIST digits that come with this program as public samples.
    #[arg(long, conflicts_with = "public_dir")]
    pub public_mnist: bool,
    /// The mix.
    #[command(flatten)]
    pub mix: MixArgs,
    /// Digest of the model's hint; anything else is refused. Without it the first digest seen at an
    /// address is remembered.
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
    /// Lane runs that may fail before the server counts as unavailable; a resumed run keeps the
    /// number that it began with, and those that failed.
    #[arg(long, value_name = "N", default_value_t = 8, conflicts_with = "resume")]
    pub max_failures: u32,
    /// Directory of the run, for resuming and verifying [default: a new one under the state
    /// directory].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted run.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["images", "out", "public_dir", "public_mnist"])]
    pub resume: Option<PathBuf>,
    /// Show the answers of a rejected batch. They may be wrong on purpose.
    #[arg(long)]
    pub show_rejected_answers: bool,
    /// Print where the time of every lane went, and time and bytes of every step.
    #[arg(long)]
    pub profile: bool,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as a self-contained HTML page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `fusion plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion plan --queries 512 --claimed-accuracy 0.747 --detect-below 0.60\n  fusion plan --queries 64 --claimed-accuracy 0.98 --copies 7 --public 110 --tau 6 --max-inconclusive 0\n  fusion plan --queries 16 --model mnist.fusion --measured run1.json"
)]
pub struct PlanArgs {
    /// Queries in the batch.
    #[arg(long, value_name = "R")]
    pub queries: u32,
    /// The mix.
    #[command(flatten)]
    pub mix: MixArgs,
    /// Public samples that can be had, at most.
    #[arg(long, value_name = "N")]
    pub pool: Option<u32>,
    /// Package, or model card, to predict time and bytes for; its claimed accuracy is the default.
    #[arg(long, value_name = "PATH", visible_alias = "card")]
    pub model: Option<PathBuf>,
    /// Outcome of an earlier run (`query --json` or `demo --json`), whose rate of bytes predicts
    /// the time.
    #[arg(long, value_name = "FILE", requires = "model")]
    pub measured: Option<PathBuf>,
    /// Rate of the link each way, by which time is predicted unless a run was measured.
    #[arg(long, value_name = "MBIT", default_value_t = 400.0)]
    pub link: f64,
    /// Digest of a hint whose audited accuracy may be relied on.
    #[arg(long, value_name = "DIGEST")]
    pub audited: Option<String>,
    /// Write the plan as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `fusion eval`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion eval --model resnet50.onnx --images photos/ --limit 200\n  fusion eval --model resnet50.onnx --images photos/ --window 11 --weight-bits 8\n  fusion eval --model resnet50.onnx --images photos/ --label-agreement 0.99"
)]
pub struct EvalArgs {
    /// The ONNX file.
    #[arg(long)]
    pub model: PathBuf,
    /// Folder of images; labels.csv in it, if there is one, gives their classes.
    #[arg(long, value_name = "DIR")]
    pub images: PathBuf,
    /// Images used, at most.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// How to quantise.
    #[command(flatten)]
    pub quantise: QuantiseArgs,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn flags_are_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_old_name_of_max_inconclusive_still_works_and_is_not_shown() {
        for flag in ["--max-inconclusive", "--kappa"] {
            let line = ["fusion", "plan", "--queries", "8", "--copies", "8", "--public", "9", "--tau", "1", flag, "2"];
            let super::Command::Plan(args) = super::Cli::try_parse_from(line).unwrap().command else { panic!("another command") };
            assert_eq!(args.mix.max_inconclusive, Some(2), "{flag}");
        }
        let help = super::Cli::command().find_subcommand_mut("plan").unwrap().render_long_help().to_string();
        assert!(help.contains("--max-inconclusive") && !help.contains("kappa"), "{help}");
    }
}
