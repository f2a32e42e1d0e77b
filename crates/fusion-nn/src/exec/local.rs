//! Steps without communication: each party applies them to its own shares. All arithmetic is modulo 2^32, which every ring divides.

use fusion_ring::secret::Wiped;
use fusion_rlwe::Shape;

use fusion_model::program::PoolGeometry;

/// `sum of (input << shift)`.
pub(super) fn add(inputs: &[(&[u32], u32)], len: usize) -> Wiped<u32> {
    let mut out = Wiped::<u32>::new(len);
    for &(input, shift) in inputs {
        for (o, &x) in out.iter_mut().zip(input) {
            *o = o.wrapping_add(x.wrapping_shl(shift));
        }
    }
    out
}

/// Channels one after another: with channels outermost this is appending.
pub(super) fn concat(inputs: &[(&[u32], u32)]) -> Wiped<u32> {
    let mut out = Wiped::new(inputs.iter().map(|(input, _)| input.len()).sum());
    let mut rest = &mut out[..];
    for &(input, shift) in inputs {
        let (part, after) = rest.split_at_mut(input.len());
        part.iter_mut().zip(input).for_each(|(o, &x)| *o = x.wrapping_shl(shift));
        rest = after;
    }
    out
}

/// `[c][sample][h][w]` to `[c h w][sample]`.
pub(super) fn flatten(input: &[u32], shape: Shape, samples: usize) -> Wiped<u32> {
    let area = shape.area();
    let mut out = Wiped::new(input.len());
    for (channel, out) in input.chunks_exact(area * samples).zip(out.chunks_exact_mut(area * samples)) {
        for (position, out) in out.chunks_exact_mut(samples).enumerate() {
            out.iter_mut().zip(channel.iter().skip(position).step_by(area)).for_each(|(out, &x)| *out = x);
        }
    }
    out
}

/// `[channel][sample]` of a flat tensor to `[sample][channel]`.
pub(super) fn by_sample(input: &[u32], samples: usize) -> Wiped<u32> {
    Wiped::filled(input.len(), (0..samples).flat_map(|sample| input.iter().skip(sample).step_by(samples).copied()))
}

/// Sums over pooling windows; positions outside count as zero.
pub(super) fn sum_pool(input: &[u32], shape: Shape, output: Shape, pool: &PoolGeometry) -> Wiped<u32> {
    let mut out = Wiped::new(input.len() / shape.area() * output.area());
    let range = |index: usize, stride: usize, before: usize, kernel: usize, size: usize| {
        let from = index * stride;
        from.saturating_sub(before).min(size)..(from + kernel).saturating_sub(before).min(size)
    };
    for (plane, out) in input.chunks_exact(shape.area()).zip(out.chunks_exact_mut(output.area())) {
        for (y, out) in out.chunks_exact_mut(output.width).enumerate() {
            let rows = range(y, pool.stride.0, pool.padding.top, pool.kernel.0, shape.height);
            for (x, out) in out.iter_mut().enumerate() {
                let columns = range(x, pool.stride.1, pool.padding.left, pool.kernel.1, shape.width);
                let cells = rows.clone().flat_map(|row| &plane[row * shape.width..][columns.clone()]);
                *out = cells.fold(0u32, |sum, &v| sum.wrapping_add(v));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_model::program::PoolGeometry;
    use fusion_rlwe::Padding;

    #[test]
    fn flatten_brings_samples_innermost() {
        // Two channels, two samples, 1 x 2 images.
        let input = [0, 1, 10, 11, 2, 3, 12, 13];
        assert_eq!(flatten(&input, Shape::new(2, 1, 2), 2)[..], [0, 10, 1, 11, 2, 12, 3, 13]);
        assert_eq!(by_sample(&[0, 10, 1, 11], 2)[..], [0, 1, 10, 11]);
    }

    #[test]
    fn sums_leave_padding_out() {
        let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding { top: 0, left: 1, bottom: 0, right: 0 } };
        let out = sum_pool(&[1, 2, 3, 4, 5, 6], Shape::new(1, 2, 3), Shape::new(1, 1, 2), &pool);
        assert_eq!(out[..], [1 + 4, 2 + 3 + 5 + 6]);
    }

    #[test]
    fn shifts_and_sums_wrap() {
        assert_eq!(add(&[(&[1, u32::MAX], 1), (&[2, 2], 0)], 2)[..], [4, 0]);
        assert_eq!(concat(&[(&[1], 2), (&[5, 6], 0)])[..], [4, 5, 6]);
    }
}
