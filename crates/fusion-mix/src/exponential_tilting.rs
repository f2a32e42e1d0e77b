//! `P(m)` by exponential tilting: each position is corrupted independently with chance `theta`, and
//! the result is conditioned on the number of corrupted positions.

use std::collections::VecDeque;

use crate::{
    binomial::{Chance, ln_add},
    mix::Mix,
};

/// The law of one position and of one group when each position is corrupted independently.
pub(crate) struct GroupLaw {
    /// A position is corrupted.
    pub(crate) position: Chance,
    /// A group is corrupted in part.
    pub(crate) partial: Chance,
    /// A group that is not corrupted in part is corrupted in full.
    pub(crate) full: Chance,
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
            sizes: ln_sizes.iter().map(|x| (x - ln_partial).exp()).collect(),
        }
    }
}

/// Parts of a sum below this fraction of it may be left out.
const NEGLIGIBLE: f64 = 1e-13;

/// How small a chance must be to be left out of a sum. Tried in turn until what is left out is
/// negligible for every `m`.
const FLOORS: [f64; 3] = [1e-40, 1e-90, 0.0];

/// `ln P(m)` for all `first <= m <= last`, where `B <= first` and `last <= N`, under one `theta`.
pub(crate) fn ln_success(mix: &Mix, first: u64, last: u64) -> Vec<f64> {
    let law = GroupLaw::new(mix, first, last);
    let copies = u64::from(mix.copies());
    let least = first.saturating_sub(u64::from(mix.tau())).max(copies);
    // Entry j: Pr[j public samples corrupted], times e^-ln_publics.
    let most_publics = u64::from(mix.tau()).min(last - copies);
    let (publics, ln_publics) = scaled((0..=most_publics).map(|j| law.position.ln_mass(u64::from(mix.publics()), j)).collect());
    let all_publics: f64 = publics.iter().sum();
    let mut floors = FLOORS.into_iter();
    loop {
        let floor = floors.next().unwrap_or(0.0);
        let (groups, ln_groups, lost) = group_masses(mix, &law, least, last, floor);
        let sums: Vec<f64> = (first..=last)
            .map(|m| (0..=m - copies).zip(&publics).map(|(j, weight)| weight * groups[(m - j - least) as usize]).sum())
            .collect();
        if floor > 0.0 && sums.iter().any(|sum| lost * all_publics > sum * NEGLIGIBLE) {
            continue;
        }
        let ln_shift = ln_groups + ln_publics;
        let ln = |(m, sum): (u64, f64)| (sum.ln() + ln_shift - law.position.ln_mass(u64::from(mix.samples()), m)).min(0.0);
        return (first..).zip(sums).map(|(m, sum)| if sum == 0.0 { f64::NEG_INFINITY } else { ln((m, sum)) }).collect();
    }
}

/// A lower bound on `ln P(m)`, for `B <= m <= N`: the largest terms of the sum alone. Far quicker
/// than the sum.
pub(crate) fn ln_success_at_least(mix: &Mix, m: u64) -> f64 {
    let law = GroupLaw::new(mix, m, m);
    let (publics, copies) = (f64::from(mix.publics()), u64::from(mix.copies()));
    let (mean, deviation) = (publics * law.position.p(), (publics * law.position.p()).sqrt());
    let most = u64::from(mix.tau()).min(m - copies);
    let fewest = ((mean.min(most as f64) - 3.0 * deviation) as u64).min(most);
    let most = most.min((mean + 3.0 * deviation) as u64 + 1);
    let (masses, ln_groups, _) = group_masses(mix, &law, m - most, m - fewest, 1e-3);
    let chances = (fewest..=most).map(|j| law.position.ln_mass(u64::from(mix.publics()), j).exp());
    let sum: f64 = masses.iter().rev().zip(chances).map(|(groups, publics)| groups * publics).sum();
    sum.ln() + ln_groups - law.position.ln_mass(u64::from(mix.samples()), m)
}

/// `e^(x - max)` for each `x`, and the maximum.
fn scaled(logs: Vec<f64>) -> (Vec<f64>, f64) {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shift = if max == f64::NEG_INFINITY { 0.0 } else { max };
    (logs.into_iter().map(|x| (x - shift).exp()).collect(), shift)
}

/// For each `n` of `least..=last` the chance that `n` copies are corrupted with some group full and
/// at most `max_inconclusive` partial, times `e^-x`, where `x` is the second result. Chances below
/// `floor` are left out; the third result bounds how much each mass is too small because of that.
fn group_masses(mix: &Mix, law: &GroupLaw, least: u64, last: u64, floor: f64) -> (Vec<f64>, f64, f64) {
    let copies = u64::from(mix.copies());
    let weights = GroupWeights::new(mix, law, least, last, floor);
    let mut lost = weights.lost;
    let mut masses = vec![0.0; (last - least + 1) as usize];
    let most_extra = |p: u64| (last - copies - p) as usize;
    let mut spread = Spread::of_groups(&law.sizes, weights.first, most_extra(weights.first), floor);
    for (p, row) in (weights.first..).zip(&weights.rows) {
        if p > weights.first {
            spread = spread.join(&Spread::of_group(&law.sizes), most_extra(p), floor);
        }
        for &(k, weight) in row {
            lost += weight * spread.dropped;
            // n = k B + p + extra copies.
            let base = k * copies + p + spread.first as u64;
            let skipped = least.saturating_sub(base) as usize;
            let masses = &mut masses[base.saturating_sub(least).min(last + 1 - least) as usize..];
            for (mass, chance) in masses.iter_mut().zip(spread.chances.iter().skip(skipped)) {
                *mass += weight * chance;
            }
        }
    }
    (masses, weights.ln_scale, lost)
}

/// The chances of the numbers of partial and of full groups.
struct GroupWeights {
    /// The number of partial groups that `rows[0]` belongs to.
    first: u64,
    /// For each number of partial groups: pairs of a number `k >= 1` of full groups and the chance
    /// of both, times `e^-ln_scale`.
    rows: VecDeque<Vec<(u64, f64)>>,
    ln_scale: f64,
    /// A bound on the (scaled) sum of those left out.
    lost: f64,
}

impl GroupWeights {
    /// All that can contribute to `least..=last` corrupted copies, except those below `floor` times
    /// the largest.
    fn new(mix: &Mix, law: &GroupLaw, least: u64, last: u64, floor: f64) -> Self {
        // A full group takes B of the last n copies; every partial group takes at least one.
        let most = mix.partial_limit().min(last - u64::from(mix.copies()));
        let mode = (f64::from(mix.queries()) * law.partial.p()) as u64;
        let top = mode.min(most);
        let mut found = Self { first: 0, rows: VecDeque::new(), ln_scale: f64::NEG_INFINITY, lost: 0.0 };
        // On either side of the mode the masses fall, and ever faster.
        for p in (0..=top).rev() {
            match found.row(mix, law, least, last, p, floor) {
                Some(row) => found.rows.push_front(row),
                None => {
                    found.first = p + 1;
                    found.lost += (p + 1) as f64 * floor;
                    break;
                }
            }
        }
        for p in top + 1..=most {
            match found.row(mix, law, least, last, p, floor) {
                Some(row) => found.rows.push_back(row),
                None => {
                    found.lost += (most + 1 - p) as f64 * floor;
                    break;
                }
            }
        }
        found.scale(floor);
        found
    }

    /// Logarithms for `p` partial groups; `None` if they are all below `floor` times the largest so
    /// far.
    fn row(&mut self, mix: &Mix, law: &GroupLaw, least: u64, last: u64, p: u64, floor: f64) -> Option<Vec<(u64, f64)>> {
        let (queries, copies) = (u64::from(mix.queries()), u64::from(mix.copies()));
        let ln_partial = law.partial.ln_mass(queries, p);
        if ln_partial < self.ln_scale + floor.ln() {
            return None;
        }
        let rest = queries - p;
        // The partial groups hold between p and p (B - 1) of the copies.
        let fewest = least.saturating_sub(p * (copies - 1)).div_ceil(copies).max(1);
        let most = ((last - p) / copies).min(rest);
        let mean = rest as f64 * law.full.p();
        let mut row = Vec::new();
        for k in fewest..=most {
            let ln = ln_partial + law.full.ln_mass(rest, k);
            self.ln_scale = self.ln_scale.max(ln);
            if ln < self.ln_scale + floor.ln() && k as f64 > mean {
                self.lost += (most + 1 - k) as f64 * floor;
                break;
            }
            row.push((k, ln));
        }
        Some(row)
    }

    /// From logarithms to chances.
    fn scale(&mut self, floor: f64) {
        let Self { rows, ln_scale, lost, .. } = self;
        if *ln_scale == f64::NEG_INFINITY {
            rows.clear();
            return;
        }
        for row in rows {
            row.retain_mut(|(_, weight)| {
                *weight = (*weight - *ln_scale).exp();
                let kept = *weight > floor;
                *lost += if kept { 0.0 } else { *weight };
                kept
            });
        }
    }
}

/// The law of the extra copies (beyond one each) that a number of partial groups hold together.
#[derive(Clone)]
struct Spread {
    /// The number of extra copies that `chances[0]` belongs to.
    first: usize,
    chances: Vec<f64>,
    /// A bound on the sum of all chances that were left out.
    dropped: f64,
}

impl Spread {
    /// One partial group: `sizes[i]` is the chance that it holds `i + 1` copies.
    fn of_group(sizes: &[f64]) -> Self {
        Self { first: 0, chances: sizes.to_vec(), dropped: 0.0 }
    }

    /// Many of them, by repeated doubling.
    fn of_groups(sizes: &[f64], count: u64, most: usize, floor: f64) -> Self {
        let mut all = Self { first: 0, chances: vec![1.0], dropped: 0.0 };
        for bit in (0..u64::BITS - count.leading_zeros()).rev() {
            all = all.join(&all, most, floor);
            if count >> bit & 1 == 1 {
                all = all.join(&Self::of_group(sizes), most, floor);
            }
        }
        all
    }

    /// Two independent sets of groups together. More than `most` extra copies are of no interest,
    /// and neither are ends of the law whose chances sum to less than `floor`.
    fn join(&self, other: &Self, most: usize, floor: f64) -> Self {
        let first = self.first + other.first;
        let (short, long) = if self.chances.len() < other.chances.len() { (self, other) } else { (other, self) };
        let width = (short.chances.len() + long.chances.len()).saturating_sub(1).min((most + 1).saturating_sub(first));
        let mut chances = vec![0.0; width];
        for (shift, factor) in short.chances.iter().enumerate().take(width) {
            for (sum, chance) in chances[shift..].iter_mut().zip(&long.chances) {
                *sum += factor * chance;
            }
        }
        let (high, high_sum) = negligible(chances.iter().rev(), floor);
        chances.truncate(width - high);
        let (low, low_sum) = negligible(chances.iter(), floor);
        chances.drain(..low);
        Self { first: first + low, chances, dropped: self.dropped + other.dropped + high_sum + low_sum }
    }
}

/// How many of the first `chances` sum to less than `floor`, and their sum.
fn negligible<'a>(chances: impl Iterator<Item = &'a f64>, floor: f64) -> (usize, f64) {
    let (mut count, mut sum) = (0, 0.0);
    for chance in chances {
        if sum + chance >= floor {
            break;
        }
        sum += chance;
        count += 1;
    }
    (count, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound on what is left out holds.
    #[test]
    fn small_chances_do_not_matter() {
        for (queries, copies, publics, max_inconclusive, first, last) in
            [(3000, 5, 200, 300, 290, 350), (3000, 5, 200, 300, 20, 60), (500, 3, 40, 200, 180, 260), (40, 9, 30, 3, 9, 40)]
        {
            let mix = Mix::new(queries, copies, publics, 4, max_inconclusive).unwrap();
            let law = GroupLaw::new(&mix, first, last);
            let (exact, ln_exact, nothing) = group_masses(&mix, &law, first, last, 0.0);
            assert_eq!(nothing, 0.0);
            for floor in [1e-90, 1e-40, 1e-6, 1e-3] {
                let (masses, ln_scale, lost) = group_masses(&mix, &law, first, last, floor);
                let factor = (ln_scale - ln_exact).exp();
                for (mass, exact) in masses.iter().zip(&exact) {
                    let lacks = exact - mass * factor;
                    assert!(lacks >= -1e-12 * exact && lacks <= lost * factor + 1e-12 * exact, "{mix:?} {floor}: {mass} {exact} {lost}");
                }
            }
        }
    }

    #[test]
    fn the_quick_bound_is_below_and_near() {
        for (queries, copies, publics, tau, max_inconclusive) in
            [(5000, 5, 300, 15, 100), (100_000, 7, 400, 130, 2000), (16, 9, 40, 3, 0), (1, 20, 90, 2, 1)]
        {
            let mix = Mix::new(queries, copies, publics, tau, max_inconclusive).unwrap();
            for m in [copies, copies + max_inconclusive, copies + max_inconclusive + max_inconclusive / 30, copies + tau] {
                let exact = ln_success(&mix, m.into(), m.into())[0];
                let bound = ln_success_at_least(&mix, m.into());
                assert!(bound <= exact + 1e-9, "{mix:?} m = {m}: {bound} {exact}");
                assert!(bound >= exact - 1.0 || m > copies + max_inconclusive, "{mix:?} m = {m}: {bound} {exact}");
            }
        }
    }
}
