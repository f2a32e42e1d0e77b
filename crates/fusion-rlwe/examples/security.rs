//! Core-SVP figures of the parameter set.
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

use std::f64::consts::{E, PI};

use fusion_rlwe::precision::{DEGREE, ERROR_BITS, MODULUS_BITS};

/// log2 of a sieve's work per dimension of the block.
const SIEVE: f64 = 0.292;

/// Block sizes that are tried. The formula for [`log_root_hermite`] is for blocks above 50.
const BLOCKS: std::ops::Range<u32> = 60..4000;

/// An LWE instance: the deviations of secret and error, and how many samples are seen.
#[derive(Debug, Clone, Copy)]
struct Lwe {
    secret: f64,
    error: f64,
    samples: usize,
}

impl Lwe {
    /// What hides one secret polynomial: `samples` bounds the coefficients of all products with it
    /// that are seen.
    fn new(samples: usize) -> Self {
        Self { secret: (2.0 / 3.0f64).sqrt(), error: (f64::from(ERROR_BITS) / 2.0).sqrt(), samples }
    }

    /// Whether blocks of `beta` find the secret in the lattice of dimension `d`: its projection is
    /// shorter than the Gram-Schmidt vector there.
    fn found(self, beta: u32, d: usize) -> bool {
        let used = (d - DEGREE - 1) as f64 * f64::from(MODULUS_BITS);
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

/// The block size that finds a vector of norm 2^`bound_bits` in the Ring-SIS lattice, in the best
/// dimension.
fn short_vector(bound_bits: u32) -> u32 {
    let volume = DEGREE as f64 * f64::from(MODULUS_BITS);
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

/// What is attacked, and the samples that are seen of it.
const SECRETS: [(&str, usize); 2] = [("client's secret", 4 * DEGREE), ("mask of the hint", DEGREE)];

/// log2 of the norms of what two openings of one hint make (crate documentation).
const OPENINGS: [u32; 2] = [28, 30];

fn main() {
    for (what, samples) in SECRETS {
        let beta = Lwe::new(samples).primal();
        println!("{what}: blocks of {beta}, core-SVP {:.1} bits", bits(beta));
    }
    for bound in OPENINGS {
        let beta = short_vector(bound);
        println!("binding, norm 2^{bound}: blocks of {beta}, core-SVP {:.1} bits", bits(beta));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells of the README's table row that has `columns` of them and begins with 2^`first`.
    fn row(columns: usize, first: u32) -> Vec<&'static str> {
        let lines = include_str!("../README.md").lines().filter(|line| line.starts_with("| 2^"));
        let mut rows = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
        rows.find(|row| row.len() == columns && row[0] == format!("2^{first}")).unwrap_or_else(|| panic!("no row for 2^{first}"))
    }

    /// The table is rounded to a tenth of a bit.
    fn assert_documented(what: &str, block: &str, core_svp: &str, beta: u32) {
        assert_eq!(block, beta.to_string(), "{what}: blocks of {beta}");
        let documented: f64 = core_svp.parse().unwrap();
        assert!((documented - bits(beta)).abs() < 0.051, "{what}: {} bits, documented {documented}", bits(beta));
    }

    #[test]
    fn the_table_of_rlwe_is_what_the_parameters_give() {
        let row = row(8, MODULUS_BITS);
        // Four samples for each unknown are more than the attack wants; the one that a row of the
        // hint has is enough for it, too.
        for (what, samples) in SECRETS {
            assert_documented(what, row[7], row[4], Lwe::new(samples).primal());
        }
    }

    #[test]
    fn the_table_of_bindings_is_what_the_parameters_give() {
        for bound in OPENINGS {
            let row = row(4, bound);
            assert_documented(&format!("norm 2^{bound}"), row[3], row[2], short_vector(bound));
        }
    }
}
