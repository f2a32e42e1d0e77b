//! Core-SVP figures of every parameter set that [`RlweParams`] can construct.
//!
//! A second opinion on two columns of the README's tables, without the lattice-estimator: the 2016
//! estimate of the primal attack (Alkim, Ducas, Pöppelmann, Schwabe, "NewHope", section 6.3, with
//! the secret scaled to the error as Bai and Galbraith do, 2014) and lattice reduction on Ring-SIS
//! (Micciancio and Regev, 2009). Reduction with blocks of beta costs 2^(0.292 beta), one call of a
//! classical sieve.
//!
//! ```text
//! cargo run -p fusion-rlwe --example security
//! ```
//!
//! Its tests (`cargo test -p fusion-rlwe --example security`) compare the README with it.

use std::collections::BTreeSet;
use std::f64::consts::{E, PI};

use fusion_ring::poly::fft::DEGREE;
use fusion_rlwe::RlweParams;

/// log2 of a sieve's work per dimension of the block.
const SIEVE: f64 = 0.292;

/// Block sizes that are tried. The formula for [`log_root_hermite`] is for blocks above 50.
const BLOCKS: std::ops::Range<u32> = 60..4000;

/// An LWE instance; the secret and error deviations are those of [`RlweParams::noise`].
#[derive(Debug, Clone, Copy)]
struct Lwe {
    modulus_bits: u32,
    secret: f64,
    error: f64,
    samples: usize,
}

impl Lwe {
    /// What hides one secret polynomial: `samples` bounds the coefficients of all products with it
    /// that are seen.
    fn new(params: RlweParams, samples: usize) -> Self {
        let noise = params.noise();
        let error = noise.weights / f64::from(params.row_norm_bits()).exp2();
        Self { modulus_bits: params.modulus_bits(), secret: noise.masks / (error * (2.0 * DEGREE as f64).sqrt()), error, samples }
    }

    /// Whether blocks of `beta` find the secret in the lattice of dimension `d`: its projection is
    /// shorter than the Gram-Schmidt vector there.
    fn found(self, beta: u32, d: usize) -> bool {
        let used = (d - DEGREE - 1) as f64 * f64::from(self.modulus_bits);
        let volume = used + DEGREE as f64 * (self.error / self.secret).log2() + self.error.log2();
        let shortest = (2.0 * f64::from(beta) - d as f64 - 1.0) * log_root_hermite(beta) + volume / d as f64;
        f64::from(beta).log2() / 2.0 + self.error.log2() <= shortest
    }

    /// The smallest block size of the primal attack over all numbers of samples up to the bound.
    fn primal(self) -> u32 {
        let all = DEGREE + 2..=DEGREE + 1 + self.samples;
        smallest(|beta| all.clone().any(|d| self.found(beta, d)))
    }
}

/// The block size that finds a vector of norm 2^`bound_bits` in the Ring-SIS lattice modulo
/// 2^`modulus_bits`, in the best dimension.
fn short_vector(modulus_bits: u32, bound_bits: u32) -> u32 {
    let volume = DEGREE as f64 * f64::from(modulus_bits);
    smallest(|beta| (DEGREE..8 * DEGREE).any(|d| (d - 1) as f64 * log_root_hermite(beta) + volume / d as f64 <= f64::from(bound_bits)))
}

/// log2 of the root Hermite factor of blocks of `beta` (Chen's thesis, 2013).
fn log_root_hermite(beta: u32) -> f64 {
    let beta = f64::from(beta);
    ((PI * beta).log2() / beta + (beta / (2.0 * PI * E)).log2()) / (2.0 * (beta - 1.0))
}

/// The first block size that `works`, which holds from there on.
fn smallest(works: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (BLOCKS.start, BLOCKS.end);
    while low < high {
        let middle = low.midpoint(high);
        if works(middle) { high = middle } else { low = middle + 1 }
    }
    assert!(BLOCKS.contains(&low), "no block size in range works");
    low
}

fn bits(beta: u32) -> f64 {
    SIEVE * f64::from(beta)
}

/// Everything that [`RlweParams::new`] accepts.
fn constructible() -> impl Iterator<Item = RlweParams> {
    let widths = (0..128).flat_map(|modulus| (0..=64).map(move |plain| (modulus, plain)));
    widths.flat_map(|(modulus, plain)| (0..=64).filter_map(move |norm| RlweParams::new(modulus, plain, norm).ok()))
}

/// One parameter set for each modulus: nothing else changes what RLWE costs (a test checks it).
fn moduli() -> Vec<RlweParams> {
    let mut seen = BTreeSet::new();
    constructible().filter(|p| seen.insert(p.modulus_bits())).collect()
}

/// (log2 q, l) of all parameter sets.
fn widths() -> BTreeSet<(u32, u32)> {
    constructible().map(|p| (p.modulus_bits(), p.plain_bits())).collect()
}

/// Two openings of a hint make a vector of norm at most 2 to this power (crate documentation).
fn opening_bits((modulus, plain): (u32, u32)) -> u32 {
    modulus - plain + 1
}

fn main() {
    for params in moduli() {
        for (what, samples) in [("client's secret", 4 * DEGREE), ("mask of the hint", DEGREE)] {
            let beta = Lwe::new(params, samples).primal();
            println!("q = 2^{}, {what}: blocks of {beta}, core-SVP {:.1} bits", params.modulus_bits(), bits(beta));
        }
    }
    for width in widths().into_iter().filter(|&(modulus, plain)| opening_bits((modulus, plain)) < modulus - 1) {
        let beta = short_vector(width.0, opening_bits(width));
        println!("q = 2^{}, l = {}: binding, blocks of {beta}, core-SVP {:.1} bits", width.0, width.1, bits(beta));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells of the README's table rows that have `columns` of them and start with a modulus.
    fn rows(columns: usize) -> Vec<Vec<&'static str>> {
        let lines = include_str!("../README.md").lines().filter(|line| line.starts_with("| 2^"));
        let cells = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
        cells.filter(|row| row.len() == columns).collect()
    }

    fn number(cell: &str) -> f64 {
        cell.trim_start_matches("2^").parse().unwrap()
    }

    /// The table is rounded to a tenth of a bit.
    fn assert_documented(what: &str, block: &str, core_svp: &str, beta: u32) {
        assert_eq!(number(block), f64::from(beta), "{what}: blocks of {beta}");
        assert!((number(core_svp) - bits(beta)).abs() < 0.051, "{what}: {} bits, documented {core_svp}", bits(beta));
    }

    #[test]
    fn the_table_of_rlwe_is_what_the_parameters_give() {
        let rows = rows(8);
        for params in moduli() {
            let name = format!("2^{}", params.modulus_bits());
            let row = rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("the README has no row for q = {name}"));
            // Four samples for each unknown are more than the attack wants; the one that a row of
            // the hint has is enough for it, too.
            for samples in [4 * DEGREE, DEGREE] {
                assert_documented(&name, row[7], row[4], Lwe::new(params, samples).primal());
            }
        }
    }

    #[test]
    fn only_the_modulus_matters() {
        for params in constructible() {
            let lwe = Lwe::new(params, DEGREE);
            assert!((lwe.error - 10.5f64.sqrt()).abs() < 1e-9 && (lwe.secret - (2.0 / 3.0f64).sqrt()).abs() < 1e-9, "{params:?}: {lwe:?}");
        }
    }

    #[test]
    fn the_table_of_bindings_is_what_the_parameters_give() {
        let rows = rows(5);
        assert_eq!(rows.len(), 6);
        for row in rows {
            let width = (number(row[0]) as u32, number(row[1]) as u32);
            assert!(widths().contains(&width), "{width:?} cannot be constructed");
            assert_documented(&format!("{width:?}"), row[4], row[3], short_vector(width.0, opening_bits(width)));
        }
    }
}
