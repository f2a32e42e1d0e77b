//! Arithmetic under two-party inference: rings, bits, AES, integer products, and the bytes between
//! two parties.
//!
//! This is the lowest crate of Fusion. It knows rings, bytes and CPU instructions, and nothing of
//! protocols. Whatever needs a vector unit is here, and with it all `unsafe` of the repository.
//!
//! ```text
//!   channel/    ordered reliable bytes between two parties: trait, pair in memory, recorder
//!   simd/       which instruction tier this process runs on, lowered by FUSION_SIMD
//!   secret/     memory that is wiped on drop; types that cannot be printed
//!   bits/       pack        l-bit ring elements <-> bytes
//!               bitslice    one bit of every element of a vector, 64 to a word
//!               transpose   bit matrices
//!   symmetric/  aes         AES-128 in bulk
//!               prg         seeds and their expansion
//!               hash        correlation-robust hashes
//!               gf128       the field of 2^128 elements
//!               digest      SHA3-256 digests of public things
//!   poly/       fft         exact products in Z[X]/(X^2048 + 1)
//!               noise       centred binomial errors, ternary secrets
//!               words       vectors modulo 2^32: sums, rounding to the top bits
//!   gemm/       small weights times shifted rows of words modulo 2^32
//!   ot/         lpn         the 10-local code
//!               half_tree   correlated GGM trees
//!               lookup      comparisons of digits by masked truth tables
//!               bit_products  shared bits times ring elements
//! ```
//!
//! How data flows through them in a linear layer, for example (`fusion-rlwe` does this):
//!
//! ```text
//!   client   prg --ternary secret--> fft --product--> words --pack--> channel
//!   server   channel --unpack--> words --limbs--> gemm --sums--> shares
//! ```
//!
//! # Example
//! A two-tap filter over words modulo 2^32:
//! ```
//! use fusion_ring::gemm::{PackedWeights, Reduction, WordRows};
//! use fusion_ring::secret::Wiped;
//! let taps: [&[usize]; 1] = [&[0, 1]]; // one row, read at offsets 0 and 1
//! let weights = PackedWeights::new(Reduction::new(&taps), 1, |_output, _row, tap| [3, -2][tap]);
//! let mut rows = WordRows::zeros(&weights, 4);
//! rows.write(0, 0, &[1, 10, 100, 1 << 31]);
//! let mut out = Wiped::default();
//! weights.multiply(&rows, 0, 3, &mut out);
//! assert_eq!([out[0] as i32, out[1] as i32, out[2] as i32], [-17, -170, 300]); // 2^32 is 0
//! ```
//!
//! # What is assumed
//! The five tiers (portable, AVX2, AVX-VNNI, AVX-512, AVX-512 with VNNI) and the three AES kernels
//! (portable, AES-NI, VAES) give the same bits; tests compare each one that the machine has with
//! the portable one. Sizes and indices come from the caller, never from a peer: a wrong one is a
//! panic that names it, and each function lists its own.
//!
//! # Security
//! Functions over secrets do not branch on them or index memory by them, as far as the compiler
//! preserves that; AES without AES-NI is bit-sliced. Seeds and transforms of secrets are wiped on
//! drop and never printed. [`hash`](symmetric::hash) says in which model its hashes are proved. Not
//! audited.
//!
//! # Where to read next
//! [`channel`] (its deadlock rule binds every protocol) and [`simd`] (how a kernel is chosen); then
//! [`gemm`] and [`fft`](poly::fft), on which the linear layers are built, or
//! [`aes`](symmetric::aes) and [`hash`](symmetric::hash), on which the OTs are.

pub mod bits;
pub mod channel;
pub mod gemm;
pub mod ot;
pub mod poly;
pub mod secret;
pub mod simd;
pub mod symmetric;

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
