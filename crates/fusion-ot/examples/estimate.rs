//! What every LPN parameter set costs its attackers, and what it costs its users.
//!
//! ```text
//! cargo run --release -p fusion-ot --example estimate                 # attacks; measures one size
//! cargo run --release -p fusion-ot --example estimate -- --json FILE  # and the attacks as JSON
//! cargo run --release -p fusion-ot --example estimate -- --all        # measures every size
//! ```
//!
//! The attacks are formulas ([`fusion_ot::silent::estimate`]); the size of the code's dense core
//! and the seconds are measured here. Without `--all` only the smallest size is measured: the core
//! depends on rows per secret, which all sets have alike.

use std::path::PathBuf;
use std::time::Instant;

use fusion_ot::functionality::ChoiceBits;
use fusion_ot::session::Session;
use fusion_ot::silent::estimate::{Core, Model, Peeling, attacks};
use fusion_ot::silent::{ExtensionSize, Malicious, Parameters, Receiver, Sender};
use fusion_ot::{OtError, Role};
use fusion_ring::channel::memory_pair;
use fusion_ring::ot::lpn::LocalCode;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

/// OTs that a set is timed over.
const OUTPUTS: usize = 10_000_000;

fn widths() -> impl Iterator<Item = ChoiceBits> {
    (1..=4).filter_map(ChoiceBits::new)
}

/// Seconds that both parties, a thread each, take for [`OUTPUTS`] correlations after the first
/// extension.
fn seconds(size: ExtensionSize, m: ChoiceBits) -> Result<f64, OtError> {
    let first = {
        let set = Parameters::new(m, size);
        set.outputs() - set.reserve()
    };
    let direction = Session::new(b"estimate").direction(Role::First);
    let (mut a, mut b) = memory_pair();
    std::thread::scope(|scope| {
        let theirs = direction.clone();
        let peer = scope.spawn(move || -> Result<(), OtError> {
            let mut r = Receiver::<Malicious>::setup(size, &theirs, &mut b, &mut ChaCha20Rng::seed_from_u64(2))?;
            r.correlated(&mut b, m, first, &mut |_| ())?;
            r.correlated(&mut b, m, OUTPUTS, &mut |_| ())
        });
        let mut s = Sender::<Malicious>::setup(size, &direction, &mut a, &mut ChaCha20Rng::seed_from_u64(1))?;
        s.correlated(&mut a, m, first, &mut |_| ())?;
        let start = Instant::now();
        s.correlated(&mut a, m, OUTPUTS, &mut |_| ())?;
        let seconds = start.elapsed().as_secs_f64();
        peer.join().map_err(|_| OtError::Misuse("the peer's thread panicked"))??;
        Ok(seconds)
    })
}

/// Peels the code of `size`: prints what is left on the way, gives k'/k.
fn core(size: ExtensionSize, random: f64) -> f64 {
    let set = Parameters::new(ChoiceBits::ONE, size);
    let (k, n) = (1usize << set.log_secrets(), set.outputs());
    let mut peeling = Peeling::new(&LocalCode::new([7; 16], set.log_secrets()), k, n);
    let mut next = 0.95;
    print!("{size:?}, {:.0} % deleted at random: rows left of n at", 100.0 * random);
    peeling.peel((random * k as f64) as usize, 64, &mut ChaCha20Rng::seed_from_u64(1), |secrets, rows| {
        if secrets as f64 <= next * k as f64 {
            print!(" {next:.2} k {:.4},", rows as f64 / n as f64);
            next -= 0.05;
        }
    });
    let (secrets, rows) = peeling.left();
    println!(" core: k' = {secrets} = {:.4} k with {rows} rows", secrets as f64 / k as f64);
    secrets as f64 / k as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut json, mut measured) = (None, 1);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = Some(PathBuf::from(args.next().ok_or("--json needs a file")?)),
            "--all" => measured = ExtensionSize::ALL.len(),
            _ => return Err(format!("unknown argument {arg}; known are --json FILE and --all").into()),
        }
    }
    let mut rows: Vec<Value> = Vec::new();
    let sets: Vec<(ExtensionSize, ChoiceBits)> = ExtensionSize::ALL.into_iter().flat_map(|size| widths().map(move |m| (size, m))).collect();
    print!("{:<42} {:>5}", "attack, bits", "bound");
    sets.iter().for_each(|(size, m)| print!(" {:>9}", format!("{size:?} {}", m.bits())));
    println!();
    let table: Vec<_> = sets.iter().map(|&(size, m)| attacks(Parameters::new(m, size))).collect();
    for (i, attack) in table[0].iter().enumerate() {
        let whose = if attack.model == Model::Published { "published" } else { "ours" };
        print!("{:<42} {:>5}", format!("{whose}: {}", attack.name), attack.model.bound());
        for (&(size, m), attacks) in sets.iter().zip(&table) {
            let (set, bits) = (Parameters::new(m, size), attacks[i].bits);
            print!(" {bits:>9.1}");
            rows.push(json!({
                "set": format!("{size:?}"), "m": m.bits(), "n": set.outputs(), "k": 1u64 << set.log_secrets(), "t": set.trees(),
                "attack": attack.name, "model": whose, "bits": (bits * 10.0).round() / 10.0,
            }));
            if bits < attack.model.bound() {
                return Err(format!("{set:?}: {} takes {bits:.1} bits only", attack.name).into());
            }
        }
        println!();
    }
    println!("\nsub-system: k'/k = {} as written down; measured now:", Core::shipped().fraction());
    for size in ExtensionSize::ALL.into_iter().take(measured) {
        for random in [0.0, 0.05] {
            core(size, random);
        }
    }
    println!("\n{:<8} {:>2} {:>9} {:>7} {:>6} {:>12} {:>9}", "set", "m", "n", "k", "t", "s for 10 M", "bits/OT");
    for &(size, m) in &sets[..measured * widths().count()] {
        let set = Parameters::new(m, size);
        let (k, seconds) = (1u64 << set.log_secrets(), seconds(size, m)?);
        let bits = set.bits_per_output();
        println!("{:<8} {:>2} {:>9} {k:>7} {:>6} {seconds:>12.3} {bits:>9.2}", format!("{size:?}"), m.bits(), set.outputs(), set.trees());
    }
    if let Some(path) = json {
        std::fs::write(&path, serde_json::to_string_pretty(&rows)?).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(())
}
