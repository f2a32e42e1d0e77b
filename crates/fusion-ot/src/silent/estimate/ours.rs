//! What attacks cost in a model of our own, which charges less than published ones do.
//!
//! Elimination is charged for the k secrets, not for the n rows; memory is free, however much of it
//! there is; and the code is taken as what it is, sparse. So block Wiedemann on words of 64 bits
//! solves k secrets in 30/64 k^2 operations (3 k / 64 products with a matrix of ten ones per row, a
//! word each) and finds up to 64 checks of a solution with them; equations of degree two or three
//! stay sparse; and an attacker may restrict itself to the sub-system of [`super::core`]. Of the
//! 2^m - 1 projections of wide choices it takes the luckiest, which is charged as if all were tried
//! for nothing.

use super::core::Core;
use super::instance::{Instance, log2_binomial, log2_sum};
use super::published::fewest;

/// log2 of solving k equations in k unknowns.
#[derive(Clone, Copy)]
pub(super) enum Solver {
    /// As a dense matrix, k^2.8.
    Dense,
    /// As the sparse matrix that it is, 64 columns a word.
    Wiedemann,
}

impl Solver {
    fn cost(self, k: f64) -> f64 {
        match self {
            Self::Dense => 2.8 * k.log2(),
            Self::Wiedemann => (30f64 / 64.0).log2() + 2.0 * k.log2(),
        }
    }
}

/// An attack on `k` unknowns that uses the fraction `rate` of all rows, the same of each block.
#[derive(Clone, Copy)]
pub(super) struct System {
    k: f64,
    rate: f64,
}

impl System {
    /// All secrets, less the one per block that a known sum gives.
    pub(super) fn whole(i: &Instance) -> Self {
        let k = if i.always() { i.k - i.t } else { i.k };
        Self { k, rate: k / i.n }
    }

    /// The sub-system of as many rows as secrets. Which rows it has is taken as even over the
    /// blocks, which is the best that an attacker can hope for.
    pub(super) fn sub(i: &Instance, core: &Core) -> Self {
        let k = core.fraction() * i.k;
        Self { k, rate: k / i.n }
    }

    /// log2 of the chance that all its rows are clean.
    fn clean(self, i: &Instance) -> f64 {
        i.t * (1.0 - i.p * self.rate).log2()
    }

    /// Draw rows until all are clean, then solve (pooled Gauss).
    pub(super) fn gauss(self, i: &Instance, solver: Solver) -> f64 {
        solver.cost(self.k) - self.clean(i) - i.luck()
    }

    /// The same with up to 2 p noisy rows, p in each half of the blocks, found by meeting in the
    /// middle (Stern 1989; for regular noise Esser and Santini, CRYPTO 2024); p is optimised, and
    /// so is whether the blocks are split once per solved system or in as many ways as it takes to
    /// meet every set of 2 p. Two lists, as many collisions as entries, each looked at once.
    pub(super) fn isd(self, i: &Instance, solver: Solver) -> f64 {
        let rate = i.p * self.rate;
        let noisy = (rate / (1.0 - rate)).log2();
        let with = |errors: u32| {
            let halves = 2.0 * log2_binomial(i.t / 2.0, errors);
            let all = log2_binomial(i.t, 2 * errors);
            let list = halves / 2.0 + f64::from(errors) * (self.k / i.t).log2();
            let tried = |placements: f64, splits: f64| {
                let hit = placements + f64::from(2 * errors) * noisy + self.clean(i);
                log2_sum(solver.cost(self.k), list + 2.0 + splits) - hit.min(0.0)
            };
            tried(halves, 0.0).min(tried(all, all - halves))
        };
        (0..14).map(with).fold(f64::INFINITY, f64::min) - i.luck()
    }
}

/// Products of two noise positions of one block vanish (Briaud and Oygarden, EUROCRYPT 2023): as
/// equations of degree two (or three: times an unknown) in the secrets they have at most 121 (1331)
/// terms, so that Wiedemann solves M monomials in 3 * 121 / 64 M^2 word operations. Guesses of
/// clean rows make the equations outnumber the monomials. That the sparse equations are independent
/// is assumed in the attacker's favour.
pub(super) fn sparse_algebraic(i: &Instance, degree: usize) -> f64 {
    let terms: f64 = if degree == 2 { 121.0 } else { 1331.0 };
    let beta = (i.n / i.t).floor();
    let free = if i.always() { beta - 1.0 } else { beta };
    let redundancy = i.n - i.k;
    // Monomials that are not leading ones of an equation, from the Hilbert series
    // (1 + (free - mu) z)^f (1 + free z)^(t - f) / ((1 + z)^(n - k) (1 - z)).
    let left = |f: f64, mu: f64| {
        let powers = |x: f64, f: f64| [1.0, x * f, x * x * f * (f - 1.0) / 2.0, x.powi(3) * f * (f - 1.0) * (f - 2.0) / 6.0];
        let (a, b) = (powers(free - mu, f), powers(free, i.t - f));
        let r = redundancy;
        let plain = [1.0, -r, r * (r + 1.0) / 2.0, -r * (r + 1.0) * (r + 2.0) / 6.0];
        let c = [plain[0], plain[0] + plain[1], plain[0] + plain[1] + plain[2], plain.iter().sum()];
        (0..=degree).map(|x| (0..=degree - x).map(|y| a[x] * b[y] * c[degree - x - y]).sum::<f64>()).sum::<f64>()
    };
    let monomials = (1..=degree as u32).map(|d| log2_binomial(i.k, d)).fold(f64::NEG_INFINITY, log2_sum);
    let mut best = f64::INFINITY;
    for mu in (0..(beta - 2.0).min(i.k / i.t + 2.0).max(0.0) as u32).map(f64::from) {
        if let Some(f) = fewest(i.t, |f| left(f, mu) < 1.0) {
            best = best.min((3.0 * terms / 64.0).log2() + 2.0 * monomials - f * (1.0 - i.p * mu / beta).log2());
        }
    }
    best - i.luck()
}

/// The same on what is left of the code when secrets are deleted, whichever of the sizes of
/// [`Core::path`] is best. Deleting saves monomials and loses equations.
pub(super) fn sub_system_algebraic(i: &Instance, core: &Core, degree: usize) -> f64 {
    let at = |&(secrets, rows): &(f64, f64)| {
        // A block keeps its noise with the rows that it keeps; its sum is lost with the others.
        let noisy = (i.p * rows).min(0.999_999);
        sparse_algebraic(&Instance { t: i.t, n: rows * i.n, k: secrets * i.k, p: noisy, ..*i }, degree)
    };
    core.path().iter().map(at).fold(f64::INFINITY, f64::min)
}
