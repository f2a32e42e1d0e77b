//! The speed gate: how many instructions the hottest kernels execute, compared with what is
//! checked in.
//!
//! ```text
//!   cargo run --release -p instructions             compares
//!   cargo run --release -p instructions -- --write  writes the file anew
//! ```
//!
//! Callgrind counts, so the numbers do not depend on the load of the machine, and hardly on the
//! machine. Valgrind has AVX2 and AES-NI, but neither AVX-512 nor VAES: the gate runs the two tiers
//! below. A kernel that is slower because it misses the cache has the same count: wall-clock
//! benchmarks are for that.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use fusion_ring::gemm::{PackedWeights, Reduction, WordRows};
use fusion_ring::ot::half_tree::{self, HalfTreeLevel};
use fusion_ring::ot::lookup::sender::{TableInputs, masked_tables};
use fusion_ring::ot::lpn::LocalCode;
use fusion_ring::ot::small_vole::LeafStreams;
use fusion_ring::poly::fft::{DEGREE, Product, Small, Wide};
use fusion_ring::secret::Wiped;
use fusion_ring::simd;
use fusion_ring::symmetric::aes::{Aes128, Block};
use fusion_ring::symmetric::gf128::Multiplier;
use fusion_ring::symmetric::hash;

/// Counts by tier and kernel, one a line.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/limits.txt");

/// The tiers that valgrind can run.
const TIERS: [&str; 2] = ["portable", "avx2"];

/// Growth that is let pass: another C library copies memory in other steps.
const TOLERANCE: f64 = 0.02;

/// A kernel by name, and what makes a run of it.
type Kernel = (&'static str, fn() -> Box<dyn FnMut()>);

const KERNELS: [Kernel; 9] = [
    ("lpn-encode", lpn_encode),
    ("half-tree", half_tree),
    ("bilinear", bilinear),
    ("small-vole", small_vole),
    ("pads", pads),
    ("tmmo", tmmo),
    ("masked-tables", tables),
    ("gemm", gemm),
    ("fft-product", fft_product),
];

/// Blocks of the kernels of OTs.
const BLOCKS: usize = 4096;

fn blocks() -> Vec<Block> {
    (1..=BLOCKS as Block).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect()
}

fn lpn_encode() -> Box<dyn FnMut()> {
    let (code, secret, mut out) = (LocalCode::new([1; 16], 12), blocks(), blocks());
    Box::new(move || code.encode(0, &secret, &mut out))
}

fn half_tree() -> Box<dyn FnMut()> {
    let (key, mut nodes) = (Aes128::new(&[2; 16]), blocks());
    let level = HalfTreeLevel { offset: 7, keep: Block::MAX };
    Box::new(move || {
        black_box(half_tree::expand(&key, &mut nodes, 1, &level));
    })
}

fn bilinear() -> Box<dyn FnMut()> {
    let (columns, rows, matrix) = (Multiplier::new(blocks()[..64].to_vec()), blocks()[..BLOCKS / 64].to_vec(), blocks());
    Box::new(move || {
        black_box(columns.bilinear(&rows, &matrix));
    })
}

fn small_vole() -> Box<dyn FnMut()> {
    let (leaves, mut columns, mut all) = (LeafStreams::new(8, &blocks()[..256], true), [0; 8 * 56], [0; 56]);
    Box::new(move || leaves.expand(0, 1, &mut columns, &mut all))
}

fn pads() -> Box<dyn FnMut()> {
    let (key, blocks, mut out) = (Aes128::new(&[3; 16]), blocks(), vec![0u8; 8 * BLOCKS]);
    Box::new(move || key.mmo_multiples(&blocks, &[0, 1, 2, 3, 4, 5, 6, 7], |pad| pad as u8, &mut out, &mut || ()))
}

fn tmmo() -> Box<dyn FnMut()> {
    let (key, mut blocks) = (Aes128::new(&[4; 16]), blocks());
    Box::new(move || hash::tmmo(&key, &mut blocks, 5, 8))
}

fn tables() -> Box<dyn FnMut()> {
    let (pads, words, carry) = (vec![0x5a5a; BLOCKS], vec![0x1234_5678; BLOCKS], vec![0x1234; BLOCKS / 64]);
    Box::new(move || {
        let carry = Some(&carry[..]);
        let inputs = TableInputs { index_bits: 4, pads: &pads, digits: &words, shift: 3, carry, permutations: &words };
        black_box(masked_tables(inputs));
    })
}

fn gemm() -> Box<dyn FnMut()> {
    let taps: [&[usize]; 16] = [&[0, 1, 2, 16, 17, 18, 32, 33, 34]; 16];
    let weight = |output: usize, row: usize, tap: usize| ((output * 31 + row * 17 + tap * 7) % 1023) as i16 - 511;
    let weights = PackedWeights::new(Reduction::new(&taps), 48, weight);
    let mut rows = WordRows::zeros(&weights, 300);
    (0..taps.len()).for_each(|row| rows.write(row, 0, &[u32::MAX / 3; 300]));
    let mut out = Wiped::default();
    Box::new(move || weights.multiply(&rows, 0, 256, &mut out))
}

fn fft_product() -> Box<dyn FnMut()> {
    let wide = vec![u32::MAX / 3; DEGREE];
    let secret: Vec<i8> = (0..DEGREE).map(|i| (i % 3) as i8 - 1).collect();
    let (mut product, mut sum) = (Product::default(), vec![0; DEGREE]);
    Box::new(move || {
        product.set(&Wide::new(&wide), &Small::new(&secret));
        product.words(0, &mut sum);
    })
}

/// Callgrind counts inside this function only.
#[inline(never)]
fn instructions_measured_here(work: &mut dyn FnMut()) {
    work();
}

/// Runs one kernel, in a process under callgrind.
fn run(name: &str) -> Result<(), String> {
    simd::select().map_err(|error| error.to_string())?;
    let (_, make) = KERNELS.into_iter().find(|kernel| kernel.0 == name).ok_or("no such kernel")?;
    let mut work = make();
    // The first run makes tables and sizes buffers.
    work();
    instructions_measured_here(&mut *work);
    Ok(())
}

/// Counts the instructions of one kernel on one tier.
fn count(tier: &str, name: &str) -> Result<u64, String> {
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*instructions_measured_here*"]);
    let done = valgrind.arg(itself).args(["--kernel", name]).env("FUSION_SIMD", tier).output();
    let done = done.map_err(|error| format!("valgrind does not run: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        return Err(format!("{tier} {name}: {said}"));
    }
    let line = said.lines().find_map(|line| line.split_once("Collected :")).ok_or_else(|| format!("{tier} {name}: no count in {said}"))?;
    line.1.trim().parse().map_err(|_| format!("{tier} {name}: no count in {said}"))
}

type Counts = BTreeMap<(String, String), u64>;

fn read(file: &Path) -> Result<Counts, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [tier, name, count] => {
                let count = count.parse().map_err(|_| format!("{}: {line}", file.display()))?;
                Ok(((tier.to_owned(), name.to_owned()), count))
            }
            _ => Err(format!("{}: {line}", file.display())),
        })
        .collect()
}

fn write(file: &Path, counts: &Counts) -> Result<(), String> {
    let mut text = "# Instructions of a run of each kernel, by callgrind:\n".to_owned();
    text += "# cargo run --release -p instructions -- --write\n";
    for ((tier, name), count) in counts {
        let _ = writeln!(text, "{tier} {name} {count}");
    }
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Prints all counts beside the limits; gives the kernels that grew.
fn compare(counts: &Counts, limits: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, &count) in counts {
        let name = format!("{} {}", key.0, key.1);
        let Some(&limit) = limits.get(key) else {
            wrong.push(format!("{name} has no limit"));
            continue;
        };
        let growth = count as f64 / limit as f64 - 1.0;
        println!("{name:24} {count:>12} {:+6.1} %", 100.0 * growth);
        if growth > TOLERANCE {
            wrong.push(format!("{name} executes {count} instructions, {:.1} % more than {limit}", 100.0 * growth));
        }
    }
    let gone = limits.keys().filter(|key| !counts.contains_key(*key));
    wrong.extend(gone.map(|key| format!("{} {} has a limit but is not measured", key.0, key.1)));
    wrong
}

fn gate(file: &Path, rewrite: bool) -> Result<(), String> {
    if !cfg!(target_arch = "x86_64") || simd::available().len() < TIERS.len() {
        return Err("the limits are for x86-64 with AVX2".to_owned());
    }
    let mut counts = Counts::new();
    for tier in TIERS {
        for (name, _) in KERNELS {
            counts.insert((tier.to_owned(), name.to_owned()), count(tier, name)?);
        }
    }
    if rewrite {
        return write(file, &counts);
    }
    let wrong = compare(&counts, &read(file)?);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => gate(Path::new(FILE), false),
        ["--write"] => gate(Path::new(FILE), true),
        ["--kernel", name] => run(name),
        _ => Err("usage: instructions [--write]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
