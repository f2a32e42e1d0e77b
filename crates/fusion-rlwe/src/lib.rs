//! Linear layers without an answer: a client sends RLWE ciphertexts of its words, the server
//! multiplies them by its own small integer weights, and both are done. The words that they then
//! hold add up to the product, scaled to the top of a word, plus small noise. Neither learns the
//! other's input.
//!
//! ```text
//!   client (x_C, hint h)                                 server (x_S, W, u)
//!   s <- ternary                fresh for every block of every layer
//!   k = p s + e'
//!   b_i = a_i s + e_i + D x_C,i    ------  b, k  ----->
//!   c_j = h_j s                                   B_j = sum W_ji X^tau (b_i + D x_S,i) + k u_j
//!   keeps -c_j                                    keeps B_j, sends nothing
//!                   B_j - c_j = D sum W_ji x_i + v_j   (mod 2^32)
//! ```
//!
//! The a_i and p are public uniform polynomials, D = 2^(32 - l) brings numbers modulo 2^l to the
//! top of a word, and v_j is noise ([`precision`]). The *hint*
//!
//! > h_j = sum W_ji X^tau a_i + p u_j + e_j
//!
//! does not depend on the data: it is made once per model, and every client keeps a copy. b, h and
//! k are rounded to the bits that the reader of the product needs, so 3 to 4 bytes travel per
//! input coefficient and none per output. The reader keeps the top bits of each party's word; noise
//! far below the last of them changes a result by at most one unit.
//!
//! # Why it is fast
//! A ciphertext packs *positions* (pixels of many samples); each channel is a row of its own. A
//! convolution is then a sum of shifted rows with small integer factors: an integer GEMM modulo
//! 2^32 ([`fusion_ring::gemm`]), without rotations, key switching or transforms. The few true
//! products of polynomials (a_i s, k u_j, h_j s) go through [`fusion_ring::poly::fft`].
//!
//! # Example
//! Both parties in one process; the product of a 3 x 4 matrix with a vector, and a bias:
//! ```
//! use fusion_ring::channel::memory_pair;
//! use fusion_rlwe::{ClientLane, ConvGeometry, Input, Layer, Precision, PublicSeed};
//! use fusion_rlwe::{RlweError, ServerKey, ServerLane, ServerLayer};
//! # use rand_chacha::ChaCha20Rng;
//! # use rand_core::SeedableRng;
//! # let mut rng = ChaCha20Rng::seed_from_u64(1); // in earnest: seeded by the operating system
//! let widths = Precision::new(12, 32, 32)?; // numbers modulo 2^12, nothing rounded
//! let layer = Layer::new(PublicSeed([7; 32]), 0, &[ConvGeometry::dense(4, 3)], widths, 12)?;
//! let weights: [i16; 12] = [1, 2, 3, 4, -1, -2, -3, -4, 5, 0, 0, 7];
//! let key = ServerKey::random(&mut rng);
//! let served = ServerLayer::new(layer.clone(), &[&weights], &[0, 1, -1], key)?;
//! let hint = served.hint(&mut rng); // published once
//!
//! let (mut to_server, mut to_client) = memory_pair();
//! let x = [1, 2, 3, 4].map(|x| x << 20); // the client's words; the server's are zero
//! let mut client = ClientLane::new(PublicSeed([7; 32]), &mut rng);
//! client.encrypt(&layer, &[Input { words: &x, ring: 12 }], 1, &mut to_server)?;
//! let own = [Input { words: &[0; 4], ring: 12 }];
//! let theirs = ServerLane::new().multiply(&served, &own, 1, &mut to_client)?;
//! let mine = client.share(&layer, &hint, 1)?;
//! let sum = |i: usize| (mine[i].wrapping_add(theirs[i]) as i32 + (1 << 19)) >> 20;
//! assert_eq!([sum(0), sum(1), sum(2)], [30, -29, 32]);
//! # Ok::<(), RlweError>(())
//! ```
//!
//! # Status
//! Complete at full parameters and tested against malicious peers; not audited.
//!
//! # Security
//! There is one parameter set, N = 2048, q = 2^32, ternary secrets, centred binomial errors of
//! deviation 3.24, and no way to construct another ([`precision::check_parameters`]). By the
//! lattice-estimator the cheapest attack costs 2^219 in its default cost model and 2^195 as
//! core-SVP; the README has the table and the command.
//!
//! **The client's data.** A malicious server sees b and k and nothing else: RLWE samples, rounded,
//! which only takes information away. Every block of every layer has a secret of its own, and
//! [`ClientLane::encrypt`] takes a layer once per lane. A secret that served two layers would be
//! lost: the client's words -h_j s are a function of it that a malicious server chose with its
//! hint, and they come back, through protocols in which such a server need not play its part, as
//! words of the next layer. With secrets that end with their layer, what the client sends under one
//! depends on others only.
//!
//! **The weights.** The hint is hidden by the RLWE masks p u_j + e_j, which are as hard to break;
//! one [`ServerKey`] belongs to one set of weights. Online the client receives nothing, so what it
//! can learn is in what is made of the shares later. Its view of a whole inference is simulated
//! from its input, its coins, the hint and the *label of the noisy network*, in which every linear
//! output carries its v: leakage is that label. There is no flooding and no statistical bound on
//! what v says about the weights, because nobody is shown v.
//!
//! So **a share of a linear output must never be opened at full width**: whoever has B_j - c_j and
//! knows the errors has a linear equation in row j of W, and a few thousand of them give the row (a
//! test solves them). `fusion-nn` gives linear outputs a type that cannot be opened.
//!
//! ## The hint commits the server to its weights
//! A server whose words still are near a meaningful product of other weights needs (c, d) with
//! sum c_i a_i + p d close to h_j: the difference times s must stay below a fraction of the
//! reader's unit, and c, d are as short as weights and masks are. Two such openings of one h_j give
//! a short vector of Ring-SIS for the public (a_1, ..., p, 1), of norm about 2^28 or, generously,
//! 2^30; the README has the work for both, at least 2^260 by the default model.
//!
//! This covers *linear evaluation*. That every strategy whose answers mean anything knows an
//! opening is a knowledge assumption. The hint does not cover what is added to words or the
//! non-linear protocols, nor an answer that is noise on purpose; those are left to mixing
//! (`fusion-mix`). Nor does it cover biases, which the server adds to its words. (As weights of
//! constant rows they would be in the hint, but would not bind either, because another bias is the
//! same as something added to words; and they would cost up to two bits a coefficient.)
//!
//! # What the parts are from
//! Rounding shares locally instead of decrypting is lattice-based homomorphic secret sharing
//! (Boyle, Kohl, Scholl, EUROCRYPT 2019), with the matrix known to one party. Hints for a matrix
//! that does not change are those of SimplePIR (Henzinger et al., ePrint 2022/949), over rings.
//! Jaguar (arXiv 2606.11827) is the closest inference system.
//!
//! # Where to read next
//! [`Layout`] (how a convolution becomes shifts), [`precision`] (the noise), [`ServerLayer`] and
//! [`ClientLane`] (the two sides), [`plain`] (the functionality, in the clear).
//! `examples/private_matrix_product.rs` is both sides on one page.
#![forbid(unsafe_code)]

mod client;
mod error;
mod geometry;
mod hint;
mod key;
mod layer;
mod layout;
pub mod plain;
pub mod precision;
mod public;
mod sample;
mod server;

pub use client::ClientLane;
pub use error::RlweError;
pub use geometry::{ConvGeometry, Padding, Shape};
pub use hint::HintSource;
pub use key::ServerKey;
pub use layer::{Input, Layer};
pub use layout::Layout;
pub use precision::Precision;
pub use public::PublicSeed;
pub use server::{SelfTest, ServerLane, ServerLayer};

fusion_ring::opaque!(ClientLane, ServerLane, ServerLayer);

#[cfg(test)]
mod opened_share;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
