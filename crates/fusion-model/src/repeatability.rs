//! How much one honest run differs from another: which answers an owner can publish, and how often
//! copies of one image will disagree.
//!
//! Two runs draw their rounding and their noise independently, which decides near ties. The twin
//! runs every image twice. Over all images the difference between the two gaps (of the best logit
//! over the second) tells the noise of a gap; beside it, the gap of an image tells how likely its
//! label is to flip. So a few hundred images measure rates far below one in a few hundred.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use statrs::function::erf::erfc;

use crate::card::Flips;
use crate::eval::EvalError;
use crate::program::{Program, Weights};
use crate::twin::{TruncationCarry, Twin};

/// A label counts as decided if its gap, the mean of two runs, is so many deviations of one run.
/// The mean has a deviation of its own: another run has another label with chance at most 4e-6.
const DECIDED: f64 = 5.5;

/// No gap is known better than to half a unit, in which the argmax reads.
const LEAST_DEVIATION: f64 = 0.5;

/// A rate below this is not believed: the tails of the noise are not known so far out.
const LEAST_RATE: f64 = 1e-6;

/// Copies whose chance to agree is stated beside the rate.
const GROUP: i32 = 32;

/// What two runs of each image show.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeatability {
    /// The label of each image, in order; none where it hangs on rounding.
    pub answers: Vec<Option<u32>>,
    /// How often a copy's label is not the usual one of its image.
    pub flips: Flips,
    /// The standard deviation of a gap from run to run, in units of the argmax's window.
    pub deviation: f64,
}

/// Two runs of one image.
struct Runs {
    label: u32,
    /// Of the best logit over the second of the first run, in both.
    gaps: [f64; 2],
    same_label: bool,
}

/// Runs the twin twice on each of `images` images, in parallel; `image` makes the input tensor of
/// one, `seed` fixes the carries, `progress` is called from several threads with the number done.
///
/// # Errors
/// No image; one that cannot be read or does not fit; program and weights that do not fit.
pub fn measure<E: From<EvalError> + Send>(
    (program, weights): (&Program, &Weights),
    images: usize,
    image: &(dyn Fn(usize) -> Result<Vec<f32>, E> + Sync),
    seed: [u8; 32],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Repeatability, E> {
    let (Some(count), true) = (u32::try_from(images).ok(), images > 0) else {
        return Err(EvalError::NoImages.into());
    };
    let twin = Twin::new(program, weights).map_err(EvalError::from)?;
    let done = AtomicUsize::new(0);
    let one = |index: usize| {
        let encoded = program.encode(&image(index)?).map_err(|error| EvalError::Image { index, error })?;
        let mut rng = ChaCha20Rng::from_seed(seed);
        rng.set_stream(index as u64);
        let mut run = || {
            let mut carries = TruncationCarry::Random(&mut rng);
            let logits = twin.run(encoded.clone(), &mut carries).map_err(EvalError::from)?.logits;
            Ok::<_, EvalError>(twin.windowed_logits(&logits, &mut carries).0)
        };
        let runs = compare(&run()?, &run()?);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(runs)
    };
    let runs = (0..images).into_par_iter().map(one).collect::<Result<Vec<_>, E>>()?;
    let deviation = deviation(&runs);
    let gap = |runs: &Runs| (runs.gaps[0] + runs.gaps[1]) / 2.0;
    let decided = |runs: &Runs| (runs.same_label && gap(runs) > DECIDED * deviation).then_some(runs.label);
    let chances: Vec<f64> = runs.iter().map(|runs| normal_tail(gap(runs).abs() / deviation)).collect();
    let mean = |of: &dyn Fn(f64) -> f64| chances.iter().map(|&chance| of(chance)).sum::<f64>() / images as f64;
    let rate = mean(&|chance| chance).max(LEAST_RATE);
    let group = mean(&|chance| 1.0 - (1.0 - chance).powi(GROUP) - chance.powi(GROUP));
    Ok(Repeatability {
        answers: runs.iter().map(decided).collect(),
        flips: Flips { rate, group: group.max(rate), images: count },
        deviation,
    })
}

fn compare(first: &[i64], second: &[i64]) -> Runs {
    let best = argmax(first, None);
    // A network of one class has no second.
    let gap = |logits: &[i64], other: Option<usize>| other.map_or(f64::INFINITY, |other| (logits[best] - logits[other]) as f64);
    let other = (first.len() > 1).then(|| argmax(first, Some(best)));
    Runs { label: best as u32, gaps: [gap(first, other), gap(second, other)], same_label: argmax(second, None) == best }
}

/// The largest, the lower index on ties.
fn argmax(logits: &[i64], but: Option<usize>) -> usize {
    let candidates = (0..logits.len()).filter(|&index| Some(index) != but);
    candidates.reduce(|best, index| if logits[index] > logits[best] { index } else { best }).unwrap_or(0)
}

/// The deviation of one run's gap: of all images together, and at least a sixth of the largest
/// difference seen, should the noise have longer tails than a normal law's.
fn deviation(runs: &[Runs]) -> f64 {
    let differences = || runs.iter().map(|runs| runs.gaps[0] - runs.gaps[1]).filter(|d| d.is_finite());
    let square = differences().map(|d| d * d).sum::<f64>() / runs.len() as f64;
    let largest = differences().fold(0.0, |most: f64, d| most.max(d.abs()));
    (square.sqrt() * FRAC_1_SQRT_2).max(largest * FRAC_1_SQRT_2 / 6.0).max(LEAST_DEVIATION)
}

/// The chance that a standard normal variate exceeds `z`.
fn normal_tail(z: f64) -> f64 {
    0.5 * erfc(z / SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_model;

    #[test]
    fn gaps_are_those_of_the_first_run() {
        let runs = compare(&[1, 9, 7, 9], &[0, 4, 0, 8]);
        assert_eq!((runs.label, runs.gaps, runs.same_label), (1, [0.0, -4.0], false));
        let runs = compare(&[5], &[6]);
        assert_eq!((runs.label, runs.gaps[0], runs.same_label), (0, f64::INFINITY, true));
    }

    #[test]
    fn the_noise_is_measured_over_all_images() {
        let pair = |a: f64, b: f64| Runs { label: 0, gaps: [a, b], same_label: true };
        assert!((deviation(&[pair(9.0, 1.0), pair(1.0, 9.0)]) - 8.0 * FRAC_1_SQRT_2).abs() < 1e-12);
        // One long tail among a thousand counts.
        let mut runs: Vec<Runs> = (0..1000).map(|_| pair(20.0, 20.0)).collect();
        runs.push(pair(100.0, 0.0));
        assert!((deviation(&runs) - 100.0 * FRAC_1_SQRT_2 / 6.0).abs() < 1e-9);
        assert!((normal_tail(0.0) - 0.5).abs() < 1e-12 && (normal_tail(1.96) - 0.025).abs() < 1e-4);
    }

    #[test]
    fn a_network_is_measured_and_nothing_cannot_be() {
        let (card, private) = small_model(5);
        let pixels = card.program.tensors[card.program.input.0].shape.len();
        let image = |index: usize| Ok::<_, EvalError>((0..pixels).map(|i| ((i * 7 + index * 13) % 17) as f32 / 17.0).collect());
        let model = (&card.program, &private.weights);
        let found = measure(model, 20, &image, [1; 32], &|_| ()).unwrap();
        assert_eq!((found.answers.len(), found.flips.images), (20, 20));
        assert!((LEAST_RATE..=0.5).contains(&found.flips.rate) && found.deviation >= LEAST_DEVIATION, "{found:?}");
        assert_eq!(measure(model, 0, &image, [1; 32], &|_| ()), Err(EvalError::NoImages));
        // A decided label is what other runs give.
        let again = measure(model, 20, &image, [2; 32], &|_| ()).unwrap();
        for (one, other) in found.answers.iter().zip(&again.answers) {
            assert!(one.is_none() || other.is_none() || one == other, "{found:?} {again:?}");
        }
    }
}
