//! Primes, twiddle factors and mixed-radix constants.

use std::sync::OnceLock;

use super::DEGREE;
use super::lanes::WIDTH as LANES;

/// The four largest primes below 2^30 that are 1 modulo 2N.
pub const PRIMES: [u32; 4] = [1_073_692_673, 1_073_668_097, 1_073_651_713, 1_073_643_521];

/// Product of the first two primes.
pub(super) const P01: u64 = PRIMES[0] as u64 * PRIMES[1] as u64;

/// `GARNER[i][j]` is the inverse of prime j modulo prime i, for j < i.
pub(super) const GARNER: [[u32; 3]; 4] = {
    let mut out = [[0; 3]; 4];
    let mut i = 1;
    while i < 4 {
        let mut j = 0;
        while j < i {
            out[i][j] = power(PRIMES[j] as u64, PRIMES[i] as u64 - 2, PRIMES[i] as u64) as u32;
            j += 1;
        }
        i += 1;
    }
    out
};

/// Coefficients of one tile of the last four levels: sixteen blocks of sixteen, transposed into vectors.
pub(super) const GROUP: usize = LANES * LANES;

/// A multiplier with its Shoup quotient floor(w * 2^32 / p).
#[derive(Clone, Copy, Default)]
pub(super) struct Twiddle {
    pub(super) w: u32,
    pub(super) q: u32,
}

/// Sixteen multipliers side by side.
#[derive(Clone, Copy, Default)]
pub(super) struct LaneTwiddle {
    pub(super) w: [u32; LANES],
    pub(super) q: [u32; LANES],
}

/// Everything one prime needs.
pub(super) struct Table {
    pub(super) p: u32,
    /// Powers of the 2N-th root in bit-reversed order, first 256.
    pub(super) forward: Vec<Twiddle>,
    pub(super) inverse: Vec<Twiddle>,
    /// For each group of 256 coefficients the fifteen vectors of levels t = 8, 4, 2, 1 (1 + 2 + 4 + 8 vectors).
    pub(super) forward_lanes: Vec<[LaneTwiddle; 15]>,
    pub(super) inverse_lanes: Vec<[LaneTwiddle; 15]>,
    /// Inverse of N.
    pub(super) n_inverse: u32,
    /// 2^30, 2^60 and 2^90 modulo p.
    pub(super) limbs: [Twiddle; 3],
    /// Inverses of the earlier primes.
    pub(super) garner: [Twiddle; 3],
}

const fn power(base: u64, mut exponent: u64, p: u64) -> u64 {
    let (mut square, mut out) = (base % p, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            out = out * square % p;
        }
        square = square * square % p;
        exponent >>= 1;
    }
    out
}

/// Shoup quotient of a reduced multiplier.
pub(super) fn quotient(w: u32, p: u32) -> u32 {
    ((u64::from(w) << 32) / u64::from(p)) as u32
}

/// Residues in `[0, 4p)` to residues of a transform divided by N in `[0, p)`, with their quotients.
pub(super) fn prepare(values: &mut [u32], quotients: &mut [u32]) {
    for ((table, values), quotients) in tables().iter().zip(values.chunks_exact_mut(DEGREE)).zip(quotients.chunks_exact_mut(DEGREE)) {
        let p = u64::from(table.p);
        for (v, q) in values.iter_mut().zip(quotients) {
            // A factor is prepared once and used for thousands of products. Division by a constant is a multiplication, the same for all values.
            *v = (u64::from(*v) * u64::from(table.n_inverse) % p) as u32;
            *q = quotient(*v, table.p);
        }
    }
}

/// The tables of the four primes, built once per process.
pub(super) fn tables() -> &'static [Table; 4] {
    static TABLES: OnceLock<[Table; 4]> = OnceLock::new();
    TABLES.get_or_init(|| std::array::from_fn(build))
}

fn build(index: usize) -> Table {
    let p = PRIMES[index];
    let modulus = u64::from(p);
    let order = 2 * DEGREE as u64;
    let root = (2..modulus)
        .map(|g| power(g, (modulus - 1) / order, modulus))
        .find(|&r| power(r, order / 2, modulus) == modulus - 1)
        .expect("a prime that is 1 modulo 2N has an element of order 2N");
    let twiddle = |w: u64| Twiddle { w: w as u32, q: quotient(w as u32, p) };
    let reversed = |root: u64| -> Vec<Twiddle> {
        let mut powers = vec![Twiddle::default(); DEGREE];
        let mut w = 1;
        for i in 0..DEGREE {
            powers[i.reverse_bits() >> (usize::BITS - DEGREE.trailing_zeros())] = twiddle(w);
            w = w * root % modulus;
        }
        powers
    };
    let forward = reversed(root);
    let inverse = reversed(power(root, modulus - 2, modulus));
    Table {
        p,
        forward_lanes: lanes(&forward),
        inverse_lanes: lanes(&inverse),
        forward: forward[..DEGREE / LANES].to_vec(),
        inverse: inverse[..DEGREE / LANES].to_vec(),
        n_inverse: power(DEGREE as u64, modulus - 2, modulus) as u32,
        limbs: [30, 60, 90].map(|bits| twiddle(power(2, bits, modulus))),
        garner: std::array::from_fn(|j| if j < index { twiddle(u64::from(GARNER[index][j])) } else { Twiddle::default() }),
    }
}

/// Rearranges the multipliers of the last four levels so that lane b of group g serves block 16 g + b.
fn lanes(powers: &[Twiddle]) -> Vec<[LaneTwiddle; 15]> {
    (0..DEGREE / GROUP)
        .map(|group| {
            let mut out = [LaneTwiddle::default(); 15];
            for parts in [1usize, 2, 4, 8] {
                let base = DEGREE / LANES * parts;
                for part in 0..parts {
                    let vector = &mut out[parts - 1 + part];
                    for lane in 0..LANES {
                        let power = powers[base + (group * LANES + lane) * parts + part];
                        vector.w[lane] = power.w;
                        vector.q[lane] = power.q;
                    }
                }
            }
            out
        })
        .collect()
}
