//! Soundness of a mixed batch: the chance that position-dependent cheating passes, in the worst
//! case over how much is corrupted.
//!
//! # The game
//! `N = R B + T` samples lie in an order that is uniform and unknown to the server, whose view does
//! not depend on it. So a server that treats positions differently can choose only *how many*
//! positions it corrupts. With `m` of them corrupted, let `k` groups be corrupted in full, `p` in
//! part, and `j` public samples. The client accepts iff `j <= tau` and `p <= max_inconclusive`. The
//! server wins iff the client accepts and `k >= 1`:
//!
//! ```text
//! P(m) = 1/C(N,m) * sum over k >= 1, p <= max_inconclusive, j <= tau of
//!            C(R,k) C(R-k,p) C(T,j) [x^(m-kB-j)] ((1+x)^B - 1 - x^B)^p
//! P    = max over m of P(m)
//! ```
//!
//! # How it is computed, and how exactly
//! For every `theta` in (0, 1), `P(m)` equals `Pr[win and M = m] / Pr[M = m]` where each position
//! is corrupted independently with chance `theta` and `M` counts them: given `M = m` all subsets
//! are equally likely. Under `theta` near `m / N` the counts of full, partial and untouched groups
//! are multinomial, the sizes of the partial ones independent, and everything is a sum of products
//! of *positive* numbers of moderate size. So relative errors only add up:
//! [`Soundness::error_log2`] bounds the sum. The maximum over `m` is found by branch and bound with
//! `P(m) <= Pr[win] / Pr[M = m]`, so no `m` is left out.

use std::collections::BinaryHeap;

use crate::{
    binomial::ln_lower_tail_bound,
    branch::Block,
    exponential_tilting::{GroupLaw, ln_success, ln_success_at_least},
    mix::Mix,
};

/// Logarithms (base 2) below this are reported as this. It is an upper bound, and no user needs to
/// tell 2^-900 from less.
pub(crate) const FLOOR_LOG2: f64 = -900.0;

/// The server's best chance in the game, and the choice that gives it.
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
/// use fusion_mix::{mix::Mix, soundness::soundness};
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

/// Whether `P <= 2^-lambda`: as [`Soundness::meets`], but quicker, for `P` itself is not computed.
pub(crate) fn is_sound(mix: &Mix, lambda: f64) -> bool {
    let error_log2 = error_bound_log2(mix);
    let allowed = (-lambda - error_log2) * std::f64::consts::LN_2;
    // A lower bound is quick, and tells most plans that are unsound.
    likely_best(mix).all(|m| ln_success_at_least(mix, m) <= allowed) && maximise(mix, allowed, error_log2).0 <= allowed
}

/// Some `m` near which the maximum often lies. The first are those that use up the tolerance for
/// inconclusive groups.
fn likely_best(mix: &Mix) -> impl Iterator<Item = u64> {
    let (copies, samples) = (u64::from(mix.copies()), u64::from(mix.samples()));
    let queries = f64::from(mix.queries());
    // A group is partial with chance 1 - (1 - theta)^B, if theta is small.
    let untouched = 1.0 - (mix.partial_limit() as f64 / queries).min(0.5);
    let theta = 1.0 - untouched.powf(1.0 / f64::from(mix.copies()));
    let most = ((f64::from(mix.samples()) * theta) as u64 + copies).min(samples);
    std::iter::successors(Some(most), move |&m| (m > copies).then(|| (m * 4 / 5).max(copies)))
}

/// The greatest `ln P(m)` and its least `m`, if it exceeds `floor`; otherwise `floor`. Stops at the
/// first excess over a finite floor.
fn maximise(mix: &Mix, floor: f64, tie: f64) -> (f64, u64) {
    let least = u64::from(mix.copies());
    let block = |first, last| Block { bound: ln_block_bound(mix, first, last), first, last };
    let mut best = (floor, least);
    // The block with the largest bound comes first, so that most others need not be evaluated.
    let mut blocks = BinaryHeap::from([block(least, u64::from(mix.samples()))]);
    while let Some(Block { bound, first, last }) = blocks.pop() {
        // Ties (equal up to rounding) go to the least m, which may stand in any block that comes as
        // close.
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
            blocks.push(block(first, middle));
            blocks.push(block(middle + 1, last));
        }
    }
    best
}

/// `log2 P(m)` for a server that corrupts exactly `m` positions; minus infinity where it cannot
/// win.
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
/// All terms are positive, so the relative error of the sum is at most that of its worst term plus
/// the roundings of the additions. With `u = 2^-53`: each mass function is `e^y`, `|y| <= 64 N` in
/// units where the deviances are formed to `8 u` relative (four of them per term); a coefficient of
/// the `p`-th power, made by repeated doubling, carries at most `p (B + 2)` roundings for every
/// doubling; the sums add fewer than `N + max_inconclusive + tau` more, and what is left out of
/// them is less than `1e-13` of each.
fn error_bound_log2(mix: &Mix) -> f64 {
    let unit = f64::EPSILON / 2.0;
    let samples = f64::from(mix.samples());
    let partials = mix.partial_limit() as f64;
    let roundings = 64.0 * (samples + 64.0) + partials * (partials + 2.0).log2() * (f64::from(mix.copies()) + 2.0);
    (unit * roundings + 1e-13) / std::f64::consts::LN_2
}

/// How many `m` are evaluated under one `theta`: wide enough to share its tables, narrow enough
/// that `M = m` stays likely.
fn leaf_width(mix: &Mix, first: u64, last: u64) -> u64 {
    let edge = first.min(u64::from(mix.samples()) - last) as f64;
    let likely = edge.sqrt() as u64;
    u64::from(mix.tau()).max(16 + 6 * likely).min(16 + 8 * likely)
}

/// An upper bound on `ln P(m)` for all `first <= m <= last`: `Pr[win] / Pr[M = m]`, the mass of `M`
/// being least at an end of the block.
fn ln_block_bound(mix: &Mix, first: u64, last: u64) -> f64 {
    let total = u64::from(mix.samples());
    let groups = GroupLaw::new(mix, first, last);
    let few_partials = ln_lower_tail_bound(u64::from(mix.queries()), &groups.partial, mix.partial_limit());
    // Given that a group is not partial it is full with chance `full`; some group is full with at
    // most R times that.
    let some_full = (f64::from(mix.queries()).ln() + groups.full.ln_p()).min(0.0);
    let few_publics = ln_lower_tail_bound(u64::from(mix.publics()), &groups.position, u64::from(mix.tau()));
    let least = groups.position.ln_mass(total, first).min(groups.position.ln_mass(total, last));
    (few_partials + some_full + few_publics - least).min(0.0)
}
