//! Does a layer's noise have the planned size? Nobody sees it at run time, so the server plays both
//! parties before it serves.

use fusion_ring::channel::memory_pair;
use fusion_ring::secret::Wiped;
use rand_core::CryptoRng;

use super::ServerLayer;
use super::lane::{BlockProduct, Memory, ServerLane};
use crate::layer::Input;
use crate::precision::TAIL;
use crate::{ClientLane, HintSource, RlweError};

/// Most samples of a test.
const MOST_SAMPLES: usize = 64;
/// Measured over planned deviation that a healthy row stays within, sampling errors apart.
const HEALTHY: std::ops::RangeInclusive<f64> = 0.8..=1.1;
/// Deviations of the sampling error that are allowed on top.
const SAMPLING: f64 = 6.0;

/// What a self-test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelfTest {
    /// Measured over planned standard deviation of the noise, over all outputs tested; each is
    /// measured against the plan for the norm of its own row of weights.
    pub ratio: f64,
    /// Words that were measured.
    pub words: usize,
}

impl ServerLayer {
    /// Plays both parties of this layer on random words and compares the noise of `outputs` with
    /// the plan. It notices a hint of other weights, one changed weight and a changed word of the
    /// hint, in the outputs that it is given.
    ///
    /// # Errors
    /// [`RlweError::SelfTest`] for the first output that does not have its planned noise;
    /// [`RlweError::HintSize`], [`RlweError::HintRead`].
    pub fn self_test(&self, hint: &dyn HintSource, outputs: &[usize], rng: &mut impl CryptoRng) -> Result<SelfTest, RlweError> {
        let layer = &self.layer;
        let samples = (2..=MOST_SAMPLES).take_while(|&samples| layer.layout().blocks(samples) == 1).last().unwrap_or(1);
        let mut random = |len: usize| Wiped::<u32>::filled(len, (0..len).map(|_| rng.next_u32()));
        let lengths = layer.layout().terms().iter().map(|term| term.input.len() * samples);
        let words: Vec<[Wiped<u32>; 2]> = lengths.map(|len| [random(len), random(len)]).collect();
        let inputs = |party: usize| -> Vec<Input<'_>> {
            words.iter().map(|pair| Input { words: &pair[party], ring: layer.precision().ring_bits() }).collect()
        };

        let (mut to_server, mut to_client) = memory_pair();
        let mut client = ClientLane::new(layer.seed(), rng);
        let mut is_wanted = vec![false; layer.outputs()];
        outputs.iter().for_each(|&output| is_wanted[output] = true);
        let wanted = |output: usize| is_wanted[output];
        // A channel holds less than what large layers send: both parties run at once.
        let theirs = std::thread::scope(|scope| {
            let of_server = inputs(1);
            let server = scope.spawn(move || ServerLane::new().multiply_some(self, &of_server, wanted, samples, &mut to_client));
            client.encrypt(layer, &inputs(0), samples, &mut to_server)?;
            server.join().map_err(|_| RlweError::Misuse("the server of a self-test panicked"))?
        })?;
        let mine = client.share_of(layer, hint, outputs.iter().copied(), samples)?;
        let clear = self.clear_product(&words, wanted, samples);

        let area = samples * layer.layout().output().area();
        // Outputs that a kernel makes from one ciphertext share its error: fewer are independent.
        let taps = layer.layout().terms().iter().map(|term| term.kernel.0 * term.kernel.1).max().unwrap_or(1);
        let slack = SAMPLING / (2.0 * (area as f64 / taps as f64).max(1.0)).sqrt();
        let mut sum = 0.0;
        for (mine, &output) in mine.chunks_exact(area).zip(outputs) {
            let row = output * area..(output + 1) * area;
            let words = mine.iter().zip(&theirs[row.clone()]).zip(&clear[row]);
            let bias = self.biases[output];
            let noise = words.map(|((a, b), y)| a.wrapping_add(*b).wrapping_sub(y.wrapping_add(bias)) as i32);
            let planned = layer.precision().noise(self.norms[output]).variance();
            let (mut squares, mut largest) = (0.0, 0f64);
            for v in noise {
                squares += f64::from(v).powi(2);
                largest = largest.max(f64::from(v).abs());
            }
            let ratio = (squares / area as f64 / planned).sqrt();
            if ratio < HEALTHY.start() - slack || ratio > HEALTHY.end() + slack || largest > TAIL * planned.sqrt() {
                return Err(RlweError::SelfTest { output, ratio });
            }
            sum += ratio * ratio;
        }
        Ok(SelfTest { ratio: (sum / outputs.len().max(1) as f64).sqrt(), words: outputs.len() * area })
    }

    /// The product of the sums of both parties' `words`, without any encryption.
    fn clear_product(&self, words: &[[Wiped<u32>; 2]], wanted: impl Fn(usize) -> bool + Copy, samples: usize) -> Wiped<u32> {
        let layer = &self.layer;
        let sums: Vec<Wiped<u32>> =
            words.iter().map(|[a, b]| Wiped::filled(a.len(), a.iter().zip(b.iter()).map(|(a, b)| a.wrapping_add(*b)))).collect();
        let blocks = layer.layout().cut(samples);
        let area = samples * layer.layout().output().area();
        let mut product = BlockProduct::new(self, &blocks, Memory::default());
        let mut out = Wiped::new(layer.outputs() * area);
        let mut row = Wiped::default();
        for block in &blocks {
            for (phase, cells) in block.cells.iter().enumerate() {
                let term = layer.layout().phases[phase].term;
                let size = layer.layout().terms()[term].input.area() * samples;
                for channel in 0..layer.channels(phase) {
                    cells.gather(&sums[term][channel * size..(channel + 1) * size], 0, &mut row);
                    product.place(phase, channel, cells, &row);
                }
            }
            product.write(None, block, wanted, area, &mut out);
        }
        out
    }
}
