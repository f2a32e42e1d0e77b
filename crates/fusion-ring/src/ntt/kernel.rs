//! Butterflies over the four residue vectors, written once in safe Rust and compiled for each tier.

use super::DEGREE;
use super::tables::{LANES, LaneTwiddle, Table, Twiddle, reduce_once, tables};
use crate::simd::per_tier;

per_tier! {
    /// Residues of coefficients below 2^104 modulo the four primes, each in `[0, 2p)`.
    reduce = reduce_body(coefficients: &[u128], residues: &mut [u32])
}
per_tier! {
    /// Forward transform of all four vectors, `[0, 4p)` to `[0, 4p)`.
    forward = forward_body(residues: &mut [u32])
}
per_tier! {
    /// Inverse transform of all four vectors (`[0, 2p)`), then Garner: leaves mixed-radix digits.
    inverse = inverse_body(residues: &mut [u32])
}
per_tier! {
    /// `out = a * w` coefficient by coefficient, `[0, 2p)`, for any a and reduced w with quotients q.
    pointwise = pointwise_body(a: &[u32], w: &[u32], q: &[u32], out: &mut [u32])
}

/// a * w modulo p in `[0, 2p)`, for any a.
#[inline(always)]
fn shoup(a: u32, w: u32, q: u32, p: u32) -> u32 {
    let high = ((u64::from(a) * u64::from(q)) >> 32) as u32;
    a.wrapping_mul(w).wrapping_sub(high.wrapping_mul(p))
}

#[inline(always)]
fn reduce_body(coefficients: &[u128], residues: &mut [u32]) {
    const MASK: u64 = (1 << 30) - 1;
    const CHUNK: usize = 64;
    for (start, chunk) in coefficients.chunks_exact(CHUNK).enumerate() {
        // Halves first: shifts of 64-bit words are vector instructions, shifts of 128-bit ones are not.
        let (mut low, mut high) = ([0u64; CHUNK], [0u64; CHUNK]);
        for (k, &c) in chunk.iter().enumerate() {
            (low[k], high[k]) = (c as u64, (c >> 64) as u64);
        }
        let mut limbs = [[0u32; CHUNK]; 4];
        for k in 0..CHUNK {
            limbs[0][k] = (low[k] & MASK) as u32;
            limbs[1][k] = (low[k] >> 30 & MASK) as u32;
            limbs[2][k] = ((low[k] >> 60 | high[k] << 4) & MASK) as u32;
            limbs[3][k] = (high[k] >> 26 & MASK) as u32;
        }
        for (table, row) in tables().iter().zip(residues.chunks_exact_mut(DEGREE)) {
            let p = table.p;
            let out = &mut row[start * CHUNK..(start + 1) * CHUNK];
            for k in 0..CHUNK {
                // Below 2^30 + 2p < 4p, then twice a residue in [0, 2p) on top of one reduced to [0, 2p).
                let [t1, t2, t3] = table.limbs;
                let a = reduce_once(limbs[0][k] + shoup(limbs[1][k], t1.w, t1.q, p), 2 * p);
                let b = reduce_once(shoup(limbs[2][k], t2.w, t2.q, p) + shoup(limbs[3][k], t3.w, t3.q, p), 2 * p);
                out[k] = reduce_once(a + b, 2 * p);
            }
        }
    }
}

#[inline(always)]
fn forward_butterfly(x: &mut u32, y: &mut u32, w: u32, q: u32, p: u32) {
    let u = reduce_once(*x, 2 * p);
    let v = shoup(*y, w, q, p);
    *x = u + v;
    *y = u + 2 * p - v;
}

#[inline(always)]
fn inverse_butterfly(x: &mut u32, y: &mut u32, w: u32, q: u32, p: u32) {
    let (u, v) = (*x, *y);
    *x = reduce_once(u + v, 2 * p);
    *y = shoup(u + 2 * p - v, w, q, p);
}

#[inline(always)]
fn halves(block: &mut [u32], t: usize, twiddle: Twiddle, p: u32, butterfly: impl Fn(&mut u32, &mut u32, u32, u32, u32)) {
    let (low, high) = block.split_at_mut(t);
    for (x, y) in low.iter_mut().zip(high) {
        butterfly(x, y, twiddle.w, twiddle.q, p);
    }
}

/// Sixteen blocks of sixteen coefficients, as rows of lanes.
type Tile = [[u32; LANES]; LANES];

#[inline(always)]
fn transposed(group: &[u32]) -> Tile {
    let mut tile = [[0; LANES]; LANES];
    for (lane, block) in group.chunks_exact(LANES).enumerate() {
        for (i, &c) in block.iter().enumerate() {
            tile[i][lane] = c;
        }
    }
    tile
}

/// One level inside a tile: rows r and r + t of every part.
#[inline(always)]
fn tile_level(tile: &mut Tile, t: usize, lanes: &[LaneTwiddle; 15], p: u32, butterfly: impl Fn(&mut u32, &mut u32, u32, u32, u32)) {
    let parts = LANES / (2 * t);
    for part in 0..parts {
        let twiddle = &lanes[parts - 1 + part];
        for r in 2 * part * t..2 * part * t + t {
            let (mut x, mut y) = (tile[r], tile[r + t]);
            for lane in 0..LANES {
                butterfly(&mut x[lane], &mut y[lane], twiddle.w[lane], twiddle.q[lane], p);
            }
            (tile[r], tile[r + t]) = (x, y);
        }
    }
}

#[inline(always)]
fn forward_body(residues: &mut [u32]) {
    for (table, a) in tables().iter().zip(residues.chunks_exact_mut(DEGREE)) {
        let p = table.p;
        let mut t = DEGREE / 2;
        while t >= LANES {
            let twiddles = &table.forward[DEGREE / (2 * t)..];
            for (block, &twiddle) in a.chunks_exact_mut(2 * t).zip(twiddles) {
                halves(block, t, twiddle, p, forward_butterfly);
            }
            t /= 2;
        }
        for (group, lanes) in a.chunks_exact_mut(LANES * LANES).zip(&table.forward_lanes) {
            let mut tile = transposed(group);
            tile_level(&mut tile, 8, lanes, p, forward_butterfly);
            tile_level(&mut tile, 4, lanes, p, forward_butterfly);
            tile_level(&mut tile, 2, lanes, p, forward_butterfly);
            tile_level(&mut tile, 1, lanes, p, forward_butterfly);
            // The transform domain stays transposed: only pointwise products happen there.
            group.copy_from_slice(tile.as_flattened());
        }
    }
}

#[inline(always)]
fn inverse_body(residues: &mut [u32]) {
    for (table, a) in tables().iter().zip(residues.chunks_exact_mut(DEGREE)) {
        inverse_one(table, a);
    }
    garner(residues);
}

#[inline(always)]
fn inverse_one(table: &Table, a: &mut [u32]) {
    let p = table.p;
    for (group, lanes) in a.chunks_exact_mut(LANES * LANES).zip(&table.inverse_lanes) {
        let mut tile: Tile = [[0; LANES]; LANES];
        tile.as_flattened_mut().copy_from_slice(group);
        tile_level(&mut tile, 1, lanes, p, inverse_butterfly);
        tile_level(&mut tile, 2, lanes, p, inverse_butterfly);
        tile_level(&mut tile, 4, lanes, p, inverse_butterfly);
        tile_level(&mut tile, 8, lanes, p, inverse_butterfly);
        group.copy_from_slice(transposed(tile.as_flattened()).as_flattened());
    }
    let mut t = LANES;
    while t < DEGREE {
        let twiddles = &table.inverse[DEGREE / (2 * t)..];
        for (block, &twiddle) in a.chunks_exact_mut(2 * t).zip(twiddles) {
            halves(block, t, twiddle, p, inverse_butterfly);
        }
        t *= 2;
    }
    for x in a {
        *x = reduce_once(shoup(*x, table.n_inverse.w, table.n_inverse.q, p), p);
    }
}

/// Residues in `[0, p)` to mixed-radix digits, in place.
#[inline(always)]
fn garner(residues: &mut [u32]) {
    let [_, t1, t2, t3] = tables();
    let (r0, rest) = residues.split_at_mut(DEGREE);
    let (r1, rest) = rest.split_at_mut(DEGREE);
    let (r2, r3) = rest.split_at_mut(DEGREE);
    // The primes are so close that each is below twice any other: one added 2p keeps a difference positive.
    let step = |r: u32, digit: u32, inverse: Twiddle, p: u32| reduce_once(shoup(r + 2 * p - digit, inverse.w, inverse.q, p), p);
    for (((r0, r1), r2), r3) in r0.iter().zip(r1).zip(r2).zip(r3) {
        *r1 = step(*r1, *r0, t1.garner[0], t1.p);
        *r2 = step(step(*r2, *r0, t2.garner[0], t2.p), *r1, t2.garner[1], t2.p);
        *r3 = step(step(step(*r3, *r0, t3.garner[0], t3.p), *r1, t3.garner[1], t3.p), *r2, t3.garner[2], t3.p);
    }
}

#[inline(always)]
fn pointwise_body(a: &[u32], w: &[u32], q: &[u32], out: &mut [u32]) {
    for (i, table) in tables().iter().enumerate() {
        let range = i * DEGREE..(i + 1) * DEGREE;
        let (a, w, q) = (&a[range.clone()], &w[range.clone()], &q[range.clone()]);
        for (k, out) in out[range].iter_mut().enumerate() {
            *out = shoup(a[k], w[k], q[k], table.p);
        }
    }
}
