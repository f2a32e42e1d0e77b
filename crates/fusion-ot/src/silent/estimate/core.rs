//! The dense core of the code: few secrets that rows enough depend on alone.
//!
//! Every row adds ten secrets. Delete a secret and the rows that use it are lost; delete those of
//! least degree, one after the other (peeling), and the rows lost are few: the rest is left with
//! more rows than secrets down to about 0.6 of the secrets. An attacker who wants rows without
//! noise then needs no more than that core has secrets. The published form is Chen, Shu and Zhou,
//! "Algorithms for sparse LPN and LSPN against low-noise", COLT 2025 (deletion at random); peeling
//! by degree finds smaller cores. A few secrets deleted at random first make every trial's core
//! another.
//!
//! [`Peeling`] runs on the real code ([`LocalCode::indices`]); [`Core`] is what it measured,
//! written down, and a test measures it again. [`least_core`] says how much smaller
//! a core can be at all: at 13.28 rows per secret, peeling reaches 0.640 and no core below 0.602
//! exists.

use fusion_ring::ot::lpn::{LocalCode, WEIGHT};
use rand_core::Rng;

/// How a code shrinks under peeling: for sizes as fractions of all secrets, the fraction of rows
/// left.
#[derive(Clone, Copy, Debug)]
pub struct Core {
    path: &'static [(f64, f64)],
    fraction: f64,
}

impl Core {
    /// Of every set, all of which have 13.28 rows per secret.
    #[must_use]
    pub const fn shipped() -> Self {
        Self { path: &MEASURED, fraction: FRACTION }
    }

    /// One of another size, nothing known of the way there.
    #[cfg(test)]
    pub(super) const fn of_fraction(fraction: f64) -> Self {
        Self { path: &[], fraction }
    }

    /// The least fraction k'/k at which as many rows are left as secrets.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.fraction
    }

    /// (secrets, rows) left, as fractions of all, from the whole code down.
    #[must_use]
    pub fn path(&self) -> &[(f64, f64)] {
        self.path
    }
}

/// Measured by `cargo run --release -p fusion-ot --example estimate -- --all`, nothing deleted at
/// random: 0.6399, 0.6399 and 0.6400 for the three sizes (0.647 with a twentieth deleted first).
const FRACTION: f64 = 0.64;
const MEASURED: [(f64, f64); 7] =
    [(0.95, 0.6664), (0.9, 0.4359), (0.85, 0.2834), (0.8, 0.184), (0.75, 0.1198), (0.7, 0.0787), (0.65, 0.0522)];

/// The least k'/k for which a code of `rows` rows per secret can be expected to have any core at
/// all, however it is found: below it the expected number of sets of k' secrets with k' rows
/// inside, C(k, k') P[Bin(n, (k'/k)^10) >= k'], is exponentially small in k (first moment, with
/// Chernoff's bound for the tail).
#[must_use]
pub fn least_core(rows: f64) -> f64 {
    let exponent = |f: f64| {
        let inside = rows * f.powi(WEIGHT as i32);
        let subsets = -f * f.ln() - (1.0 - f) * (1.0 - f).ln();
        subsets - (f * (f / inside).ln() - f + inside)
    };
    // Where the core is larger than what is expected of a random set, the exponent grows with f.
    let (mut none, mut some) = (0.1, rows.powf(-1.0 / 9.0));
    for _ in 0..60 {
        let middle = (none + some) / 2.0;
        if exponent(middle) < 0.0 { none = middle } else { some = middle }
    }
    none
}

/// A code being taken apart.
pub struct Peeling {
    /// The secrets of every row, each once; equal ones cancel in pairs.
    rows: Vec<[u32; WEIGHT]>,
    /// Rows by secret: those of secret v from `start[v]` on.
    by_secret: Vec<u32>,
    start: Vec<u32>,
    degree: Vec<u32>,
    alive: Vec<bool>,
    row_alive: Vec<bool>,
    secrets_left: usize,
    rows_left: usize,
}

/// No secret: cancelled by an equal one.
const NONE: u32 = u32::MAX;

impl Peeling {
    /// All of the first `rows` rows of `code` over `secrets` secrets.
    #[must_use]
    pub fn new(code: &LocalCode, secrets: usize, rows: usize) -> Self {
        let mut all = vec![[0; WEIGHT]; rows];
        code.indices(0, &mut all);
        for row in &mut all {
            row.sort_unstable();
            for i in 1..WEIGHT {
                if row[i] == row[i - 1] && row[i] != NONE {
                    (row[i], row[i - 1]) = (NONE, NONE);
                }
            }
        }
        let present = |row: &[u32; WEIGHT]| (*row).into_iter().filter(|&v| v != NONE);
        let mut degree = vec![0u32; secrets];
        all.iter().flat_map(present).for_each(|v| degree[v as usize] += 1);
        let mut start = vec![0u32; secrets + 1];
        for v in 0..secrets {
            start[v + 1] = start[v] + degree[v];
        }
        let mut next = start.clone();
        let mut by_secret = vec![0; start[secrets] as usize];
        for (number, row) in all.iter().enumerate() {
            for v in present(row) {
                by_secret[next[v as usize] as usize] = number as u32;
                next[v as usize] += 1;
            }
        }
        let (alive, row_alive) = (vec![true; secrets], vec![true; rows]);
        Self { rows: all, by_secret, start, degree, alive, row_alive, secrets_left: secrets, rows_left: rows }
    }

    /// Deletes a secret and the rows that use it; tells which secrets lost a row.
    fn delete(&mut self, secret: usize, mut touched: impl FnMut(u32)) {
        self.alive[secret] = false;
        self.secrets_left -= 1;
        for at in self.start[secret]..self.start[secret + 1] {
            let row = self.by_secret[at as usize] as usize;
            if std::mem::take(&mut self.row_alive[row]) {
                self.rows_left -= 1;
                for &v in self.rows[row].iter().filter(|&&v| v != NONE) {
                    self.degree[v as usize] -= 1;
                    touched(v);
                }
            }
        }
    }

    /// Secrets and rows that are left.
    #[must_use]
    pub fn left(&self) -> (usize, usize) {
        (self.secrets_left, self.rows_left)
    }

    /// The secrets that are left.
    #[must_use]
    pub fn secrets(&self) -> &[bool] {
        &self.alive
    }

    /// Whether each row is left, and its secrets (those that cancelled are above all numbers).
    pub fn rows(&self) -> impl Iterator<Item = (bool, &[u32; WEIGHT])> {
        self.row_alive.iter().copied().zip(&self.rows)
    }

    /// Deletes `random` secrets chosen by `rng`, then those of least degree (ties by `rng`), while
    /// there are `spare` rows more than secrets. Tells `each` what is left after every step.
    pub fn peel(&mut self, random: usize, spare: usize, rng: &mut impl Rng, mut each: impl FnMut(usize, usize)) {
        let mut order: Vec<u32> = (0..self.alive.len() as u32).collect();
        for i in 0..random {
            let j = i + below(rng, order.len() - i);
            order.swap(i, j);
            self.delete(order[i] as usize, |_| ());
            each(self.secrets_left, self.rows_left);
        }
        let mut buckets: Vec<Vec<u32>> = Vec::new();
        let put = |buckets: &mut Vec<Vec<u32>>, degree: u32, v: u32| {
            if buckets.len() <= degree as usize {
                buckets.resize(degree as usize + 1, Vec::new());
            }
            buckets[degree as usize].push(v);
        };
        for &v in &order[random..] {
            put(&mut buckets, self.degree[v as usize], v);
        }
        let mut least = 0;
        let mut touched = Vec::new();
        while self.rows_left > self.secrets_left + spare {
            let Some(bucket) = buckets.get_mut(least) else { return };
            if bucket.is_empty() {
                least += 1;
                continue;
            }
            // Entries are left behind when a degree falls: only the last one counts.
            let v = bucket.swap_remove(below(rng, bucket.len()));
            if !self.alive[v as usize] || self.degree[v as usize] as usize != least {
                continue;
            }
            touched.clear();
            self.delete(v as usize, |w| touched.push(w));
            for &w in touched.iter().filter(|&&w| self.alive[w as usize]) {
                put(&mut buckets, self.degree[w as usize], w);
                least = least.min(self.degree[w as usize] as usize);
            }
            each(self.secrets_left, self.rows_left);
        }
    }
}

/// A number below `n`, nearly uniform.
fn below(rng: &mut impl Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}
