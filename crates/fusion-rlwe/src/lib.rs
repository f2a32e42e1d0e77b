//! Hinted RLWE linear algebra: a server multiplies a client's encrypted vectors by its own small
//! integer weights, at the speed of an integer matrix product. The parties end with additive shares
//! of the product; neither learns the other's input.
//!
//! ```text
//!        client (x, hint h)                                server (W, u)
//!   s <- ternary                     once per block
//!   b_i = a_i s + e_i + scale x_i  --- b, k = p s + e' --->  b'_j = sum W_ji X^tau b_i + k u_j
//!                                                                   + flood - scale r_j
//!   z_j = round((b'_j - h_j s) / scale)  <--- top bits ---   keeps r_j
//!                        z_j + r_j = sum W_ji x_i   (mod 2^l)
//! ```
//!
//! The a_i and p are public uniform polynomials, and scale = 2^(w - l) is the factor from
//! plaintexts modulo 2^l to ciphertexts modulo q = 2^w. The *hint*
//!
//! > h_j = sum W_ji X^tau a_i + p u_j + e_j
//!
//! does not depend on the data: it is made once per model, and every client keeps a copy. So only b
//! and b' travel: w/8 bytes per input coefficient and l + 2 bits per output.
//!
//! # Why it is fast
//! A ciphertext packs *positions* (pixels of many samples); each channel is a row of its own. A
//! convolution is then a sum of shifted rows with small integer factors: an integer GEMM modulo 2^w
//! ([`fusion_ring::gemm`]), without rotations, key switching or transforms. The few true products
//! of polynomials (a_i s, k u_j, h_j s) go through [`fusion_ring::poly::fft`].
//!
//! # Example
//! Both parties in one process; the product of a 3 x 4 matrix with two vectors:
//! ```
//! use fusion_ring::channel::memory_pair;
//! use fusion_rlwe::{ClientLane, ServerKey, ServerLane, ServerLayer};
//! use fusion_rlwe::{ConvGeometry, Layer, PublicSeed, RlweParams};
//! # use rand_chacha::ChaCha20Rng;
//! # use rand_core::SeedableRng;
//! # let mut rng = ChaCha20Rng::seed_from_u64(1); // in earnest: seeded by the operating system
//! let params = RlweParams::new(88, 25, 5)?; // q = 2^88, plaintexts modulo 2^25, row norms <= 2^5
//! let layer = Layer::new(PublicSeed([7; 32]), 0, &[ConvGeometry::dense(4, 3)], params)?;
//! let weights: [i16; 12] = [1, 2, 3, 4, -1, -2, -3, -4, 5, 0, 0, 7];
//! let served = ServerLayer::new(layer.clone(), &[&weights], ServerKey::random(&mut rng))?;
//! let hint = served.hint(&mut rng); // published once
//!
//! let (mut to_server, mut to_client) = memory_pair();
//! let x = [1, 10, 2, 20, 3, 30, 4, 40]; // [input][sample]: (1, 2, 3, 4) and (10, 20, 30, 40)
//! let mut client = ClientLane::new(PublicSeed([7; 32]), params, &mut rng);
//! client.encrypt(&layer, &[&x], 2, &mut to_server)?;
//! let mut server = ServerLane::new(params.modulus_bits(), &mut rng);
//! let theirs = server.multiply(&served, &[&[0; 8]], 2, &mut to_client)?;
//! let mine = client.decrypt(&layer, &hint, 2, &mut to_server)?;
//! let sum = |i: usize| (mine[i] + theirs[i]) % (1 << 25);
//! assert_eq!([sum(0), sum(1), sum(4), sum(5)], [30, 300, 33, 330]);
//! # Ok::<(), fusion_rlwe::RlweError>(())
//! ```
//!
//! # Status
//! Complete at full parameters and tested against malicious peers; not audited.
//!
//! # Security
//! **The client's data** is hidden by RLWE with N = 4096, ternary secrets, centred binomial errors
//! of deviation 3.24 and q = 2^88, 2^96 or 2^104; [`RlweParams::new`] refuses every other modulus.
//! By the lattice-estimator the cheapest attack costs 2^157, 2^143 and 2^131 in its default cost
//! model, and 2^129, 2^114 and 2^102 as core-SVP. So q = 2^88, which ResNet50 needs, is above 128
//! bits in both; a model whose layers need a wider modulus is in the first only. The README has the
//! tables and the commands.
//!
//! One secret serves one block index in all layers of one lane, with fresh errors, and
//! [`ClientLane::encrypt`] refuses to use it on the same polynomials twice. This holds against a
//! malicious server: it sees only the b_i and k. Whatever it answers decrypts to *something*,
//! without branches on secrets and without an error that would tell it anything.
//!
//! **The weights** are hidden from a semi-honest client: in the hint by the RLWE masks p u_j + e_j,
//! which are as hard to break, and in the answers by re-randomisation and flooding. One
//! [`ServerKey`] belongs to one set of weights.
//!
//! ## Circuit privacy
//! A client knows its own errors. Beside its share it then sees the noise v = sum W e + (e' - d)
//! u_j - e_j s + flood, and the rounding of the hint. That rounding tells it only low bits of h_j,
//! which is pseudorandom as a whole; d is what the server rounds off k, seven bits, so that two
//! pieces hold k u_j. The rest of v is hidden by flooding, which is sigma_f = 2^40 sigma_v wide,
//! with sigma_v^2 = 3.24^2 (2^(2 row_norm_bits) + 2 * 2N/3) + 2^14/12 * 2N/3 ([`params::Noise`]).
//! It is the sum of four uniform integers: exact, bounded by 2 sqrt(3) sigma_f, and almost as good
//! as a Gaussian, because its Fisher information is only 1.039 / sigma_f^2.
//!
//! What a shift by v changes is measured in Hellinger distance, H^2 = 1 - sum sqrt(f g). (The
//! Kullback-Leibler divergence is infinite: flooding has bounded support, and shifted it reaches
//! values that it cannot take unshifted.) H is a distance of square roots in the Euclidean norm, so
//! a shift by an integer v costs at most |v| shifts by one, each at most H^2 = 1.039 /
//! (8 sigma_f^2) (`tests/flooding.rs` sums the exact probabilities). Floods are independent of each
//! other and of everything that v is made of, so for given v the H^2 of coefficients at most add
//! up. Total variation is at most sqrt(H^2 (2 - H^2)) < sqrt(2) H, and its mean over v is by
//! Jensen's inequality at most the value at sigma_v. Q coefficients together are therefore within
//!
//! > sqrt(2) sqrt(1.039 Q sigma_v^2 / (8 sigma_f^2)) = sqrt(1.039 Q) / 2 * 2^-40
//!
//! of a distribution that does not depend on W (and answers under two W within twice that of each
//! other): 2^-29.4 for a ResNet50 inference, Q = 9 082 856. Since every coefficient of every
//! inference has a flood of its own, n inferences are just n Q coefficients and the bound grows
//! with the *square root* of n (a union bound would say n): 2^-23.7 for a batch of 512 queries in 5
//! copies with 15 public samples, n = 2575, and 2^-20 after 460 000 inferences of one model, by
//! whichever clients. Rounding the answer to l + 2 bits only takes information away.
//!
//! ## The hint commits the server to its weights
//! A server that answers with other weights and still decrypts needs (c, d) with sum c_i a_i + p d
//! close to h_j: the difference times s must stay below scale / 2, so its norm is below about
//! 2^(w - l), which is 2^63 for ResNet50, and c, d are as short as weights and masks are. Two such
//! openings of one h_j give a short vector of Ring-SIS for the public (a_1, ..., p, 1), of norm at
//! most beta = 2^(w - l + 1). At N = 4096, q = 2^88, beta = 2^64 lattice reduction must reach a
//! root Hermite factor of 1.00197: blocks of 1049, 327 bits in the estimator's default model and
//! 306 as core-SVP. The README has other widths: the smaller l, the less work, and at l = 2 none is
//! claimed.
//!
//! So a hint is computationally binding for every deviation of the *linear maps* below that norm.
//! It does not cover what is added to shares, biases, or the non-linear protocols, nor an answer
//! that is noise on purpose; those are left to mixing (`fusion-mix`).
//!
//! # Where to read next
//! [`Layout`] (how a convolution becomes shifts), [`params`] (the noise budget), [`ServerLayer`]
//! and [`ClientLane`] (the two sides), [`plain`] (the functionality, in the clear).
//! `examples/private_matrix_product.rs` is both sides on one page.
#![forbid(unsafe_code)]

mod client;
mod error;
mod geometry;
mod hint;
mod key;
mod layer;
mod layout;
pub mod params;
pub mod plain;
mod public;
mod sample;
mod server;

pub use client::ClientLane;
pub use error::RlweError;
pub use geometry::{ConvGeometry, Padding, Shape};
pub use hint::HintSource;
pub use key::ServerKey;
pub use layer::{Layer, key_bytes};
pub use layout::Layout;
pub use params::RlweParams;
pub use public::PublicSeed;
pub use server::{ServerLane, ServerLayer};

fusion_ring::opaque!(ClientLane, ServerLane, ServerLayer);

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
