//! Steps without communication: each party applies them to its own shares. All arithmetic is modulo
//! 2^32, which every ring divides, and reduced at the end.

use fusion_model::program::{PoolGeometry, RingBits, TensorSpec};
use fusion_ring::secret::Wiped;
use fusion_rlwe::Shape;

use crate::layers::AdditiveShares;

/// `sum of (input << shift)`.
pub(super) fn add(inputs: &[(&AdditiveShares, u32)], len: usize, ring: RingBits) -> AdditiveShares {
    let mut out = Wiped::<u32>::new(len);
    for &(input, shift) in inputs {
        for (o, &x) in out.iter_mut().zip(input.words()) {
            *o = o.wrapping_add(x.wrapping_shl(shift));
        }
    }
    AdditiveShares::from_words(out, ring)
}

/// Channels one after another: with channels outermost this is appending.
pub(super) fn concat(inputs: &[(&AdditiveShares, u32)], ring: RingBits) -> AdditiveShares {
    let mut out = Wiped::new(inputs.iter().map(|(input, _)| input.len()).sum());
    let mut rest = &mut out[..];
    for &(input, shift) in inputs {
        let (part, after) = rest.split_at_mut(input.len());
        part.iter_mut().zip(input.words()).for_each(|(o, &x)| *o = x.wrapping_shl(shift));
        rest = after;
    }
    AdditiveShares::from_words(out, ring)
}

/// `[c][sample][h][w]` to `[c h w][sample]`.
pub(super) fn flatten(input: &AdditiveShares, shape: Shape, samples: usize, ring: RingBits) -> AdditiveShares {
    let area = shape.area();
    let mut out = Wiped::new(input.len());
    for (channel, out) in input.words().chunks_exact(area * samples).zip(out.chunks_exact_mut(area * samples)) {
        for (position, out) in out.chunks_exact_mut(samples).enumerate() {
            out.iter_mut().zip(channel.iter().skip(position).step_by(area)).for_each(|(out, &x)| *out = x);
        }
    }
    AdditiveShares::from_words(out, ring)
}

/// `[channel][sample]` of a flat tensor to `[sample][channel]`.
pub(super) fn by_sample(input: &AdditiveShares, samples: usize) -> AdditiveShares {
    let turned = (0..samples).flat_map(|sample| input.words().iter().skip(sample).step_by(samples).copied());
    AdditiveShares::from_reduced(Wiped::filled(input.len(), turned), input.ring())
}

/// Sums over pooling windows; positions outside count as zero.
pub(super) fn sum_pool(input: &AdditiveShares, shape: Shape, output: &TensorSpec, pool: &PoolGeometry) -> AdditiveShares {
    let (area, width) = (output.shape.area(), output.shape.width);
    let mut out = Wiped::new(input.len() / shape.area() * area);
    let range = |index: usize, stride: usize, before: usize, kernel: usize, size: usize| {
        let from = index * stride;
        from.saturating_sub(before).min(size)..(from + kernel).saturating_sub(before).min(size)
    };
    for (plane, out) in input.words().chunks_exact(shape.area()).zip(out.chunks_exact_mut(area)) {
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let rows = range(y, pool.stride.0, pool.padding.top, pool.kernel.0, shape.height);
            for (x, out) in out.iter_mut().enumerate() {
                let columns = range(x, pool.stride.1, pool.padding.left, pool.kernel.1, shape.width);
                let cells = rows.clone().flat_map(|row| &plane[row * shape.width..][columns.clone()]);
                *out = cells.fold(0u32, |sum, &v| sum.wrapping_add(v));
            }
        }
    }
    AdditiveShares::from_words(out, output.ring)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_rlwe::Padding;

    const RING: RingBits = RingBits(32);

    fn shares(words: &[u32]) -> AdditiveShares {
        AdditiveShares::from_words(words.to_vec(), RING)
    }

    #[test]
    fn flatten_brings_samples_innermost() {
        // Two channels, two samples, 1 x 2 images.
        let input = shares(&[0, 1, 10, 11, 2, 3, 12, 13]);
        assert_eq!(flatten(&input, Shape::new(2, 1, 2), 2, RING).words(), [0, 10, 1, 11, 2, 12, 3, 13]);
        assert_eq!(by_sample(&shares(&[0, 10, 1, 11]), 2).words(), [0, 1, 10, 11]);
    }

    #[test]
    fn sums_leave_padding_out() {
        let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding { top: 0, left: 1, bottom: 0, right: 0 } };
        let output = TensorSpec { shape: Shape::new(1, 1, 2), ring: RING, frac: 0 };
        let out = sum_pool(&shares(&[1, 2, 3, 4, 5, 6]), Shape::new(1, 2, 3), &output, &pool);
        assert_eq!(out.words(), [1 + 4, 2 + 3 + 5 + 6]);
    }

    #[test]
    fn shifts_and_sums_wrap() {
        assert_eq!(add(&[(&shares(&[1, u32::MAX]), 1), (&shares(&[2, 2]), 0)], 2, RING).words(), [4, 0]);
        assert_eq!(add(&[(&shares(&[1, 7]), 1), (&shares(&[2, 2]), 0)], 2, RingBits(3)).words(), [4, 0]);
        assert_eq!(concat(&[(&shares(&[1]), 2), (&shares(&[5, 6]), 0)], RING).words(), [4, 5, 6]);
    }
}
