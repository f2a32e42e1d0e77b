//! Cheating that depends on positions *and* on images: the chance that it passes, by how often it
//! shows.
//!
//! A server deviates at `m` positions of its choice, in a way that changes the answer on a fraction
//! `phi` of the images; all copies of an image fire alike. At `phi = 1` this is the game of
//! [`crate::soundness`], at `m = N` it is a server that computes another function. In between it
//! can do better than either: a deviation that fires seldom leaves most public samples right and
//! most copies consistent, and may take many more positions.
//!
//! # The chance
//! With `x` marking corrupted positions, one group that is not inconclusive is counted by
//! `A(x) = phi + (1 - phi) (1 + x)^B` if its answer is right, and by `W(x) = phi x^B` if it is
//! wrong; one that is inconclusive by `I(x) = phi ((1 + x)^B - 1 - x^B)`. So
//!
//! ```text
//! P(m) = [x^m] G(x) H(x) / C(N,m)
//! G    = sum over p <= max_inconclusive of C(R,p) I^p ((A + W)^(R-p) - A^(R-p))
//! H    = sum over t <= tau of C(T,t) (phi x)^t (1 + (1 - phi) x)^(T-t)
//! ```
//! No coefficient of `G H` is negative. So `[x^m] G H <= G(x) H(x) / x^m` for every `x > 0`, by
//! which branch and bound finds the maximum over `m`; the coefficient itself is Cauchy's integral
//! over a circle through the saddle point, as a finite sum whose aliases are bounded in the same
//! way (Flajolet and Sedgewick, Analytic Combinatorics, 2009, section VIII.3).

use std::collections::BinaryHeap;
use std::f64::consts::{LN_2, TAU};
use std::ops::Range;

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::MixError;
use crate::binomial::{ln_add, ln_choose};
use crate::branch::Block;
use crate::logarithms::{exp_m1, least_of_convex, ln_1p, ln_1p_exp, ln_add_complex, ln_exp_m1, times};
use crate::mix::Mix;
use crate::soundness::{FLOOR_LOG2, Soundness, soundness};

/// The fractions of images that reports and plans show.
pub const FRACTIONS: [f64; 5] = [1.0, 0.5, 0.2, 0.1, 0.01];

/// The error allowed for in [`Firing::log2`]: a thousand times what was found against enumeration
/// and exact rationals, for up to some thousand samples; nothing is proved for larger batches.
pub const FIRING_ERROR: f64 = 1e-6;

/// The best that a server can do whose deviation shows on a fraction of the images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// The fraction of images on which a deviation changes the answer.
    pub phi: f64,
    /// `log2` of the largest chance over all numbers of corrupted positions that the batch is
    /// accepted with a wrong answer, to [`FIRING_ERROR`].
    pub log2: f64,
    /// The number of corrupted positions that attains it.
    pub worst_m: u32,
    /// The mean number of wrong answers if that happens.
    pub expected_wrong: f64,
}

/// The server's best chance if its deviation fires on a fraction `phi` of the images.
///
/// ```
/// use fusion_mix::{firing::best_firing, mix::Mix};
/// // Sound against deviations that always show, and far weaker against those that seldom do.
/// let mix = Mix::new(8, 8, 100, 0, 0)?;
/// assert!(best_firing(&mix, 1.0)?.log2 < -40.0);
/// assert!(best_firing(&mix, 0.2)?.log2 > -24.1);
/// # Ok::<(), fusion_mix::MixError>(())
/// ```
///
/// # Errors
/// [`MixError::OutOfRange`] unless `0 < phi <= 1`.
pub fn best_firing(mix: &Mix, phi: f64) -> Result<Firing, MixError> {
    let game = Game::new(mix, phi)?;
    if phi == 1.0 {
        // Its own arithmetic has a proven bound on its error.
        let Soundness { log2, worst_m, .. } = soundness(mix);
        return Ok(Firing { phi, log2, worst_m, expected_wrong: game.expected_wrong(u64::from(worst_m)) });
    }
    let (ln, worst) = game.maximise(f64::NEG_INFINITY);
    let (log2, worst) = ((ln / LN_2).clamp(FLOOR_LOG2, 0.0), worst as u32);
    Ok(Firing { phi, log2, worst_m: worst, expected_wrong: game.expected_wrong(u64::from(worst)) })
}

/// [`best_firing`] for each of [`FRACTIONS`].
#[must_use]
pub fn by_firing(mix: &Mix) -> Vec<Firing> {
    FRACTIONS.iter().filter_map(|&phi| best_firing(mix, phi).ok()).collect()
}

/// The fractions from `least` on at which a plan is tested that must withstand all of them: a
/// factor of two apart.
fn fractions_from(least: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(least), |phi| (2.0 * phi < 1.0).then_some(2.0 * phi))
}

/// `log2` of the server's best chance at fractions from `least` on, which is not always the largest
/// at the least of them.
///
/// # Errors
/// [`MixError::OutOfRange`] unless `0 < least <= 1`.
pub(crate) fn worst_from(mix: &Mix, least: f64) -> Result<f64, MixError> {
    fractions_from(least).try_fold(soundness(mix).log2, |worst, phi| Ok(worst.max(best_firing(mix, phi)?.log2)))
}

/// Whether [`worst_from`] is at most `2^-lambda`, found out sooner.
pub(crate) fn is_sound_from(mix: &Mix, least: f64, lambda: f64) -> bool {
    let allowed = (-lambda - FIRING_ERROR) * LN_2;
    fractions_from(least).all(|phi| Game::new(mix, phi).is_ok_and(|game| game.maximise(allowed).0 <= allowed))
}

/// A server that wins but for less than this chance has no better choice that is worth finding.
const CERTAIN: f64 = 1e-8;

/// With `ln(W / A)` below this, `(A + W)^n - A^n` is `n W A^(n-1)` to the last digit, for every `n`
/// of a batch.
const FIRST_TERM: f64 = -50.0;

/// What is left of a sum's terms outside its window, at most.
const ALIASES: f64 = 1e-12;

/// The game at one `phi`, with what does not depend on `m`.
struct Game {
    phi: f64,
    mix: Mix,
    /// `ln C(R, p)` for the numbers of inconclusive groups with which the server can win.
    ln_groups: Vec<f64>,
    /// `ln C(T, t) + t ln phi` for the tolerated numbers of wrong public answers.
    ln_publics: Vec<f64>,
    /// `C(B, s)` for `0 < s < B`, divided by the largest.
    sizes: Vec<f64>,
    /// The logarithm of the largest.
    ln_size: f64,
}

/// The generating functions at one point, as logarithms.
struct Point {
    /// Of the point.
    ln_x: Complex64,
    ln_right: Complex64,
    ln_wrong: Complex64,
    ln_inconclusive: Complex64,
    /// Of `1 + (1 - phi) x`.
    ln_public: Complex64,
}

impl Game {
    fn new(mix: &Mix, phi: f64) -> Result<Self, MixError> {
        if !(phi > 0.0 && phi <= 1.0) {
            return Err(MixError::OutOfRange {
                what: "the fraction of images",
                range: "more than 0 and at most 1",
                value: phi.to_string(),
            });
        }
        let (groups, publics, copies) = (u64::from(mix.queries()), u64::from(mix.publics()), u64::from(mix.copies()));
        let ln_size = ln_choose(copies, copies / 2);
        Ok(Self {
            phi,
            mix: *mix,
            ln_groups: (0..=mix.partial_limit()).map(|p| ln_choose(groups, p)).collect(),
            ln_publics: (0..=u64::from(mix.tau())).map(|t| ln_choose(publics, t) + t as f64 * phi.ln()).collect(),
            sizes: (1..copies).map(|s| (ln_choose(copies, s) - ln_size).exp()).collect(),
            ln_size,
        })
    }

    fn at(&self, ln_x: Complex64) -> Point {
        let copies = f64::from(self.mix.copies());
        let ln_all = ln_add_complex(Complex64::ZERO, ln_x) * copies;
        // The shorter of x and 1/x, so that no power overflows; the sizes are symmetric.
        let (step, shift) = if ln_x.re <= 0.0 { (ln_x.exp(), Complex64::ZERO) } else { ((-ln_x).exp(), ln_x * copies) };
        let partial = self.sizes.iter().fold(Complex64::ZERO, |sum, size| (sum + size) * step);
        let rest = (1.0 - self.phi).ln();
        Point {
            ln_x,
            ln_right: if self.phi == 1.0 { Complex64::ZERO } else { ln_add_complex(self.phi.ln().into(), rest + ln_all) },
            ln_wrong: self.phi.ln() + ln_x * copies,
            ln_inconclusive: self.phi.ln() + self.ln_size + partial.ln() + shift,
            ln_public: if self.phi == 1.0 { Complex64::ZERO } else { ln_add_complex(Complex64::ZERO, rest + ln_x) },
        }
    }

    /// `ln (G H)` at `e^ln_x`, or of the mean number of wrong answers in it.
    fn ln_real(&self, ln_x: f64, count: Count) -> f64 {
        let point = self.at(ln_x.into());
        let terms = (0..self.ln_groups.len()).map(|p| self.ln_real_group(&point, p, count));
        terms.fold(f64::NEG_INFINITY, ln_add) + self.ln_real_publics(&point)
    }

    /// The term of `p` inconclusive groups at a real point.
    fn ln_real_group(&self, point: &Point, p: usize, count: Count) -> f64 {
        let (right, wrong) = (point.ln_right.re, point.ln_wrong.re);
        let (ratio, rest) = (wrong - right, f64::from(self.mix.queries()) - p as f64);
        let wins = match count {
            Count::Wins if ratio < FIRST_TERM => rest * right + rest.ln() + ratio,
            Count::Wins => rest * right + ln_exp_m1(rest * ln_1p_exp(ratio)),
            Count::Wrong => rest.ln() + wrong + (rest - 1.0) * (right + ln_1p_exp(ratio)),
        };
        self.ln_groups[p] + times(p, point.ln_inconclusive.re) + wins
    }

    /// `ln H` at a real point.
    fn ln_real_publics(&self, point: &Point) -> f64 {
        let terms = self
            .ln_publics
            .iter()
            .enumerate()
            .map(|(t, ln_ways)| ln_ways + times(t, point.ln_x.re) + (f64::from(self.mix.publics()) - t as f64) * point.ln_public.re);
        terms.fold(f64::NEG_INFINITY, ln_add)
    }

    /// The numbers of inconclusive groups whose terms count at a saddle point: the others together
    /// are less than `1e-14` of the sum there, and nowhere on the circle are they larger.
    fn weighty(&self, ln_x: f64, count: Count, ln_value: f64) -> Range<usize> {
        let point = self.at(ln_x.into());
        let least = ln_value - self.ln_real_publics(&point) - (1e14 * self.ln_groups.len() as f64).ln();
        let counts = |p: &usize| self.ln_real_group(&point, *p, count) >= least;
        let first = (0..self.ln_groups.len()).find(counts).unwrap_or(0);
        let last = (first..self.ln_groups.len()).rev().find(counts).unwrap_or(first);
        first..last + 1
    }

    /// `G H e^-shift` at a complex point, of the terms of `weighty` numbers of inconclusive groups.
    fn scaled(&self, ln_x: Complex64, count: Count, shift: f64, weighty: &Range<usize>) -> Complex64 {
        let point = self.at(ln_x);
        let ln_either = ln_add_complex(point.ln_right, point.ln_wrong);
        let ln_ratio = point.ln_wrong - point.ln_right;
        let ln_factor = ln_1p(ln_ratio.exp());
        let ln_publics: Vec<Complex64> = self
            .ln_publics
            .iter()
            .enumerate()
            .map(|(t, ln_ways)| ln_ways + times(t, point.ln_x) + point.ln_public * (f64::from(self.mix.publics()) - t as f64))
            .collect();
        // Either factor alone may be beyond what a double holds.
        let ln_most = ln_publics.iter().fold(f64::NEG_INFINITY, |most, ln| most.max(ln.re));
        let publics: Complex64 = ln_publics.iter().map(|ln| (ln - ln_most).exp()).sum();
        let groups = weighty.clone().map(|p| {
            let (ln_ways, rest) = (self.ln_groups[p], f64::from(self.mix.queries()) - p as f64);
            let weight = times(p, point.ln_inconclusive) + (ln_ways + ln_most - shift);
            match count {
                Count::Wrong => (weight + rest.ln() + point.ln_wrong + ln_either * (rest - 1.0)).exp(),
                Count::Wins if ln_ratio.re < FIRST_TERM => (weight + point.ln_right * rest + rest.ln() + ln_ratio).exp(),
                // Where the two powers are close, their difference loses no digits this way.
                Count::Wins if (ln_factor * rest).norm() < 1.0 => (weight + point.ln_right * rest).exp() * exp_m1(ln_factor * rest),
                Count::Wins => (weight + ln_either * rest).exp() - (weight + point.ln_right * rest).exp(),
            }
        });
        groups.sum::<Complex64>() * publics
    }

    /// The least of `e^ln_x` to the power `m` times `C(N, m)` at the ends of a block, in logarithm.
    fn ln_least(&self, ln_x: f64, ends: [(u64, f64); 2]) -> f64 {
        ends.map(|(m, ln_ways)| m as f64 * ln_x + ln_ways).into_iter().fold(f64::INFINITY, f64::min)
    }

    /// The tightest bound on `ln P(m)` over a block that one radius gives, and that radius.
    fn ln_bound(&self, first: u64, last: u64) -> (f64, f64) {
        let samples = u64::from(self.mix.samples());
        let ends = [first, last].map(|m| (m, ln_choose(samples, m)));
        // Convex in ln_x: a maximum of two convex functions.
        let bound = |ln_x: f64| self.ln_real(ln_x, Count::Wins) - self.ln_least(ln_x, ends);
        let ln_x = least_of_convex(bound, -LN_X_LIMIT, LN_X_LIMIT);
        (bound(ln_x), ln_x)
    }

    /// The greatest `ln P(m)` and its `m`, if it exceeds `floor`; otherwise `floor`. Stops at the
    /// first excess over a finite floor.
    fn maximise(&self, floor: f64) -> (f64, u64) {
        let (least, most) = (u64::from(self.mix.copies()), u64::from(self.mix.samples()));
        let block = |first, last| Block { bound: self.ln_bound(first, last).0, first, last };
        // Whoever computes another function corrupts everything, and rare deviations come near it.
        let everywhere = (self.ln_coefficient(most, Count::Wins)).min(0.0);
        let mut best = if everywhere > floor { (everywhere, most) } else { (floor, least) };
        let mut blocks = BinaryHeap::from([block(least, most)]);
        while let Some(Block { bound, first, last }) = blocks.pop() {
            if bound <= best.0 || best.0 > -CERTAIN || floor.is_finite() && best.0 > floor {
                break;
            }
            let middle = first + (last - first) / 2;
            let saddle = Saddle::of(self, middle, Count::Wins);
            if (last - first) as f64 <= saddle.reach() {
                let circle = Circle::through(self, saddle);
                for m in first..=last {
                    let ln = circle.ln_coefficient(m).unwrap_or_else(|| self.ln_coefficient(m, Count::Wins));
                    let value = (ln - ln_choose(most, m)).min(0.0);
                    if value > best.0 {
                        best = (value, m);
                    }
                }
            } else {
                blocks.push(block(first, middle));
                blocks.push(block(middle + 1, last));
            }
        }
        best
    }

    /// The mean number of wrong answers in an accepted batch that has some, with `m` corrupted.
    fn expected_wrong(&self, m: u64) -> f64 {
        (self.ln_coefficient(m, Count::Wrong) - self.ln_coefficient(m, Count::Wins)).exp()
    }

    /// The logarithm of coefficient `m`; minus infinity if it is none of the terms.
    fn ln_coefficient(&self, m: u64, count: Count) -> f64 {
        Circle::through(self, Saddle::of(self, m, count)).ln_coefficient(m).unwrap_or(f64::NEG_INFINITY)
    }
}

/// A coefficient is read from a circle if it is so much of all there, in units of what it would be
/// in the middle.
const LEAST_PART: f64 = 1e-3;

/// What a generating function counts.
#[derive(Clone, Copy)]
enum Count {
    /// Batches that the server wins.
    Wins,
    /// Wrong answers in them.
    Wrong,
}

/// Where on the real line the terms around coefficient `m` are the largest.
struct Saddle {
    m: u64,
    count: Count,
    ln_x: f64,
    /// The logarithm of the generating function there.
    ln_value: f64,
    /// Of the number of corrupted positions around it.
    deviation: f64,
}

impl Saddle {
    fn of(game: &Game, m: u64, count: Count) -> Self {
        let ln_value = |ln_x: f64| game.ln_real(ln_x, count);
        let ln_x = least_of_convex(|ln_x| ln_value(ln_x) - m as f64 * ln_x, -LN_X_LIMIT, LN_X_LIMIT);
        // The variance is the second derivative.
        let (step, here) = (1e-2, ln_value(ln_x));
        let variance = (ln_value(ln_x + step) + ln_value(ln_x - step) - 2.0 * here) / (step * step);
        Self { m, count, ln_x, ln_value: here, deviation: variance.max(0.0).sqrt() + 1.0 }
    }

    /// How far apart coefficients may lie that are read from one circle: farther out they are too
    /// small beside the one in the middle.
    fn reach(&self) -> f64 {
        2.0 * self.deviation
    }
}

/// A generating function on a circle around zero, from which its coefficients near one `m` follow.
struct Circle {
    saddle: Saddle,
    /// On all of the circle.
    points: u64,
    /// On its upper half, divided by the value on the real line.
    values: Vec<Complex64>,
}

impl Circle {
    fn through(game: &Game, saddle: Saddle) -> Self {
        let samples = u64::from(game.mix.samples());
        let Saddle { m, count, ln_x, ln_value, deviation } = saddle;
        let mut points = (16.0 * deviation) as u64 + 64;
        // A coefficient that lies `points` away is read along with m: by Markov's inequality for
        // e^(s M) it is small, or the circle has so many points that there is none.
        while points <= samples {
            let away = points as f64 - saddle.reach();
            let slope = (away / (deviation * deviation)).min(1.0);
            let beyond = |s: f64| (game.ln_real(ln_x + s, count) - ln_value - s * m as f64 - s.abs() * away).exp();
            if beyond(slope) + beyond(-slope) < ALIASES / deviation {
                break;
            }
            points *= 2;
        }
        let points = points.min(samples + 1);
        let angle = TAU / points as f64;
        let weighty = game.weighty(ln_x, count, ln_value);
        let values = (0..=points / 2).map(|k| game.scaled(Complex64::new(ln_x, angle * k as f64), count, ln_value, &weighty)).collect();
        Self { saddle, points, values }
    }

    /// The logarithm of coefficient `m`, unless it is too small beside the others to be read from
    /// this circle. The lower half of the circle mirrors the upper one.
    fn ln_coefficient(&self, m: u64) -> Option<f64> {
        let term = |(k, value): (u64, &Complex64)| {
            let angle = TAU * (m * k % self.points) as f64 / self.points as f64;
            let twice = if k == 0 || 2 * k == self.points { 1.0 } else { 2.0 };
            twice * (value * Complex64::from_polar(1.0, -angle)).re
        };
        let sum: f64 = (0u64..).zip(&self.values).map(term).sum();
        let part = sum / self.points as f64;
        let seen = part > LEAST_PART / self.saddle.deviation;
        seen.then(|| part.ln() + self.saddle.ln_value - m as f64 * self.saddle.ln_x)
    }
}

/// Saddle points lie between `e^-40` and `e^40`: beyond, all positions or none are corrupted.
const LN_X_LIMIT: f64 = 40.0;
