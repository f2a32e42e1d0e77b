//! The client's side: encryption of its words, and its share of the product from the hint.

use fusion_ring::bits::pack::{SLACK, pack_into, unpack_into};
use fusion_ring::channel::Channel;
use fusion_ring::poly::fft::{DEGREE, Product, Small, Wide};
use fusion_ring::poly::words;
use fusion_ring::secret::Wiped;
use fusion_ring::symmetric::prg::AesPrg;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::hint::HintSource;
use crate::layer::{Input, Layer};
use crate::public::{PublicPolynomial, PublicSeed};
use crate::{RlweError, sample};

/// The client's state of one lane. Every block of every layer has a secret of its own.
///
/// A secret must not live longer than its layer: this party's words of the result are -h_j s, a
/// function of s that a malicious server chose with its hint. They come back, through protocols
/// that such a server can make do nothing, as words of the next layer, and an encryption of
/// functions of s under s itself has no security (`fusion-nn` has the attack as a test). Nor may a
/// secret meet a public polynomial twice; [`ClientLane::encrypt`] therefore takes every layer at
/// most once per lane. A lane that is tried again after a failure is another `ClientLane`.
pub struct ClientLane {
    mask: Wide,
    /// The secrets of the blocks of the layer encrypted last.
    secrets: Vec<Small>,
    /// That layer.
    layer: Option<u32>,
    /// Memory for transforms of public polynomials, reused from layer to layer.
    transforms: Vec<Wide>,
    used: std::collections::BTreeSet<u32>,
    prg: AesPrg,
}

impl ClientLane {
    /// A lane of the model with the public `seed`.
    #[must_use]
    pub fn new(seed: PublicSeed, rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0u8; 16]);
        rng.fill_bytes(&mut *key);
        Self {
            mask: Wide::new(&seed.polynomial(PublicPolynomial::Mask)),
            secrets: Vec::new(),
            layer: None,
            transforms: Vec::new(),
            used: std::collections::BTreeSet::new(),
            prg: AesPrg::new(*key),
        }
    }

    /// Encrypts this party's words of a layer's inputs, one tensor per term, and sends them. That
    /// is all that this step sends or receives: [`ClientLane::share`] needs nothing from the
    /// server.
    ///
    /// # Errors
    /// [`RlweError::Misuse`] for tensors of the wrong size or ring, or a layer that this lane has
    /// already encrypted; [`RlweError::Channel`].
    pub fn encrypt(&mut self, layer: &Layer, inputs: &[Input<'_>], samples: usize, channel: &mut dyn Channel) -> Result<(), RlweError> {
        layer.check_inputs(inputs, samples)?;
        if !self.used.insert(layer.index()) {
            return Err(RlweError::Misuse("a lane encrypts every layer once: its secrets must not meet a polynomial twice"));
        }
        self.secrets.clear();
        self.layer = Some(layer.index());
        let mut transforms = std::mem::take(&mut self.transforms);
        let mut row = EncryptedRow::new(layer);
        let blocks = layer.layout().cut(samples);
        // A single block uses every transform once: one buffer is enough.
        let keep = blocks.len() > 1 && layer.layout().rows() <= MOST_KEPT;
        for (index, block) in blocks.iter().enumerate() {
            self.send_key(layer, channel)?;
            let mut next = 0;
            for (phase, cells) in block.cells.iter().enumerate() {
                let term = layer.layout().phases[phase].term;
                let size = layer.layout().terms()[term].input.area() * samples;
                let input = inputs[term];
                let shift = layer.shift(&input);
                for number in 0..layer.channels(phase) {
                    let slot = if keep { next } else { 0 };
                    if slot == transforms.len() {
                        transforms.push(Wide::default());
                    }
                    if index == 0 || !keep {
                        layer.row_polynomial(phase, number, &mut row.public);
                        transforms[slot].set(&row.public);
                    }
                    row.product.set(&transforms[slot], &self.secrets[index]);
                    let words = &input.words[number * size..(number + 1) * size];
                    cells.gather(words, shift, &mut row.own);
                    channel.send(row.finish(cells, &mut self.prg))?;
                    next += 1;
                }
            }
        }
        self.transforms = transforms;
        channel.flush()?;
        Ok(())
    }

    /// Draws the secret of the next block and sends its key k = p s + e', rounded.
    fn send_key(&mut self, layer: &Layer, channel: &mut dyn Channel) -> Result<(), RlweError> {
        let secret = Small::new(&sample::ternary(&mut self.prg));
        let mut product = Product::default();
        product.set(&self.mask, &secret);
        let mut errors = Wiped::<i8>::new(DEGREE);
        sample::errors(&mut self.prg, &mut errors);
        let mut words = Wiped::<u32>::new(DEGREE);
        product.words(0, &mut words);
        words::add_small(&mut words, &errors);
        let bits = layer.precision().key_bits();
        words::round_to_top(&mut words, bits);
        let mut bytes = Wiped::with_capacity(layer.key_bytes() + SLACK);
        pack_into(&mut bytes, &words, bits);
        channel.send(&bytes)?;
        self.secrets.push(secret);
        Ok(())
    }

    /// The secret of a block, for a test that uses what a client knows.
    #[cfg(test)]
    pub(crate) fn secret(&self, block: usize) -> &Small {
        &self.secrets[block]
    }

    /// This party's words of the product, `[out channel][sample][row][column]`: -h_j s at the
    /// output positions. The server's words and these add up to 2^(32 - l) times the product, plus
    /// noise. Local: the words depend on the hint and on this lane's secrets alone.
    ///
    /// # Errors
    /// [`RlweError::HintSize`] for the hint of another layer, [`RlweError::HintRead`] if it cannot
    /// be read, [`RlweError::Misuse`] unless `layer` is the one encrypted last.
    pub fn share(&mut self, layer: &Layer, hint: &dyn HintSource, samples: usize) -> Result<Wiped<u32>, RlweError> {
        self.share_of(layer, hint, 0..layer.outputs(), samples)
    }

    /// As [`ClientLane::share`], of some outputs one after another.
    pub(crate) fn share_of(
        &mut self,
        layer: &Layer,
        hint: &dyn HintSource,
        outputs: impl ExactSizeIterator<Item = usize>,
        samples: usize,
    ) -> Result<Wiped<u32>, RlweError> {
        if hint.len() != layer.hint_bytes() {
            return Err(RlweError::HintSize { expected: layer.hint_bytes(), got: hint.len() });
        }
        let blocks = layer.layout().cut_outputs(samples);
        if self.layer != Some(layer.index()) || blocks.len() > self.secrets.len() {
            return Err(RlweError::Misuse("a share follows the encryption of its layer"));
        }
        let area = samples * layer.layout().output().area();
        let mut out = Wiped::new(outputs.len() * area);
        let bits = layer.precision().hint_bits();
        let mut row = vec![0u8; layer.hint_row_bytes()];
        let mut coefficients = Wiped::<u32>::new(DEGREE);
        let (mut transform, mut product) = (Wide::default(), Product::default());
        let mut words = Wiped::<u32>::new(DEGREE);
        for (at, j) in outputs.enumerate() {
            hint.read(j * layer.hint_row_bytes(), &mut row)?;
            unpack_into(&row, bits, &mut coefficients);
            words::from_top(&mut coefficients, bits);
            transform.set(&coefficients);
            for (block, secret) in blocks.iter().zip(&self.secrets) {
                product.set(&transform, secret);
                let (first, count) = block.span();
                product.words(first, &mut words[..count]);
                let shares = &mut out[at * area + block.first_output..][..block.outputs.len()];
                for (share, &p) in shares.iter_mut().zip(&block.outputs) {
                    *share = words[usize::from(p) - first].wrapping_neg();
                }
            }
        }
        Ok(out)
    }
}

/// Most rows of which the transforms are kept for the next block, 16 KiB each: a card could name
/// any number.
const MOST_KEPT: usize = 1 << 15;

/// Buffers for one encrypted row after another.
struct EncryptedRow {
    public: Vec<u32>,
    product: Product,
    own: Wiped<u32>,
    words: Wiped<u32>,
    errors: Wiped<i8>,
    bytes: Wiped<u8>,
    upload_bits: u32,
}

impl EncryptedRow {
    fn new(layer: &Layer) -> Self {
        Self {
            public: Vec::new(),
            product: Product::default(),
            own: Wiped::default(),
            words: Wiped::default(),
            errors: Wiped::new(DEGREE),
            bytes: Wiped::default(),
            upload_bits: layer.precision().upload_bits(),
        }
    }

    /// a_i s + e + the words, at the needed coefficients and rounded: the bytes to send.
    fn finish(&mut self, cells: &crate::layout::Cells, prg: &mut AesPrg) -> &[u8] {
        let span = cells.span();
        self.words.resize(span.len());
        self.product.words(span.start, &mut self.words);
        if cells.runs.len() > 1 {
            cells.compact(&mut self.words);
        }
        let errors = &mut self.errors[..cells.len()];
        sample::errors(prg, errors);
        words::add_small(&mut self.words, errors);
        words::add_shifted(&mut self.words, &self.own, 0);
        words::round_to_top(&mut self.words, self.upload_bits);
        self.bytes.resize(0);
        pack_into(&mut self.bytes, &self.words, self.upload_bits);
        &self.bytes
    }
}
