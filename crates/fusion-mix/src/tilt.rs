//! `P(m)` by exponential tilting: independent corruption with chance `theta`, conditioned on its total.

use crate::{
    binomial::{Chance, ln_add},
    soundness::Mix,
};

/// The law of one position and of one group when each position is corrupted independently.
pub(crate) struct GroupLaw {
    /// A position is corrupted.
    pub(crate) position: Chance,
    /// A group is corrupted in part.
    pub(crate) partial: Chance,
    /// A group that is not corrupted in part is corrupted in full.
    pub(crate) full: Chance,
    /// Logarithm of the chance that a group is corrupted in full.
    ln_full: f64,
    /// The chance of 1, 2, ..., B-1 corrupted copies in a group corrupted in part.
    sizes: Vec<f64>,
}

impl GroupLaw {
    /// The law with `theta` in the middle of `first..=last`.
    pub(crate) fn new(mix: &Mix, first: u64, last: u64) -> Self {
        let copies = u64::from(mix.copies());
        // Strictly inside (0, 1), also for the blocks at both ends.
        let corrupted = first + last + 1;
        let position = Chance::from_counts(corrupted, 2 * u64::from(mix.samples()) + 2 - corrupted);
        let (ln_all, ln_none) = (copies as f64 * position.ln_p(), copies as f64 * position.ln_q());
        let ln_sizes: Vec<f64> = (1..copies).map(|s| position.ln_mass(copies, s)).collect();
        let ln_partial = ln_sizes.iter().fold(f64::NEG_INFINITY, |sum, &x| ln_add(sum, x));
        Self {
            position,
            partial: Chance::from_log_weights(ln_partial, ln_add(ln_all, ln_none)),
            full: Chance::from_log_weights(ln_all, ln_none),
            ln_full: ln_all,
            sizes: ln_sizes.iter().map(|x| (x - ln_partial).exp()).collect(),
        }
    }
}

/// Parts of a sum below `e^-32 < 1e-13` of it are left out.
const NEGLIGIBLE: f64 = 32.0;

/// Tables for evaluating `P(m)` for all `m` of a block under one `theta`.
pub(crate) struct Tilt {
    samples: u64,
    copies: u64,
    position: Chance,
    /// The least `n` in `groups`.
    least: u64,
    /// Entry `n - least`: `Pr[some group full, few partial, n copies corrupted]`, times `e^-ln_groups`.
    groups: Vec<f64>,
    ln_groups: f64,
    /// Entry `j`: `Pr[j public samples corrupted]`, times `e^-ln_publics`, for `j <= tau`.
    publics: Vec<f64>,
    ln_publics: f64,
}

impl Tilt {
    /// Tables for `first <= m <= last`, where `B <= first` and `last <= N`.
    pub(crate) fn new(mix: &Mix, first: u64, last: u64) -> Self {
        let law = GroupLaw::new(mix, first, last);
        let copies = u64::from(mix.copies());
        let least = first.saturating_sub(u64::from(mix.tau())).max(copies);
        let (groups, ln_groups) = group_masses(mix, &law, least, last);
        let (publics, ln_publics) = scaled((0..=u64::from(mix.tau())).map(|j| law.position.ln_mass(u64::from(mix.publics()), j)).collect());
        Self { samples: u64::from(mix.samples()), copies, position: law.position, least, groups, ln_groups, publics, ln_publics }
    }

    /// `ln P(m)`.
    pub(crate) fn ln_success(&self, m: u64) -> f64 {
        let mut sum = 0.0;
        for (j, weight) in (0..=m - self.copies).zip(&self.publics) {
            sum += weight * self.groups[(m - j - self.least) as usize];
        }
        if sum == 0.0 {
            return f64::NEG_INFINITY;
        }
        (sum.ln() + self.ln_groups + self.ln_publics - self.position.ln_mass(self.samples, m)).min(0.0)
    }
}

/// `e^(x - max)` for each `x`, and the maximum.
fn scaled(logs: Vec<f64>) -> (Vec<f64>, f64) {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shift = if max == f64::NEG_INFINITY { 0.0 } else { max };
    (logs.into_iter().map(|x| (x - shift).exp()).collect(), shift)
}

/// For each `n` of `least..=last` the (scaled) chance that `n` copies are corrupted with some group full and at most `kappa` partial.
fn group_masses(mix: &Mix, law: &GroupLaw, least: u64, last: u64) -> (Vec<f64>, f64) {
    let (queries, copies) = (u64::from(mix.queries()), u64::from(mix.copies()));
    let most_spread = (mix.partial_limit() * (copies - 1)).min(last - copies);
    let most_partials = mix.partial_limit().min(most_spread);
    let spreads = Spreads::new(&law.sizes, most_partials as usize, most_spread as usize);

    // Full groups k that leave a possible number of corrupted copies to the partial ones.
    let fewest = (least.saturating_sub(most_spread)).div_ceil(copies).max(1);
    let most = (last / copies).min(queries);
    let ln_partials: Vec<f64> = (0..=most_partials).map(|p| law.partial.ln_mass(queries, p)).collect();
    // P[at least k groups full] <= (R f)^k / k!, where f is the chance that a group is full.
    let ln_expected_full = (queries as f64).ln() + law.ln_full;
    let mut ln_tail = (1..fewest).map(|k| ln_expected_full - (k as f64).ln()).sum::<f64>();

    let mut masses = vec![0.0; (last - least + 1) as usize];
    let mut ln_scale = f64::NEG_INFINITY;
    for k in fewest..=most {
        ln_tail += ln_expected_full - (k as f64).ln();
        // What follows adds at most the tail to any mass: the spreads are probabilities.
        let smallest = masses.iter().copied().fold(f64::INFINITY, f64::min);
        if smallest > 0.0 && ln_tail < smallest.ln() + ln_scale - NEGLIGIBLE {
            break;
        }
        let possible = ln_partials.len().min((queries - k + 1) as usize);
        let row = ln_partials[..possible].iter().zip(0u64..).map(|(ln, p)| ln + law.full.ln_mass(queries - p, k)).collect();
        let (weights, ln_row) = scaled(row);
        if ln_row > ln_scale {
            let shrink = (ln_scale - ln_row).exp();
            masses.iter_mut().for_each(|mass| *mass *= shrink);
            ln_scale = ln_row;
        }
        let factor = (ln_row - ln_scale).exp();
        let from = least.max(k * copies);
        for n in from..=last.min(k * copies + most_spread) {
            masses[(n - least) as usize] += factor * spreads.weigh(&weights, (n - k * copies) as usize);
        }
    }
    (masses, ln_scale)
}

/// `Pr[p partial groups hold s corrupted copies together]`, for all `p` and `s` up to given limits.
struct Spreads {
    largest: usize,
    columns: usize,
    table: Vec<f64>,
}

impl Spreads {
    /// `sizes[i]` is the chance that one partial group holds `i + 1` corrupted copies.
    fn new(sizes: &[f64], most_partials: usize, most_spread: usize) -> Self {
        let columns = most_spread + 1;
        let mut table = vec![0.0; (most_partials + 1) * columns];
        table[0] = 1.0;
        for p in 1..=most_partials {
            let (before, now) = table.split_at_mut(p * columns);
            let before = &before[(p - 1) * columns..];
            for (s, cell) in now.iter_mut().enumerate().take(columns.min(p * sizes.len() + 1)).skip(p) {
                *cell = sizes.iter().zip(before[..s].iter().rev()).map(|(size, rest)| size * rest).sum();
            }
        }
        Self { largest: sizes.len(), columns, table }
    }

    /// The sum over `p` of `weights[p]` times the chance of spread `s`.
    fn weigh(&self, weights: &[f64], s: usize) -> f64 {
        if s == 0 {
            return weights[0];
        }
        let fewest = s.div_ceil(self.largest);
        (fewest..weights.len().min(s + 1)).map(|p| weights[p] * self.table[p * self.columns + s]).sum()
    }
}
