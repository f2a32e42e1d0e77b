//! Subspace VOLE over small fields from all-but-one seeds, before and after its consistency check.
//!
//! Tree i of 2^k leaves with streams r_x gives u_i = sum r_x and v_i = sum x r_x on the side that
//! knows all leaves, and w_i = sum (x ^ Delta_i) r_x = v_i + u_i Delta_i on the side that misses
//! leaf Delta_i. The corrections c_i = u_i ^ u_0 bring all trees to the same u.
//!
//! Bits lie in *columns* (one per bit of Delta, tree by tree) of blocks of 128 rows;
//! [`Checked::into_rows`] transposes. An [`Unchecked`] batch can only be checked.

use fusion_ring::bits::transpose::transpose128;
use fusion_ring::ot::small_vole::LeafStreams;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::gf128::Multiplier;
use fusion_ring::symmetric::prg::AesPrg;
use zeroize::Zeroizing;

use crate::delta::Delta;
use crate::session::RunId;

/// Bits of Delta, so columns.
pub(super) const COLUMNS: usize = 128;
/// Blocks of 128 rows that are expanded and sent at once: small enough that a chunk stays in the
/// second-level cache, not a power of two, so that columns spread over its sets, and what the
/// kernels of [`LeafStreams`] divide. Both parties must use the same.
pub(super) const CHUNK: usize = 56;

/// The leaf streams of all trees.
pub(crate) struct Leaves {
    k: usize,
    streams: LeafStreams,
    /// Counters at which the streams of each tree start, other ones for every tree of every run:
    /// what a sender learns of a hidden stream is of use against that one alone.
    salts: Vec<Block>,
    /// Blocks of each stream that have been used.
    position: Block,
}

impl Leaves {
    /// Streams of `seeds`, tree by tree; leaf 0 of each tree is skipped if it is `hidden`.
    pub(super) fn new(run: &RunId, k: usize, seeds: &[Block], hidden: bool) -> Self {
        let salts = (0..COLUMNS / k).map(|tree| run.tree_salt("streams", tree)).collect();
        Self { k, streams: LeafStreams::new(k, seeds, hidden), salts, position: 0 }
    }

    pub(super) fn trees(&self) -> usize {
        COLUMNS / self.k
    }

    /// The next `blocks` blocks: fills `columns` (column by column) with sum y r_y and hands each
    /// tree's number and sum r_y to `sums`.
    pub(super) fn expand(&mut self, blocks: usize, columns: &mut [Block], mut sums: impl FnMut(usize, &[Block])) {
        let mut sum = Zeroizing::new(vec![0; blocks]);
        for (tree, columns) in columns.chunks_exact_mut(self.k * blocks).enumerate() {
            self.streams.expand(tree, self.salts[tree].wrapping_add(self.position), columns, &mut sum);
            sums(tree, &sum);
        }
        self.position += blocks as Block;
    }
}

/// Columns of a batch, chunk by chunk, whose correlation has not been checked.
pub(super) struct Unchecked {
    /// Blocks of 128 rows, the last of which only masks the check.
    blocks: usize,
    columns: Zeroizing<Vec<Block>>,
}

/// Columns whose correlation has been checked.
pub(crate) struct Checked(Unchecked);

/// The receiver's answer to a challenge: its hashed choices and columns.
pub(super) struct Response {
    pub(super) choices: Block,
    pub(super) columns: Vec<Block>,
}

/// Bytes of a [`Response`].
pub(super) const RESPONSE_LEN: usize = 16 * (1 + COLUMNS);

impl Response {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        std::iter::once(&self.choices).chain(&self.columns).flat_map(|b| b.to_le_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8; RESPONSE_LEN]) -> Self {
        let (blocks, _) = bytes.as_chunks::<16>();
        let mut blocks = blocks.iter().map(|b| Block::from_le_bytes(*b));
        let choices = blocks.next().unwrap_or_default();
        Self { choices, columns: blocks.collect() }
    }
}

/// The hash's coefficients: uniform for every block of rows but the last, which masks the result
/// with coefficient one.
fn coefficients(challenge: [u8; 16], blocks: usize) -> Multiplier {
    let mut chi = vec![0; blocks];
    AesPrg::new(challenge).fill_blocks(&mut chi);
    chi[blocks - 1] = 1;
    Multiplier::new(chi)
}

impl Unchecked {
    /// Room for `rows` blocks of 128 rows, and the masking block.
    pub(super) fn new(rows: usize) -> Self {
        let blocks = rows + 1;
        Self { blocks, columns: Zeroizing::new(vec![0; COLUMNS * blocks]) }
    }

    /// The chunks in order, each with its number of blocks.
    pub(super) fn chunks_mut(&mut self) -> impl Iterator<Item = (usize, &mut [Block])> {
        self.columns.chunks_mut(COLUMNS * CHUNK).map(|chunk| (chunk.len() / COLUMNS, chunk))
    }

    /// Secret at the sender's end: with the response it is Delta.
    fn hash(&self, chi: &Multiplier) -> Zeroizing<Vec<Block>> {
        let mut sums = Zeroizing::new(vec![0; COLUMNS]);
        for (number, chunk) in self.columns.chunks(COLUMNS * CHUNK).enumerate() {
            for (sum, column) in sums.iter_mut().zip(chunk.chunks_exact(chunk.len() / COLUMNS)) {
                *sum ^= chi.dot(CHUNK * number, column);
            }
        }
        sums
    }

    /// The receiver's end: it trusts its own columns once it has answered.
    pub(super) fn answer(self, choices: &[Block], challenge: [u8; 16]) -> (Checked, Response) {
        let chi = coefficients(challenge, self.blocks);
        let response = Response { choices: chi.dot(0, choices), columns: self.hash(&chi).to_vec() };
        (Checked(self), response)
    }

    /// The sender's end: w = v + u Delta must hold for the hashes.
    pub(super) fn verify(self, delta: &Delta, challenge: [u8; 16], response: &Response) -> Option<Checked> {
        let own = self.hash(&coefficients(challenge, self.blocks));
        let wrong =
            own.iter().zip(&response.columns).enumerate().fold(0, |acc, (c, (w, v))| acc | (w ^ v ^ (response.choices & delta.mask(c))));
        (wrong == 0).then_some(Checked(self))
    }
}

impl Checked {
    /// `rows` and the batch's rows of 128 bits, without the masking ones.
    pub(super) fn append_to(self, rows: &[Block]) -> Zeroizing<Vec<Block>> {
        let Unchecked { blocks, columns } = self.0;
        let wanted = rows.len() + COLUMNS * (blocks - 1);
        // Of full size at once: a vector that grows leaves copies behind.
        let mut out = Zeroizing::new(Vec::with_capacity(rows.len() + COLUMNS * blocks));
        out.extend_from_slice(rows);
        let mut square = Zeroizing::new([0; 128]);
        for chunk in columns.chunks(COLUMNS * CHUNK) {
            let len = chunk.len() / COLUMNS;
            for t in 0..len {
                for (c, bits) in square.iter_mut().enumerate() {
                    *bits = chunk[c * len + t];
                }
                transpose128(&mut square);
                out.extend_from_slice(&*square);
            }
        }
        out.truncate(wanted);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::session::{NONCE, Session};

    /// Equal seeds in two trees or two runs give different rows.
    #[test]
    fn streams_belong_to_a_tree_and_a_run() {
        let k = 8;
        let mut seen = Vec::new();
        for nonce in 0..3 {
            let run = Session::new(b"streams").direction(Role::First).with_nonces(&[nonce; NONCE], &[2; NONCE]);
            // One leaf apart from all others of its tree, whose streams would else add up to
            // nothing.
            let seeds: Vec<Block> = (0..(COLUMNS / k) << k).map(|i| if i % (1 << k) == 0 { 5 } else { 6 }).collect();
            let mut leaves = Leaves::new(&run, k, &seeds, false);
            let mut columns = vec![0; COLUMNS];
            leaves.expand(1, &mut columns, |_, sum| seen.push(sum[0]));
        }
        let n = seen.len();
        assert_eq!(n, 3 * COLUMNS / k);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), n);
    }
}
