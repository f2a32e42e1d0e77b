//! Soundness of a mixed batch: the chance that position-dependent cheating passes, in the worst case over how much is corrupted.
//!
//! # The game
//! `N = R B + T` samples lie in an order that is uniform and unknown to the server, whose view does not depend on it. So all that
//! a server which treats positions differently can choose is *how many* positions it corrupts. With `m` of them corrupted, let
//! `k` groups be corrupted in full, `p` in part, and `j` public samples. The client accepts iff `j <= tau` and `p <= kappa`, and the
//! server has won iff moreover `k >= 1`:
//!
//! ```text
//! P(m) = 1/C(N,m) * sum_{k>=1} sum_{p<=kappa} sum_{j<=tau} C(R,k) C(R-k,p) C(T,j) [x^(m-kB-j)] ((1+x)^B - 1 - x^B)^p
//! P    = max over m of P(m)
//! ```
//!
//! # How it is computed, and how exactly
//! For every `theta` in (0, 1), `P(m)` equals `Pr[win and M = m] / Pr[M = m]` where each position is corrupted independently with chance
//! `theta` and `M` counts them: given `M = m` all subsets are equally likely. Under `theta` near `m / N` the counts of full, partial and
//! untouched groups are multinomial, the sizes of the partial ones independent, and everything is a sum of products of *positive*
//! numbers of moderate size. So relative errors only add up: [`Soundness::error_log2`] bounds the sum. The maximum over `m` is found by branch and
//! bound with `P(m) <= Pr[win] / Pr[M = m]`, so no `m` is left out.

use std::{cmp::Ordering, collections::BinaryHeap};

use crate::{
    MixError,
    binomial::ln_lower_tail_bound,
    tilt::{GroupLaw, ln_success, ln_success_at_least},
};

/// The most samples of a mixed batch.
pub const MAX_SAMPLES: u64 = 1 << 22;

/// The most copies of a query.
pub const MAX_COPIES: u32 = 1024;

/// The most inconclusive groups that a plan may tolerate: beyond it the exact sum would take too long.
pub const MAX_KAPPA: u32 = 10_000;

/// Logarithms below this (base 2) are reported as this, which is an upper bound: no user tells 2^-900 from less.
const FLOOR_LOG2: f64 = -900.0;

/// The five numbers of a plan: how much is mixed and how much is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mix {
    queries: u32,
    copies: u32,
    publics: u32,
    tau: u32,
    kappa: u32,
}

impl Mix {
    /// `R = queries` groups of `B = copies`, with `T = publics` public samples, of which `tau` may be wrong, and `kappa` inconclusive groups allowed.
    ///
    /// # Errors
    /// [`MixError::OutOfRange`] if there is no query or copy, if `tau > T` or `kappa > R`, or if the batch is too large to plan exactly.
    pub fn new(queries: u32, copies: u32, publics: u32, tau: u32, kappa: u32) -> Result<Self, MixError> {
        let out = |what, range, value: u64| Err(MixError::OutOfRange { what, range, value: value.to_string() });
        if queries == 0 {
            return out("the number of queries R", "at least 1", 0);
        }
        if copies == 0 || copies > MAX_COPIES {
            return out("the number of copies B", "between 1 and 1024", u64::from(copies));
        }
        let samples = u64::from(queries) * u64::from(copies) + u64::from(publics);
        if samples > MAX_SAMPLES {
            return out("the number of samples R*B + T", "at most 2^22", samples);
        }
        if tau > publics {
            return out("tau", "at most T", u64::from(tau));
        }
        if kappa > queries {
            return out("kappa", "at most R", u64::from(kappa));
        }
        if kappa > MAX_KAPPA {
            return out("kappa", "at most 10,000", u64::from(kappa));
        }
        Ok(Self { queries, copies, publics, tau, kappa })
    }

    /// `R`, the number of queries.
    #[must_use]
    pub fn queries(&self) -> u32 {
        self.queries
    }

    /// `B`, the copies of each query.
    #[must_use]
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// `T`, the number of public samples.
    #[must_use]
    pub fn publics(&self) -> u32 {
        self.publics
    }

    /// `tau`, how many public answers may be wrong in an accepted batch.
    #[must_use]
    pub fn tau(&self) -> u32 {
        self.tau
    }

    /// `kappa`, how many groups may be inconclusive in an accepted batch.
    #[must_use]
    pub fn kappa(&self) -> u32 {
        self.kappa
    }

    /// `N = R B + T`.
    #[must_use]
    pub fn samples(&self) -> u32 {
        // Mix::new bounds the sum by 2^22.
        self.queries * self.copies + self.publics
    }

    /// Samples computed per query answered: `B + T / R`.
    #[must_use]
    pub fn overhead(&self) -> f64 {
        f64::from(self.copies) + f64::from(self.publics) / f64::from(self.queries)
    }

    /// The most groups that can be corrupted in part in a batch that the server wins: one other group is full, and a single copy has no parts.
    pub(crate) fn partial_limit(&self) -> u64 {
        if self.copies == 1 { 0 } else { u64::from(self.kappa.min(self.queries - 1)) }
    }
}

/// The server's best chance in the game, and how it gets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Soundness {
    /// `log2 P`, at most 0. Values under -900 are reported as -900.
    pub log2: f64,
    /// The number of corrupted positions that attains `P` (the least, if several do).
    pub worst_m: u32,
    /// A bound on the absolute error of `log2`.
    pub error_log2: f64,
}

impl Soundness {
    /// Whether `P <= 2^-lambda`, the error bound counted against us.
    #[must_use]
    pub fn meets(&self, lambda: f64) -> bool {
        self.log2 + self.error_log2 <= -lambda
    }
}

/// `P = max over m of P(m)`.
///
/// ```
/// use fusion_mix::soundness::{Mix, soundness};
/// // Two queries, one copy each, no public samples: corrupting everything always wins.
/// assert!(soundness(&Mix::new(2, 1, 0, 0, 0)?).log2 > -1e-9);
/// // Five copies of 1000 queries among 100 public samples.
/// let found = soundness(&Mix::new(1000, 5, 100, 0, 0)?);
/// assert!(found.meets(40.0));
/// assert_eq!(found.worst_m, 5); // one query, all of its copies
/// # Ok::<(), fusion_mix::MixError>(())
/// ```
#[must_use]
pub fn soundness(mix: &Mix) -> Soundness {
    let error_log2 = error_bound_log2(mix);
    let (ln, worst) = maximise(mix, f64::NEG_INFINITY, error_log2);
    Soundness { log2: clamp_log2(ln), worst_m: worst as u32, error_log2 }
}

/// Whether `P <= 2^-lambda`: as [`Soundness::meets`], but without finding out by how much.
pub(crate) fn is_sound(mix: &Mix, lambda: f64) -> bool {
    let error_log2 = error_bound_log2(mix);
    let allowed = (-lambda - error_log2) * std::f64::consts::LN_2;
    // A lower bound is quick, and tells most plans that are unsound.
    likely_best(mix).all(|m| ln_success_at_least(mix, m) <= allowed) && maximise(mix, allowed, error_log2).0 <= allowed
}

/// Some `m`, those first that use up the tolerance for inconclusive groups.
fn likely_best(mix: &Mix) -> impl Iterator<Item = u64> {
    let (copies, samples) = (u64::from(mix.copies()), u64::from(mix.samples()));
    let queries = f64::from(mix.queries());
    // A group is partial with chance 1 - (1 - theta)^B, if theta is small.
    let untouched = 1.0 - (mix.partial_limit() as f64 / queries).min(0.5);
    let theta = 1.0 - untouched.powf(1.0 / f64::from(mix.copies()));
    let most = ((f64::from(mix.samples()) * theta) as u64 + copies).min(samples);
    std::iter::successors(Some(most), move |&m| (m > copies).then(|| (m * 4 / 5).max(copies)))
}

/// The greatest `ln P(m)` and its least `m`, if it exceeds `floor`; otherwise `floor`. Stops at the first excess over a finite floor.
fn maximise(mix: &Mix, floor: f64, tie: f64) -> (f64, u64) {
    let least = u64::from(mix.copies());
    let mut best = (floor, least);
    // The block that promises most comes first, so that the others seldom need a look.
    let mut blocks = BinaryHeap::from([Block::new(mix, least, u64::from(mix.samples()))]);
    while let Some(Block { bound, first, last }) = blocks.pop() {
        // Ties (equal up to rounding) go to the least m, which may stand in any block that comes as close.
        if bound <= if best.0 > floor { best.0 - tie } else { floor } {
            break;
        }
        if last - first < leaf_width(mix, first, last) {
            for (m, value) in (first..).zip(ln_success(mix, first, last)) {
                let better = value > best.0 + tie || value >= best.0 - tie && m < best.1;
                if value > floor && (best.0 == floor || better) {
                    best = (value.max(best.0), m);
                }
            }
            if floor.is_finite() && best.0 > floor {
                return best;
            }
        } else {
            let middle = first + (last - first) / 2;
            blocks.push(Block::new(mix, first, middle));
            blocks.push(Block::new(mix, middle + 1, last));
        }
    }
    best
}

/// A range of `m`, ordered by what it may hold at best.
struct Block {
    /// An upper bound on `ln P(m)` in it.
    bound: f64,
    first: u64,
    last: u64,
}

impl Block {
    fn new(mix: &Mix, first: u64, last: u64) -> Self {
        Self { bound: ln_block_bound(mix, first, last), first, last }
    }
}

impl Ord for Block {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bound.total_cmp(&other.bound).then(other.first.cmp(&self.first))
    }
}

impl PartialOrd for Block {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Block {}

/// `log2 P(m)` for a server that corrupts exactly `m` positions; minus infinity where it cannot win.
#[must_use]
pub fn success_log2(mix: &Mix, m: u32) -> f64 {
    if m < mix.copies() || m > mix.samples() {
        return f64::NEG_INFINITY;
    }
    ln_success(mix, u64::from(m), u64::from(m))[0] / std::f64::consts::LN_2
}

fn clamp_log2(ln: f64) -> f64 {
    (ln / std::f64::consts::LN_2).clamp(FLOOR_LOG2, 0.0)
}

/// How far the computed `log2 P(m)` can lie from the truth.
///
/// All terms are positive, so the relative error of the sum is at most that of its worst term plus the roundings of the additions.
/// With `u = 2^-53`: each mass function is `e^y`, `|y| <= 64 N` in units where the deviances are formed to `8 u` relative (four of them per
/// term); a coefficient of the `p`-th power, made by repeated doubling, carries at most `p (B + 2)` roundings for every doubling; the sums add fewer than
/// `N + kappa + tau` more, and what is left out of them is less than `1e-13` of each.
fn error_bound_log2(mix: &Mix) -> f64 {
    let unit = f64::EPSILON / 2.0;
    let samples = f64::from(mix.samples());
    let partials = mix.partial_limit() as f64;
    let roundings = 64.0 * (samples + 64.0) + partials * (partials + 2.0).log2() * (f64::from(mix.copies()) + 2.0);
    (unit * roundings + 1e-13) / std::f64::consts::LN_2
}

/// How many `m` are evaluated under one `theta`: wide enough to share its tables, narrow enough that `M = m` stays likely.
fn leaf_width(mix: &Mix, first: u64, last: u64) -> u64 {
    let edge = first.min(u64::from(mix.samples()) - last) as f64;
    let likely = edge.sqrt() as u64;
    u64::from(mix.tau()).max(16 + 6 * likely).min(16 + 8 * likely)
}

/// An upper bound on `ln P(m)` for all `first <= m <= last`: `Pr[win] / Pr[M = m]`, the mass of `M` being least at an end of the block.
fn ln_block_bound(mix: &Mix, first: u64, last: u64) -> f64 {
    let total = u64::from(mix.samples());
    let groups = GroupLaw::new(mix, first, last);
    let few_partials = ln_lower_tail_bound(u64::from(mix.queries()), &groups.partial, mix.partial_limit());
    // Given that a group is not partial it is full with chance `full`; some group is full with at most R times that.
    let some_full = (f64::from(mix.queries()).ln() + groups.full.ln_p()).min(0.0);
    let few_publics = ln_lower_tail_bound(u64::from(mix.publics()), &groups.position, u64::from(mix.tau()));
    let least = groups.position.ln_mass(total, first).min(groups.position.ln_mass(total, last));
    (few_partials + some_full + few_publics - least).min(0.0)
}
