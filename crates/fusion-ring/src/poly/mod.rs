//! Polynomials modulo X^2048 + 1 over words modulo 2^32, and the noise of RLWE.

pub mod fft;
pub mod noise;
pub mod words;
