//! The transforms of residue vectors, written once over [`Lanes`] and compiled for each tier.

use super::DEGREE;
use super::lanes::{Lanes, Portable, WIDTH};
use super::tables::{GROUP, LaneTwiddle, P01, PRIMES, Table, Twiddle, tables};
use crate::simd::Tier;

/// Compiles a body for AVX-512, AVX2 and the baseline, and picks one by tier.
macro_rules! per_lanes {
    ($(#[$doc:meta])* $name:ident = $body:ident ( $($arg:ident : $ty:ty),* )) => {
        $(#[$doc])*
        pub(super) fn $name(tier: Tier, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $ty),*) {
                    $body::<super::lanes::Avx512>($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) {
                    $body::<super::lanes::Avx2>($($arg),*);
                }
                if tier >= Tier::Avx512 {
                    // SAFETY: the tier is only above this bound where the CPU was seen to have these features.
                    return unsafe { avx512($($arg),*) };
                }
                if tier >= Tier::Avx2 {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            let _ = tier;
            $body::<Portable>($($arg),*);
        }
    };
}

per_lanes! {
    /// Residues of coefficients below 2^104 modulo the first primes, as many as `residues` has vectors for, each in `[0, 2p)`.
    reduce = reduce_body(coefficients: &[u128], residues: &mut [u32])
}
per_lanes! {
    /// As `reduce`, of coefficients below 2^60.
    reduce_narrow = reduce_narrow_body(coefficients: &[u64], residues: &mut [u32])
}
per_lanes! {
    /// Forward transform of all vectors, `[0, 4p)` to `[0, 4p)`.
    forward = forward_body(residues: &mut [u32])
}
per_lanes! {
    /// `out = inverse transform of (a * w)` up to the factor N (which `w` makes good for), in `[0, 2p)`, for any a and reduced w with quotients q.
    multiply = multiply_body(a: &[u32], w: &[u32], q: &[u32], out: &mut [u32])
}
per_lanes! {
    /// The integers with these residues in `[0, 2p)`, centred, modulo 2^128 in halves: coefficients `start..start + low.len()`.
    compose = compose_body(residues: &[u32], start: usize, low: &mut [u64], high: &mut [u64])
}

#[inline(always)]
fn reduce_body<V: Lanes>(coefficients: &[u128], residues: &mut [u32]) {
    let mask = V::splat((1 << 30) - 1);
    for (index, chunk) in coefficients.as_chunks::<WIDTH>().0.iter().enumerate() {
        let [w0, w1, w2, w3] = V::words(chunk);
        let limbs = [
            w0.and(mask),
            w0.right::<30>().or(w1.left::<2>()).and(mask),
            w1.right::<28>().or(w2.left::<4>()).and(mask),
            w2.right::<26>().or(w3.left::<6>()).and(mask),
        ];
        for (table, row) in tables().iter().zip(residues.chunks_exact_mut(DEGREE)) {
            let (p, double) = (V::splat(table.p), V::splat(2 * table.p));
            let term = |i: usize| limbs[i].shoup(V::splat(table.limbs[i - 1].w), V::splat(table.limbs[i - 1].q), p);
            // Below 2^30 + 2p < 4p, then twice a residue in [0, 2p) on top of one reduced to [0, 2p).
            let low = limbs[0].add(term(1)).reduce_once(double);
            let high = term(2).add(term(3)).reduce_once(double);
            low.add(high).reduce_once(double).store(&mut row.as_chunks_mut::<WIDTH>().0[index]);
        }
    }
}

#[inline(always)]
fn reduce_narrow_body<V: Lanes>(coefficients: &[u64], residues: &mut [u32]) {
    let mask = V::splat((1 << 30) - 1);
    for (index, chunk) in coefficients.as_chunks::<WIDTH>().0.iter().enumerate() {
        let [low, high] = V::halves(chunk);
        let limbs = [low.and(mask), low.right::<30>().or(high.left::<2>()).and(mask)];
        for (table, row) in tables().iter().zip(residues.chunks_exact_mut(DEGREE)) {
            let (p, double) = (V::splat(table.p), V::splat(2 * table.p));
            let term = limbs[1].shoup(V::splat(table.limbs[0].w), V::splat(table.limbs[0].q), p);
            limbs[0].add(term).reduce_once(double).store(&mut row.as_chunks_mut::<WIDTH>().0[index]);
        }
    }
}

#[inline(always)]
fn forward_butterfly<V: Lanes>(x: V, y: V, w: V, q: V, p: V, double: V) -> (V, V) {
    let u = x.reduce_once(double);
    let v = y.shoup(w, q, p);
    (u.add(v), u.add(double).sub(v))
}

#[inline(always)]
fn inverse_butterfly<V: Lanes>(u: V, v: V, w: V, q: V, p: V, double: V) -> (V, V) {
    (u.add(v).reduce_once(double), u.add(double).sub(v).shoup(w, q, p))
}

/// One level over blocks of two halves of t coefficients each.
#[inline(always)]
fn level<V: Lanes>(a: &mut [u32], t: usize, twiddles: &[Twiddle], p: u32, butterfly: impl Fn(V, V, V, V, V, V) -> (V, V)) {
    let (prime, double) = (V::splat(p), V::splat(2 * p));
    for (block, twiddle) in a.chunks_exact_mut(2 * t).zip(twiddles) {
        let (w, q) = (V::splat(twiddle.w), V::splat(twiddle.q));
        let (low, high) = block.split_at_mut(t);
        for (x, y) in low.as_chunks_mut::<WIDTH>().0.iter_mut().zip(high.as_chunks_mut::<WIDTH>().0) {
            let (new_x, new_y) = butterfly(V::load(x), V::load(y), w, q, prime, double);
            new_x.store(x);
            new_y.store(y);
        }
    }
}

/// One level inside a tile: rows r and r + t of every part.
#[inline(always)]
fn tile_level<V: Lanes>(
    tile: &mut [V; WIDTH],
    t: usize,
    lanes: &[LaneTwiddle; 15],
    p: u32,
    butterfly: impl Fn(V, V, V, V, V, V) -> (V, V),
) {
    let (prime, double) = (V::splat(p), V::splat(2 * p));
    let parts = WIDTH / (2 * t);
    for part in 0..parts {
        let twiddle = &lanes[parts - 1 + part];
        let (w, q) = (V::load(&twiddle.w), V::load(&twiddle.q));
        for r in 2 * part * t..2 * part * t + t {
            (tile[r], tile[r + t]) = butterfly(tile[r], tile[r + t], w, q, prime, double);
        }
    }
}

#[inline(always)]
fn load_tile<V: Lanes>(group: &[u32; GROUP]) -> [V; WIDTH] {
    let rows = group.as_chunks::<WIDTH>().0;
    std::array::from_fn(|r| V::load(&rows[r]))
}

#[inline(always)]
fn store_tile<V: Lanes>(tile: [V; WIDTH], group: &mut [u32; GROUP]) {
    for (row, vector) in group.as_chunks_mut::<WIDTH>().0.iter_mut().zip(tile) {
        vector.store(row);
    }
}

#[inline(always)]
fn forward_body<V: Lanes>(residues: &mut [u32]) {
    for (table, a) in tables().iter().zip(residues.chunks_exact_mut(DEGREE)) {
        let p = table.p;
        let mut t = DEGREE / 2;
        while t >= WIDTH {
            level::<V>(a, t, &table.forward[DEGREE / (2 * t)..], p, forward_butterfly);
            t /= 2;
        }
        for (group, lanes) in a.as_chunks_mut::<GROUP>().0.iter_mut().zip(&table.forward_lanes) {
            let mut tile = V::transposed(load_tile::<V>(group));
            tile_level(&mut tile, 8, lanes, p, forward_butterfly);
            tile_level(&mut tile, 4, lanes, p, forward_butterfly);
            tile_level(&mut tile, 2, lanes, p, forward_butterfly);
            tile_level(&mut tile, 1, lanes, p, forward_butterfly);
            // The transform domain stays transposed: only pointwise products happen there.
            store_tile(tile, group);
        }
    }
}

#[inline(always)]
fn multiply_body<V: Lanes>(a: &[u32], w: &[u32], q: &[u32], out: &mut [u32]) {
    let vectors = a.chunks_exact(DEGREE).zip(w.chunks_exact(DEGREE)).zip(q.chunks_exact(DEGREE));
    for ((table, out), ((a, w), q)) in tables().iter().zip(out.chunks_exact_mut(DEGREE)).zip(vectors) {
        multiply_one::<V>(table, a, w, q, out);
    }
}

#[inline(always)]
fn multiply_one<V: Lanes>(table: &Table, a: &[u32], w: &[u32], q: &[u32], out: &mut [u32]) {
    let p = table.p;
    let factors = a.as_chunks::<GROUP>().0.iter().zip(w.as_chunks::<GROUP>().0).zip(q.as_chunks::<GROUP>().0);
    for ((group, lanes), ((a, w), q)) in out.as_chunks_mut::<GROUP>().0.iter_mut().zip(&table.inverse_lanes).zip(factors) {
        let (a, w, q) = (a.as_chunks::<WIDTH>().0, w.as_chunks::<WIDTH>().0, q.as_chunks::<WIDTH>().0);
        let prime = V::splat(p);
        let mut tile = [prime; WIDTH];
        for (tile, ((a, w), q)) in tile.iter_mut().zip(a.iter().zip(w).zip(q)) {
            *tile = V::load(a).shoup(V::load(w), V::load(q), prime);
        }
        tile_level(&mut tile, 1, lanes, p, inverse_butterfly);
        tile_level(&mut tile, 2, lanes, p, inverse_butterfly);
        tile_level(&mut tile, 4, lanes, p, inverse_butterfly);
        tile_level(&mut tile, 8, lanes, p, inverse_butterfly);
        store_tile(V::transposed(tile), group);
    }
    let mut t = WIDTH;
    while t < DEGREE {
        level::<V>(out, t, &table.inverse[DEGREE / (2 * t)..], p, inverse_butterfly);
        t *= 2;
    }
}

/// Mixed-radix digits by Garner's algorithm, then the value that they stand for.
#[inline(always)]
fn compose_body<V: Lanes>(residues: &[u32], start: usize, low: &mut [u64], high: &mut [u64]) {
    let primes = residues.len() / DEGREE;
    let end = start + low.len();
    for chunk in start / WIDTH..end.div_ceil(WIDTH) {
        let mut digits = [V::splat(0); 4];
        for (i, (table, row)) in tables().iter().zip(residues.chunks_exact(DEGREE)).enumerate() {
            let (p, double) = (V::splat(table.p), V::splat(2 * table.p));
            let mut digit = V::load(&row.as_chunks::<WIDTH>().0[chunk]).reduce_once(p);
            for (earlier, inverse) in digits.iter().zip(&table.garner[..i]) {
                // The primes are so close that each is below twice any other: one added 2p keeps a difference positive.
                let difference = digit.add(double).sub(*earlier);
                digit = difference.shoup(V::splat(inverse.w), V::splat(inverse.q), p).reduce_once(p);
            }
            digits[i] = digit;
        }
        let mut stored = [[0; WIDTH]; 4];
        for (stored, digit) in stored.iter_mut().zip(digits) {
            digit.store(stored);
        }
        let (l, h) = match primes {
            2 => value::<2>(&stored),
            3 => value::<3>(&stored),
            _ => value::<4>(&stored),
        };
        let (from, to) = (start.max(chunk * WIDTH), end.min((chunk + 1) * WIDTH));
        low[from - start..to - start].copy_from_slice(&l[from - chunk * WIDTH..to - chunk * WIDTH]);
        high[from - start..to - start].copy_from_slice(&h[from - chunk * WIDTH..to - chunk * WIDTH]);
    }
}

/// Products of a 64-bit by a constant below 2^60, in halves, from 32-bit multiplications: plain vector code.
#[inline(always)]
fn wide_product(x: u64, constant: u64) -> (u64, u64) {
    const LOW: u64 = 0xffff_ffff;
    let (x0, x1, c0, c1) = (x & LOW, x >> 32, constant & LOW, constant >> 32);
    // With x1 and c1 below 2^28 no sum overflows.
    let middle = x0 * c1 + x1 * c0 + ((x0 * c0) >> 32);
    ((x0 * c0) & LOW | middle << 32, x1 * c1 + (middle >> 32))
}

/// d0 + p0 (d1 + p1 (d2 + p2 d3)) of P digits, less the product of all P primes where the top digit says that it stands for a negative value.
#[inline(always)]
fn value<const P: usize>(digits: &[[u32; WIDTH]; 4]) -> ([u64; WIDTH], [u64; WIDTH]) {
    let (mut low, mut high) = ([0; WIDTH], [0; WIDTH]);
    let all = PRIMES[..P].iter().fold(1u128, |product, &p| product * u128::from(p));
    let (all_low, all_high) = (all as u64, (all >> 64) as u64);
    for lane in 0..WIDTH {
        let digit = |i: usize| u64::from(digits[i][lane]);
        let first = digit(0) + digit(1) * u64::from(PRIMES[0]);
        let (mut l, mut h) = (first, 0);
        if P > 2 {
            let rest = if P > 3 { digit(2) + digit(3) * u64::from(PRIMES[2]) } else { digit(2) };
            (l, h) = wide_product(rest, P01);
            l = l.wrapping_add(first);
            h += u64::from(l < first);
        }
        // The magnitude bound keeps values far from the border, so the top digit alone tells the sign.
        let negative = (u64::from(PRIMES[P - 1] / 2).wrapping_sub(digit(P - 1)) >> 63).wrapping_neg();
        let (subtract_low, subtract_high) = (all_low & negative, all_high & negative);
        let borrow = u64::from(l < subtract_low);
        (low[lane], high[lane]) = (l.wrapping_sub(subtract_low), h.wrapping_sub(subtract_high).wrapping_sub(borrow));
    }
    (low, high)
}
