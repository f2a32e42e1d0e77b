//! Plain convolution and pooling of one sample, generic over the number type: the float evaluator
//! uses `f32`, the twin `f64` that holds exact integers.

use fusion_rlwe::{ConvGeometry, Shape};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, LinalgScalar, Slice};

use crate::program::PoolGeometry;

/// Positions whose columns are gathered at a time. Bounds the scratch memory, which stays in the
/// cache.
const BLOCK_POSITIONS: usize = 2048;

/// Adds the convolution of `input` (`[channel][row][column]`) to `output`.
///
/// `weights` are ordered as [`ConvGeometry`] says. Lengths must match the geometry, which must be
/// possible.
pub(crate) fn add_convolution<T: LinalgScalar>(g: &ConvGeometry, weights: &[T], input: &[T], output: &mut [T]) {
    let Some(shape) = g.output() else { return };
    let taps = g.input.channels / g.groups * g.kernel.0 * g.kernel.1;
    let rows = g.out_channels / g.groups;
    let area = shape.area();
    assert_eq!(input.len(), g.input.len());
    assert_eq!(weights.len(), taps * g.out_channels);
    assert_eq!(output.len(), shape.len());
    let direct = g.kernel == (1, 1) && g.stride == (1, 1) && g.padding == fusion_rlwe::Padding::default();
    let mut columns = vec![T::zero(); if direct { 0 } else { taps * area.min(BLOCK_POSITIONS) }];
    for group in 0..g.groups {
        let in_channels = g.input.channels / g.groups;
        let source = &input[group * in_channels * g.input.area()..][..in_channels * g.input.area()];
        let w = view(&weights[group * rows * taps..][..rows * taps], rows, taps);
        let out = &mut output[group * rows * area..][..rows * area];
        let mut out = ArrayViewMut2::from_shape((rows, area), out).expect("rows * area elements by the assertion above");
        if direct {
            general_mat_mul(T::one(), &w, &view(source, taps, area), T::one(), &mut out);
            continue;
        }
        for start in (0..area).step_by(BLOCK_POSITIONS) {
            let n = BLOCK_POSITIONS.min(area - start);
            gather(g, shape, source, start, n, &mut columns[..taps * n]);
            let mut part = out.slice_axis_mut(Axis(1), Slice::from(start..start + n));
            general_mat_mul(T::one(), &w, &view(&columns[..taps * n], taps, n), T::one(), &mut part);
        }
    }
}

fn view<T>(data: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), data).expect("callers pass rows * columns elements")
}

/// Fills `columns[tap][position]` for output positions `start..start + n`; padding reads as zero.
fn gather<T: LinalgScalar>(g: &ConvGeometry, output: Shape, source: &[T], start: usize, n: usize, columns: &mut [T]) {
    let (height, width) = (g.input.height, g.input.width);
    let mut rest = columns;
    for plane in source.chunks_exact(height * width) {
        for ky in 0..g.kernel.0 {
            for kx in 0..g.kernel.1 {
                let (row, tail) = rest.split_at_mut(n);
                rest = tail;
                let mut done = 0;
                while done < n {
                    let (oy, ox) = ((start + done) / output.width, (start + done) % output.width);
                    let run = (output.width - ox).min(n - done);
                    let target = &mut row[done..done + run];
                    done += run;
                    let y = (oy * g.stride.0 + ky * g.dilation.0).wrapping_sub(g.padding.top);
                    if y >= height {
                        target.fill(T::zero());
                        continue;
                    }
                    let line = &plane[y * width..][..width];
                    let x0 = (ox * g.stride.1 + kx * g.dilation.1).wrapping_sub(g.padding.left);
                    if g.stride.1 == 1 && x0 < width && x0 + run <= width {
                        target.copy_from_slice(&line[x0..x0 + run]);
                    } else {
                        for (i, t) in target.iter_mut().enumerate() {
                            *t = line.get(x0.wrapping_add(i * g.stride.1)).copied().unwrap_or(T::zero());
                        }
                    }
                }
            }
        }
    }
}

/// Folds every pooling window of every channel: `fold(accumulator, element)` over the elements
/// inside the image, row by row, starting from the first such element.
pub(crate) fn pool<T: Copy>(pool: &PoolGeometry, shape: Shape, input: &[T], mut fold: impl FnMut(T, T) -> T) -> Vec<T> {
    let Some(out) = pool.output(shape) else { return Vec::new() };
    let mut result = Vec::with_capacity(out.len());
    let span = |o: usize, stride: usize, before: usize, kernel: usize, size: usize| {
        let first = o * stride;
        first.saturating_sub(before)..(first + kernel).saturating_sub(before).min(size)
    };
    for plane in input.chunks_exact(shape.area()) {
        for oy in 0..out.height {
            let rows = span(oy, pool.stride.0, pool.padding.top, pool.kernel.0, shape.height);
            for ox in 0..out.width {
                let columns = span(ox, pool.stride.1, pool.padding.left, pool.kernel.1, shape.width);
                let mut accumulator = None;
                for y in rows.clone() {
                    for &value in &plane[y * shape.width + columns.start..y * shape.width + columns.end] {
                        accumulator = Some(accumulator.map_or(value, |a| fold(a, value)));
                    }
                }
                // `PoolGeometry::output` refuses windows that lie wholly in the padding.
                result.extend(accumulator);
            }
        }
    }
    result
}
