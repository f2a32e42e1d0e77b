//! The command line: flags and their help. Nothing here does work.

mod afterwards;
mod configuration;
mod demo;
mod doctor;
mod gateway;
mod models;
mod pixels;
mod plan;
mod query;
mod shell;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use afterwards::{AuditArgs, VerifyArgs};
pub use configuration::{ConfigArgs, ConfigCommand};
pub use demo::{DemoArgs, DemoServer};
pub use doctor::DoctorArgs;
pub use gateway::GatewayArgs;
pub use models::ModelsArgs;
pub use pixels::{FilterArg, LayoutArg, PixelArgs};
pub use plan::PlanArgs;
pub use query::{AssuranceArg, ConnectArgs, MixArgs, ModelArgs, QueryArgs};
pub use shell::{CompletionsArgs, ManArgs};

use fusion::server::Cheat;

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
    /// What lines on standard error are: text for people, or JSON, one object a line.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Settings for flags that are not typed [default: fusion/fusion.toml in the configuration
    /// directory, or what FUSION_CONFIG names].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What lines on standard error are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything at once on this machine: a server, a client, real digits, and the verdict.
    Demo(DemoArgs),
    /// Turn an ONNX classifier into a package that can be served.
    Prepare(PrepareArgs),
    /// Show what a file is: a package, a card, the directory of a run, or a report.
    Inspect(InspectArgs),
    /// Serve a prepared package.
    Serve(ServeArgs),
    /// Ask a server whether it takes lanes: exit code 0 if it does.
    Health(HealthArgs),
    /// List the models of a server.
    Models(ModelsArgs),
    /// Classify images privately on a server, and check the server.
    Query(QueryArgs),
    /// Take images in over HTTP one at a time, for applications and people; verify them in batches.
    Gateway(Box<GatewayArgs>),
    /// Choose or judge the mix of copies and public samples, before anything runs.
    Plan(PlanArgs),
    /// Verify the answers of a finished or interrupted query again, from its run directory.
    Verify(VerifyArgs),
    /// Show what batches under one model have proved of its accuracy so far.
    Audit(AuditArgs),
    /// Compare a model's fixed-point twin with the float model on images, without any cryptography.
    Eval(EvalArgs),
    /// Look at this machine, and at a server if one is named: what is fine, and what to do.
    Doctor(DoctorArgs),
    /// Show which settings are in effect, and where they come from.
    Config(ConfigArgs),
    /// Print a script that completes this command in a shell.
    Completions(CompletionsArgs),
    /// Write manual pages.
    Man(ManArgs),
}

/// How to read a float model and quantise it.
#[derive(Debug, Args)]
pub struct QuantiseArgs {
    /// Shape of an image in the order of the file, such as 3x224x224, where the file leaves it
    /// open.
    #[arg(long, value_name = "AxBxC", value_parser = parse_shape)]
    pub input_shape: Option<Shape>,
    /// The output with the class scores, by its name in the file, where there are several.
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// From pixels to the input tensor.
    #[command(flatten)]
    pub pixels: PixelArgs,
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

/// Sizes of the axes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(pub Vec<usize>);

fn parse_shape(text: &str) -> Result<Shape, String> {
    let size = |part: &str| part.trim().parse::<usize>().ok().filter(|&size| size > 0);
    let sizes: Option<Vec<usize>> = text.split(['x', ',']).map(size).collect();
    let sizes = sizes.filter(|sizes| (1..=4).contains(&sizes.len()));
    sizes.map(Shape).ok_or_else(|| format!("{text:?} is no shape: give the sizes of the axes, such as 3x224x224"))
}

/// `fusion prepare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion prepare resnet50.onnx --calibrate photos/ --out resnet50.fusion --claimed-accuracy 0.747\n  fusion prepare resnet50.onnx --calibrate photos/ --answers known/ --labels names.json --out resnet50.fusion\n  fusion prepare resnet18.onnx --preprocess imagenet-torch --calibrate photos/ --out resnet18.fusion\n  fusion prepare lite0.onnx --preprocess none --resize 256 --filter bicubic --mean 127 --std 128 --calibrate photos/ --out lite0.fusion\n  fusion prepare assets/mnist/mnist.onnx --preprocess mnist --calibrate assets/mnist/queries --out mnist.fusion"
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
    /// Folder of public images whose answers are published with the model: clients that have some
    /// of them need no labels, and pay for far smaller batches. If labels.csv lies in it, the
    /// summary says how accurate the answers are: what the card claims should not be more.
    #[arg(long, value_name = "DIR")]
    pub answers: Option<PathBuf>,
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
#[command(
    after_help = "Examples:\n  fusion inspect mnist.fusion\n  fusion inspect mnist.fusion/card.pb --json layers.json\n  fusion inspect run1\n  fusion inspect outcome.json"
)]
pub struct InspectArgs {
    /// A package, the card that a server published, the directory of a run, or a report in JSON.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write what is shown as JSON: the layers of a model, the state of a run, the report.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `fusion serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fusion serve mnist.fusion\n  fusion serve mnist.fusion resnet50.fusion\n  fusion serve models/\n  fusion serve resnet50.fusion --listen 0.0.0.0:7878 --tls-cert cert.pem --tls-key key.pem --token-file token"
)]
pub struct ServeArgs {
    /// Packages that `fusion prepare` wrote, or folders of packages. Clients choose one of several
    /// by its name or digest. SIGHUP has the server look at them again: what is new is served, what
    /// is gone is not, and running lanes go on.
    #[arg(required = true, value_name = "PACKAGE|DIR")]
    pub packages: Vec<PathBuf>,
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
    /// Memory for lanes, together: bytes, or with a unit such as 4GiB; lanes that have no room wait
    /// [default: half of this machine's, or of its control group's].
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Connections at the same time, over all clients; a quarter of them is kept for addresses from
    /// which a client was let in before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
    /// Connections from one address (IPv6: one /64) at the same time. Behind a proxy all clients
    /// are one address.
    #[arg(long, value_name = "N")]
    pub max_connections_per_address: Option<u32>,
    /// Downloads of the hint at the same time, over all clients.
    #[arg(long, value_name = "N")]
    pub max_hints: Option<u32>,
    /// Downloads of the hint by one client at the same time.
    #[arg(long, value_name = "N")]
    pub max_hints_per_client: Option<u32>,
    /// Bytes of the hint that a client must take per second.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub min_hint_rate: Option<u64>,
    /// Seconds after which a download of the hint is cut; the client goes on where it stopped.
    #[arg(long, value_name = "S")]
    pub hint_seconds: Option<u64>,
    /// Seconds from accepting a connection until its first request must have been answered.
    #[arg(long, value_name = "S")]
    pub first_request_seconds: Option<u64>,
    /// Seconds without a request after which a connection is closed.
    #[arg(long, value_name = "S")]
    pub connection_idle_seconds: Option<u64>,
    /// Seconds that running lanes get at shutdown.
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub grace_seconds: u64,
    /// Address to answer Prometheus on, under /metrics: numbers only, without encryption.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// Allow --metrics on an address that others can reach.
    #[arg(long, requires = "metrics")]
    pub insecure_metrics: bool,
    /// Deviate from the protocol, to see verification catch it: samples=RATE, lanes=RATE,
    /// layer=STEP or bit.
    #[arg(long, value_name = "HOW")]
    pub cheat: Option<Cheat>,
    /// Stop when standard input closes: for a parent process that must not leave a server behind.
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// `fusion health`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fusion health\n  fusion health --server infer.example.com:7878 --tls-ca ca.pem")]
pub struct HealthArgs {
    /// Where the server is.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// A number of bytes, with or without a unit.
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let unit = UNITS.iter().find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    let size = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)).filter(|&size| size > 0);
    size.ok_or_else(|| format!("{text:?} is no size: give bytes, or a whole number with a unit, such as 4GiB or 512MiB"))
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
    fn sizes_have_units_and_nonsense_has_none() {
        for (text, size) in [("4GiB", 4 << 30), ("512 MiB", 512 << 20), ("1GB", 1_000_000_000), ("65536", 65536), ("7B", 7), ("2kB", 2000)]
        {
            assert_eq!(super::parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "GiB", "0", "-1", "1.5GiB", "4G", "4gib", "99999999TiB"] {
            assert!(super::parse_size(text).is_err(), "{text}");
        }
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
