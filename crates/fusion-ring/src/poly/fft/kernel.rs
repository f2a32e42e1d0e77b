//! The transforms, written once over [`F64x8`] and compiled for each tier, and the ways into and
//! out of doubles.

use super::f64x8::{F64x8, Portable, WIDTH};
use super::points::{BLOCK, BLOCKS, DEGREE, POINTS, Point, Points, VECTORS, WIDE_STEP, slot};
use super::twiddles::{LaneRoot, Root, twiddles};
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::Tier;

/// Compiles a body for AVX-512, AVX2 with FMA and the baseline, and picks one by tier.
macro_rules! per_lanes {
    ($(#[$doc:meta])* $name:ident = $body:ident ( $($arg:ident : $ty:ty),* )) => {
        $(#[$doc])*
        pub(super) fn $name(tier: Tier, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $ty),*) {
                    $body::<super::f64x8::Avx512>($($arg),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    $body::<super::f64x8::Avx2>($($arg),*);
                }
                if tier.has(Level::Avx512) {
                    // SAFETY: the token proves that the CPU has these features.
                    return unsafe { avx512($($arg),*) };
                }
                if tier.has(Level::Avx2) {
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
    /// Forward transform in place; the result is in the order that `multiply` reads.
    forward = forward_body(points: &mut Points)
}
per_lanes! {
    /// `out` = inverse transform of the pointwise product, times [`POINTS`].
    multiply = multiply_body(a: &Points, b: &Points, out: &mut Points)
}
per_lanes! {
    /// Small coefficients as doubles: coefficient k is the real, coefficient k + 1024 the imaginary
    /// part of point k.
    load_small = load_small_body(coefficients: &[i8], points: &mut Points)
}
per_lanes! {
    /// Words as signed integers, in the same places.
    load_words = load_words_body(words: &[u32], points: &mut Points)
}
per_lanes! {
    /// The integers nearest to a product's coefficients `start..start + out.len()`, below 2^51 in
    /// magnitude, modulo 2^32.
    round = round_body(points: &Points, start: usize, out: &mut [u32])
}
per_lanes! {
    /// As `round`, but adds to `out`.
    add_rounded = add_rounded_body(points: &Points, start: usize, out: &mut [u32])
}

/// Distance between the vectors of a butterfly of the next two levels.
const NEAR_STEP: usize = BLOCK / 4;
/// Groups in a block. A group does its last six levels in registers.
const GROUPS: usize = BLOCK / 8;

/// Eight complex numbers in registers.
#[derive(Clone, Copy)]
struct Complex<V> {
    re: V,
    im: V,
}

impl<V: F64x8> Complex<V> {
    #[inline(always)]
    fn load(from: &Point) -> Self {
        Self { re: V::load(&from.re), im: V::load(&from.im) }
    }

    #[inline(always)]
    fn store(self, to: &mut Point) {
        self.re.store(&mut to.re);
        self.im.store(&mut to.im);
    }

    #[inline(always)]
    fn splat(root: Root) -> Self {
        Self { re: V::splat(root.re), im: V::splat(root.im) }
    }

    #[inline(always)]
    fn lanes(root: &LaneRoot) -> Self {
        Self { re: V::load(&root.re), im: V::load(&root.im) }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self { re: self.im.times_from(other.im, self.re.mul(other.re)), im: self.im.times_plus(other.re, self.re.mul(other.im)) }
    }
}

/// (u + z v, u - z v).
#[inline(always)]
fn split<V: F64x8>(u: Complex<V>, v: Complex<V>, z: Complex<V>) -> (Complex<V>, Complex<V>) {
    let sum = Complex { re: v.im.times_from(z.im, v.re.times_plus(z.re, u.re)), im: v.re.times_plus(z.im, v.im.times_plus(z.re, u.im)) };
    // 2u - (u + z v): one operation instead of two.
    let two = V::splat(2.0);
    (sum, Complex { re: u.re.times_minus(two, sum.re), im: u.im.times_minus(two, sum.im) })
}

/// (x + y, (x - y) / z) for z on the unit circle.
#[inline(always)]
fn merge<V: F64x8>(x: Complex<V>, y: Complex<V>, z: Complex<V>) -> (Complex<V>, Complex<V>) {
    let (re, im) = (x.re.sub(y.re), x.im.sub(y.im));
    let sum = Complex { re: x.re.add(y.re), im: x.im.add(y.im) };
    (sum, Complex { re: im.times_plus(z.im, re.mul(z.re)), im: re.times_from(z.im, im.mul(z.re)) })
}

/// Three levels: one block of eight becomes eight blocks of one. `z` gives the roots of the levels,
/// 1 + 2 + 4.
#[inline(always)]
fn split_eight<V: F64x8>(tile: &mut [Complex<V>; 8], z: impl Fn(usize) -> Complex<V>) {
    for (parts, t) in [(1, 4), (2, 2), (4, 1)] {
        for part in 0..parts {
            let root = z(parts - 1 + part);
            for r in 2 * part * t..2 * part * t + t {
                (tile[r], tile[r + t]) = split(tile[r], tile[r + t], root);
            }
        }
    }
}

/// The inverse of [`split_eight`], times eight.
#[inline(always)]
fn merge_eight<V: F64x8>(tile: &mut [Complex<V>; 8], z: impl Fn(usize) -> Complex<V>) {
    for (parts, t) in [(4, 1), (2, 2), (1, 4)] {
        for part in 0..parts {
            let root = z(parts - 1 + part);
            for r in 2 * part * t..2 * part * t + t {
                (tile[r], tile[r + t]) = merge(tile[r], tile[r + t], root);
            }
        }
    }
}

/// Index of root `index` (1 + 2 + 4 by level) below node `top`.
#[inline(always)]
fn below(top: usize, index: usize) -> usize {
    match index {
        0 => top,
        1 | 2 => 2 * top + index - 1,
        _ => 4 * top + index - 3,
    }
}

#[inline(always)]
fn transposed<V: F64x8>(tile: [Complex<V>; 8]) -> [Complex<V>; 8] {
    let [a, b, c, d, e, f, g, h] = tile;
    let re = V::transposed([a.re, b.re, c.re, d.re, e.re, f.re, g.re, h.re]);
    let im = V::transposed([a.im, b.im, c.im, d.im, e.im, f.im, g.im, h.im]);
    let mut out = tile;
    for (out, (re, im)) in out.iter_mut().zip(re.into_iter().zip(im)) {
        *out = Complex { re, im };
    }
    out
}

/// Loads K vectors, `step` apart. There are loops instead of closures here and below, because a
/// closure is not compiled for the features of the tier and then cannot inline their instructions.
#[inline(always)]
fn gather<V: F64x8, const K: usize>(points: &Points, first: usize, step: usize) -> [Complex<V>; K] {
    let zero = V::splat(0.0);
    let mut tile = [Complex { re: zero, im: zero }; K];
    for k in 0..K {
        tile[k] = Complex::load(&points[first + step * k]);
    }
    tile
}

#[inline(always)]
fn scatter<V: F64x8, const K: usize>(tile: [Complex<V>; K], points: &mut Points, first: usize, step: usize) {
    for k in 0..K {
        tile[k].store(&mut points[first + step * k]);
    }
}

/// Two levels: one block of four becomes four blocks of one. `z` has the roots of the levels, 1 +
/// 2.
#[inline(always)]
fn split_four<V: F64x8>(tile: &mut [Complex<V>; 4], z: [Complex<V>; 3]) {
    (tile[0], tile[2]) = split(tile[0], tile[2], z[0]);
    (tile[1], tile[3]) = split(tile[1], tile[3], z[0]);
    (tile[0], tile[1]) = split(tile[0], tile[1], z[1]);
    (tile[2], tile[3]) = split(tile[2], tile[3], z[2]);
}

/// The inverse of [`split_four`], times four.
#[inline(always)]
fn merge_four<V: F64x8>(tile: &mut [Complex<V>; 4], z: [Complex<V>; 3]) {
    (tile[0], tile[1]) = merge(tile[0], tile[1], z[1]);
    (tile[2], tile[3]) = merge(tile[2], tile[3], z[2]);
    (tile[0], tile[2]) = merge(tile[0], tile[2], z[0]);
    (tile[1], tile[3]) = merge(tile[1], tile[3], z[0]);
}

#[inline(always)]
fn forward_body<V: F64x8>(points: &mut Points) {
    let twiddles = twiddles();
    let node = |h: usize| Complex::<V>::splat(twiddles.nodes[h]);
    for first in 0..BLOCK {
        let mut tile = gather::<V, 4>(points, first, WIDE_STEP);
        split_four(&mut tile, [node(1), node(2), node(3)]);
        scatter(tile, points, first, WIDE_STEP);
    }
    for block in 0..BLOCKS {
        let roots = [node(BLOCKS + block), node(2 * (BLOCKS + block)), node(2 * (BLOCKS + block) + 1)];
        for first in block * WIDE_STEP..block * WIDE_STEP + NEAR_STEP {
            let mut tile = gather::<V, 4>(points, first, NEAR_STEP);
            split_four(&mut tile, roots);
            scatter(tile, points, first, NEAR_STEP);
        }
        for group in GROUPS * block..GROUPS * (block + 1) {
            let lanes = &twiddles.lanes[group];
            let first = slot(8 * group);
            let mut tile = gather::<V, 8>(points, first, 1);
            split_eight(&mut tile, |i| node(below(BLOCKS * GROUPS + group, i)));
            let mut tile = transposed(tile);
            split_eight(&mut tile, |i| Complex::lanes(&lanes[i]));
            // The transform domain stays transposed: only pointwise products happen there.
            scatter(tile, points, first, 1);
        }
    }
}

#[inline(always)]
fn multiply_body<V: F64x8>(a: &Points, b: &Points, out: &mut Points) {
    let twiddles = twiddles();
    let node = |h: usize| Complex::<V>::splat(twiddles.nodes[h]);
    for block in 0..BLOCKS {
        for group in GROUPS * block..GROUPS * (block + 1) {
            let lanes = &twiddles.lanes[group];
            let first = slot(8 * group);
            let mut tile = gather::<V, 8>(a, first, 1);
            let factor = gather::<V, 8>(b, first, 1);
            for k in 0..8 {
                tile[k] = tile[k].times(factor[k]);
            }
            merge_eight(&mut tile, |i| Complex::lanes(&lanes[i]));
            let mut tile = transposed(tile);
            merge_eight(&mut tile, |i| node(below(BLOCKS * GROUPS + group, i)));
            scatter(tile, out, first, 1);
        }
        let roots = [node(BLOCKS + block), node(2 * (BLOCKS + block)), node(2 * (BLOCKS + block) + 1)];
        for first in block * WIDE_STEP..block * WIDE_STEP + NEAR_STEP {
            let mut tile = gather::<V, 4>(out, first, NEAR_STEP);
            merge_four(&mut tile, roots);
            scatter(tile, out, first, NEAR_STEP);
        }
    }
    for first in 0..BLOCK {
        let mut tile = gather::<V, 4>(out, first, WIDE_STEP);
        merge_four(&mut tile, [node(1), node(2), node(3)]);
        scatter(tile, out, first, WIDE_STEP);
    }
}

#[inline(always)]
fn load_small_body<V: F64x8>(coefficients: &[i8], points: &mut Points) {
    let (re, im) = coefficients.split_at(DEGREE / 2);
    for (k, (re, im)) in re.as_chunks::<WIDTH>().0.iter().zip(im.as_chunks::<WIDTH>().0).enumerate() {
        let point = &mut points[slot(k)];
        V::from_small(re).store(&mut point.re);
        V::from_small(im).store(&mut point.im);
    }
}

#[inline(always)]
fn load_words_body<V: F64x8>(words: &[u32], points: &mut Points) {
    let (re, im) = words.split_at(DEGREE / 2);
    for (k, (re, im)) in re.as_chunks::<WIDTH>().0.iter().zip(im.as_chunks::<WIDTH>().0).enumerate() {
        let point = &mut points[slot(k)];
        V::from_words(re).store(&mut point.re);
        V::from_words(im).store(&mut point.im);
    }
}

#[inline(always)]
fn round_body<V: F64x8>(points: &Points, start: usize, out: &mut [u32]) {
    place_body::<V, false>(points, start, out);
}

#[inline(always)]
fn add_rounded_body<V: F64x8>(points: &Points, start: usize, out: &mut [u32]) {
    place_body::<V, true>(points, start, out);
}

#[inline(always)]
fn place_body<V: F64x8, const ADD: bool>(points: &Points, start: usize, out: &mut [u32]) {
    let end = start + out.len();
    // Coefficients of the lower half are real parts, those of the upper half imaginary parts.
    for vector in start / WIDTH..end.div_ceil(WIDTH) {
        let part = if vector < VECTORS { &points[slot(vector)].re } else { &points[slot(vector - VECTORS)].im };
        let nearest = V::load(part).nearest(UNSCALE);
        let first = vector * WIDTH;
        if let Some(whole) = first.checked_sub(start).and_then(|at| out.get_mut(at..)?.first_chunk_mut::<WIDTH>()) {
            put::<ADD>(whole, &nearest);
        } else {
            let (from, to) = (start.max(first), end.min(first + WIDTH));
            put::<ADD>(&mut out[from - start..to - start], &nearest[from - first..to - first]);
        }
    }
}

#[inline(always)]
fn put<const ADD: bool>(out: &mut [u32], values: &[u32]) {
    for (out, &value) in out.iter_mut().zip(values) {
        *out = if ADD { out.wrapping_add(value) } else { value };
    }
}

/// The inverse transform multiplies by the number of points.
const UNSCALE: f64 = 1.0 / POINTS as f64;
