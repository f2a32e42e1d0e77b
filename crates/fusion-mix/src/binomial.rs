//! Binomial probabilities and tails with small *relative* error, also where they are tiny.
//!
//! The mass function follows the saddle-point form of Loader ("Fast and accurate computation of
//! binomial probabilities", 2000): factorials enter only through the remainder of Stirling's
//! series, so nothing large cancels. A tail is summed from its largest term outwards; all terms are
//! positive, so their relative errors do not grow.

/// A success probability together with its complement and both logarithms, so that neither end
/// loses digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    p: f64,
    q: f64,
    ln_p: f64,
    ln_q: f64,
}

impl Chance {
    /// The chance `p`, `0 <= p <= 1`.
    pub(crate) fn new(p: f64) -> Self {
        Self { p, q: 1.0 - p, ln_p: p.ln(), ln_q: (-p).ln_1p() }
    }

    /// The chance `a / (a + b)`, both at least 1.
    pub(crate) fn from_counts(a: u64, b: u64) -> Self {
        let (a, b) = (a as f64, b as f64);
        let (p, q) = (a / (a + b), b / (a + b));
        let (ln_p, ln_q) = if p < q { (p.ln(), (-p).ln_1p()) } else { ((-q).ln_1p(), q.ln()) };
        Self { p, q, ln_p, ln_q }
    }

    /// The chance `a / (a + b)` from `ln a` and `ln b`.
    pub(crate) fn from_log_weights(ln_a: f64, ln_b: f64) -> Self {
        let ln_sum = ln_add(ln_a, ln_b);
        let (ln_p, ln_q) = (ln_a - ln_sum, ln_b - ln_sum);
        Self { p: ln_p.exp(), q: ln_q.exp(), ln_p, ln_q }
    }

    pub(crate) fn p(&self) -> f64 {
        self.p
    }

    pub(crate) fn ln_p(&self) -> f64 {
        self.ln_p
    }

    pub(crate) fn ln_q(&self) -> f64 {
        self.ln_q
    }

    fn complement(self) -> Self {
        Self { p: self.q, q: self.p, ln_p: self.ln_q, ln_q: self.ln_p }
    }

    /// Natural logarithm of `P[Bin(trials, p) = hits]`; minus infinity where that is impossible.
    pub(crate) fn ln_mass(&self, trials: u64, hits: u64) -> f64 {
        if hits > trials {
            return f64::NEG_INFINITY;
        }
        let misses = trials - hits;
        let (n, x, y) = (trials as f64, hits as f64, misses as f64);
        if hits == 0 {
            return if trials == 0 { 0.0 } else { n * self.ln_q };
        }
        if misses == 0 {
            return n * self.ln_p;
        }
        if self.p == 0.0 && self.ln_p == f64::NEG_INFINITY || self.q == 0.0 && self.ln_q == f64::NEG_INFINITY {
            return f64::NEG_INFINITY;
        }
        let shape = 0.5 * (n / (std::f64::consts::TAU * x * y)).ln();
        shape + stirling_remainder(trials)
            - stirling_remainder(hits)
            - stirling_remainder(misses)
            - deviance(x, n * self.p, n.ln() + self.ln_p)
            - deviance(y, n * self.q, n.ln() + self.ln_q)
    }
}

/// `ln(e^a + e^b)`.
pub(crate) fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// `ln C(n, k)` up to about `1e-15 n`; minus infinity for `k > n`.
pub(crate) fn ln_choose(n: u64, k: u64) -> f64 {
    if k == 0 || k >= n {
        return if k > n { f64::NEG_INFINITY } else { 0.0 };
    }
    // C(n, k) = P[Bin(n, k/n) = k] / ((k/n)^k (1 - k/n)^(n-k)).
    let chance = Chance::from_counts(k, n - k);
    chance.ln_mass(n, k) - k as f64 * chance.ln_p - (n - k) as f64 * chance.ln_q
}

/// `x ln(x / mean) + mean - x`, without cancellation where `x` is near `mean`.
fn deviance(x: f64, mean: f64, ln_mean: f64) -> f64 {
    let gap = x - mean;
    if gap.abs() >= 0.1 * (x + mean) {
        return x * (x.ln() - ln_mean) - gap;
    }
    // With v = (x - mean) / (x + mean): ln(x / mean) = 2 artanh v, and the linear part cancels
    // exactly.
    let v = gap / (x + mean);
    let square = v * v;
    let mut power = 2.0 * x * v;
    let mut sum = gap * v;
    let mut odd = 1.0;
    loop {
        power *= square;
        odd += 2.0;
        let next = sum + power / odd;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}

/// `ln n! - (n + 1/2) ln n + n - ln(2 pi) / 2` for `n >= 1`.
fn stirling_remainder(n: u64) -> f64 {
    let x = n as f64;
    if n < 16 {
        let factorial: f64 = (1..=n).map(|i| i as f64).product();
        let half_ln_tau = 0.918_938_533_204_672_8;
        return factorial.ln() - (x + 0.5) * x.ln() + x - half_ln_tau;
    }
    // The asymptotic series; its error is below the first term left out, 1/(360360 * 691^-1 * x^11)
    // < 2e-16 at x = 16.
    let inverse_square = 1.0 / (x * x);
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0];
    series.iter().rev().fold(0.0, |sum, term| sum * inverse_square + term) / x
}

/// `P[Bin(trials, p) <= most]`.
///
/// # Panics
/// If `p` is not a probability.
#[must_use]
pub fn lower_tail(trials: u64, p: f64, most: u64) -> f64 {
    assert!((0.0..=1.0).contains(&p), "a probability lies between 0 and 1");
    if most >= trials { 1.0 } else { tail_below(trials, Chance::new(p), most) }
}

/// `P[Bin(trials, p) > most]`.
///
/// # Panics
/// If `p` is not a probability.
#[must_use]
pub fn upper_tail(trials: u64, p: f64, most: u64) -> f64 {
    assert!((0.0..=1.0).contains(&p), "a probability lies between 0 and 1");
    // X > most is the same as trials - X <= trials - most - 1.
    if most >= trials { 0.0 } else { tail_below(trials, Chance::new(p).complement(), trials - most - 1) }
}

/// `P[X <= most]` for `most < trials`.
fn tail_below(trials: u64, chance: Chance, most: u64) -> f64 {
    if chance.p == 0.0 {
        return 1.0;
    }
    if chance.q == 0.0 {
        return 0.0;
    }
    let mean = trials as f64 * chance.p;
    if (most as f64) < mean {
        sum_downwards(trials, chance, most)
    } else {
        (1.0 - sum_downwards(trials, chance.complement(), trials - most - 1)).max(0.0)
    }
}

/// `sum of P[X = i] for i = start, start-1, ..., 0`, for a start below the mean, where the terms
/// fall.
fn sum_downwards(trials: u64, chance: Chance, start: u64) -> f64 {
    let first = chance.ln_mass(trials, start).exp();
    let odds = chance.q / chance.p;
    let (mut term, mut sum) = (1.0, 1.0);
    for i in (1..=start).rev() {
        term *= i as f64 / (trials - i + 1) as f64 * odds;
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    (first * sum).min(1.0)
}

/// An upper bound, in natural logarithm, on `P[Bin(trials, p) <= most]`: the geometric series over
/// the ratio of its last two terms.
pub(crate) fn ln_lower_tail_bound(trials: u64, chance: &Chance, most: u64) -> f64 {
    if most >= trials || most as f64 >= trials as f64 * chance.p {
        return 0.0;
    }
    let ln_ratio = (most as f64).ln() - ((trials - most + 1) as f64).ln() + chance.ln_q - chance.ln_p;
    let ratio = ln_ratio.exp();
    if ratio >= 1.0 { 0.0 } else { (chance.ln_mass(trials, most) - (-ratio).ln_1p()).min(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pascal's triangle in plain arithmetic.
    fn masses(n: u64, p: f64) -> Vec<f64> {
        let mut row = vec![1.0];
        for _ in 0..n {
            let mut next = vec![0.0; row.len() + 1];
            for (i, v) in row.iter().enumerate() {
                next[i] += v * (1.0 - p);
                next[i + 1] += v * p;
            }
            row = next;
        }
        row
    }

    #[test]
    fn mass_and_tails_match_pascal() {
        for n in [1u64, 2, 7, 15, 16, 17, 40, 120] {
            for p in [1e-6, 0.02, 0.3, 0.5, 0.9, 0.999] {
                let chance = Chance::new(p);
                let row = masses(n, p);
                for k in 0..=n {
                    let want = row[k as usize];
                    let got = chance.ln_mass(n, k).exp();
                    assert!((got - want).abs() <= 1e-12 * want + 1e-300, "n={n} p={p} k={k}: {got} {want}");
                    let low: f64 = row[..=k as usize].iter().sum();
                    let high: f64 = row[k as usize + 1..].iter().sum();
                    assert!((lower_tail(n, p, k) - low).abs() <= 1e-12);
                    assert!((upper_tail(n, p, k) - high).abs() <= 1e-12);
                    if high < 0.1 && high > 1e-290 {
                        assert!((upper_tail(n, p, k) / high - 1.0).abs() < 1e-11, "relative error in a small tail");
                    }
                    assert!(low < 1e-290 || ln_lower_tail_bound(n, &chance, k) >= low.ln() - 1e-9);
                }
            }
        }
    }

    #[test]
    fn edges() {
        assert_eq!(lower_tail(10, 0.0, 0), 1.0);
        assert_eq!(lower_tail(10, 1.0, 9), 0.0);
        assert_eq!(upper_tail(10, 1.0, 9), 1.0);
        assert_eq!(upper_tail(10, 0.3, 10), 0.0);
        assert_eq!(lower_tail(0, 0.3, 0), 1.0);
    }
}
