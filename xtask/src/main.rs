//! Maintenance tasks of the Fusion workspace: `cargo xtask <task>`.

mod codegen;
mod fuzz;
mod hostile;
mod zoo;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use fusion_benches::{checkout, linear, networks, ot, relu, resnet50, resnet50_weights, soak};
use fusion_cli::terminal::show;

/// Maintenance tasks of the Fusion workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measures bytes, OTs and time per element of the non-linear layers
    BenchRelu {
        /// Also writes the rows to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Runs of each protocol, of which the mean counts: enough for several rounds of OT
        /// generation
        #[arg(long, default_value_t = 64)]
        repeat: usize,
    },
    /// Runs private ResNet50 inference between two processes and reports bytes, seconds, memory and
    /// labels
    #[command(name = "bench-resnet50")]
    BenchResnet50(resnet50::Options),
    /// Runs small networks of the literature between two processes over a LAN and a WAN, and
    /// compares
    BenchNetworks(networks::Options),
    /// The server of bench-resnet50, bench-networks and soak
    #[command(hide = true)]
    Serve(Box<fusion_cli::cli::ServeArgs>),
    /// A client of soak
    #[command(hide = true)]
    Query(Box<fusion_cli::cli::QueryArgs>),
    /// Loads a server with clients, faults and junk for minutes; fails if it holds more and more
    Soak(soak::Options),
    /// Measures the linear layers of ResNet50: seconds a side, share of the kernel's peak, bytes,
    /// hint
    BenchLinear(linear::Options),
    /// Measures random OT: rate, bytes, memory, share of the memory-bound limit
    BenchOt(ot::Options),
    /// Writes the Rust code and descriptor sets of proto/*.proto into the crates that use them
    Codegen {
        /// Writes nothing; fails if a committed file is not what would be written
        #[arg(long)]
        check: bool,
    },
    /// Feeds fuzz targets with mutations of their corpus, without a fuzzer
    Fuzz(fuzz::Options),
    /// Plays peers that cheat, in every message and in whole batches, and fails on what must not be
    Hostile(hostile::Options),
    /// Exports the usual networks from PyTorch and Keras, and compares what we make of them with
    /// onnxruntime
    ModelZoo(zoo::Options),
    /// Finds, fetches or makes the ResNet50 that benchmarks run on, and prints where it is
    Resnet50 {
        /// An ONNX file of your own
        #[arg(long, value_name = "ONNX")]
        model: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // A tier that cannot be had is an error now, and not a panic in some kernel later.
    fusion_ring::simd::select()?;
    match args.task {
        Task::BenchRelu { json, repeat } => relu::run(json.as_deref(), repeat),
        Task::BenchLinear(options) => linear::run(&options, &checkout::root().join(resnet50_weights::CACHE)),
        Task::BenchOt(options) => ot::run(&options),
        Task::BenchResnet50(options) => resnet50::run(&options),
        Task::BenchNetworks(options) => networks::run(&options),
        Task::Serve(args) => fusion_cli::serve::run(&args),
        Task::Query(args) => match fusion_cli::run(&fusion_cli::cli::Command::Query(*args))? {
            0 => Ok(()),
            code => std::process::exit(code.into()),
        },
        Task::Soak(options) => soak::run(&options),
        Task::Codegen { check: false } => codegen::write(&checkout::root()),
        Task::Codegen { check: true } => codegen::check(&checkout::root()),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Hostile(options) => hostile::run(&options, &checkout::root()),
        Task::ModelZoo(options) => zoo::run(&options, &checkout::root()),
        Task::Resnet50 { model } => {
            let found = resnet50_weights::obtain(model.as_deref(), &checkout::root().join(resnet50_weights::CACHE))?;
            let mark = if found.synthetic { " (SYNTHETIC)" } else { "" };
            show(format_args!("{}: {}{mark}", found.path.display(), found.source))
        }
    }
}
