//! Polynomials modulo X^4096 + 1 over residues modulo 2^128, and the noise of RLWE.

pub mod fft;
pub mod noise;
pub mod residues;
pub mod rounding;
