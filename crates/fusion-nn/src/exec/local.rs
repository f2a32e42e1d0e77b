//! Steps without communication: each party applies them to its own shares. All arithmetic is modulo
//! 2^32: numbers are at the top of their words, and what overflows is what their rings drop.

use fusion_model::program::{PoolGeometry, RingBits, TensorSpec};
use fusion_ring::secret::Wiped;
use fusion_rlwe::Shape;

use crate::layers::TensorWords;

/// `word << shift`, also where nothing is left of it.
fn shifted(word: u32, shift: u32) -> u32 {
    word.checked_shl(shift).unwrap_or(0)
}

/// By how much the words of `input`, shifted left by `shift` as numbers, move to stand at the top
/// for `ring`. A checked program has no input of too narrow a ring.
fn move_up(input: &TensorWords, shift: u32, ring: RingBits) -> u32 {
    (shift + input.ring().0).saturating_sub(ring.0)
}

fn any_noisy(inputs: &[(&TensorWords, u32)]) -> bool {
    inputs.iter().any(|(input, _)| input.noisy())
}

/// `sum of (input << shift)`.
pub(super) fn add(inputs: &[(&TensorWords, u32)], len: usize, ring: RingBits) -> TensorWords {
    let mut out = Wiped::<u32>::new(len);
    for &(input, shift) in inputs {
        let up = move_up(input, shift, ring);
        for (o, &x) in out.iter_mut().zip(input.words()) {
            *o = o.wrapping_add(shifted(x, up));
        }
    }
    TensorWords::computed(out, ring, any_noisy(inputs))
}

/// Channels one after another: with channels outermost this is appending.
pub(super) fn concat(inputs: &[(&TensorWords, u32)], ring: RingBits) -> TensorWords {
    let mut out = Wiped::new(inputs.iter().map(|(input, _)| input.len()).sum());
    let mut rest = &mut out[..];
    for &(input, shift) in inputs {
        let up = move_up(input, shift, ring);
        let (part, after) = rest.split_at_mut(input.len());
        part.iter_mut().zip(input.words()).for_each(|(o, &x)| *o = shifted(x, up));
        rest = after;
    }
    TensorWords::computed(out, ring, any_noisy(inputs))
}

/// Channels of `each` numbers by their index; zero where there is none. Both parties' shares of a
/// zero are zero.
pub(super) fn select(input: &TensorWords, each: usize, channels: &[Option<usize>], ring: RingBits) -> TensorWords {
    let up = move_up(input, 0, ring);
    let mut out = Wiped::new(each * channels.len());
    for (channel, out) in channels.iter().zip(out.chunks_exact_mut(each)) {
        let Some(channel) = channel else { continue };
        out.iter_mut().zip(&input.words()[channel * each..][..each]).for_each(|(o, &x)| *o = shifted(x, up));
    }
    TensorWords::computed(out, ring, input.noisy())
}

/// `[c][sample][h][w]` to `[c h w][sample]`.
pub(super) fn flatten(input: &TensorWords, shape: Shape, samples: usize, ring: RingBits) -> TensorWords {
    let (area, up) = (shape.area(), move_up(input, 0, ring));
    let mut out = Wiped::new(input.len());
    for (channel, out) in input.words().chunks_exact(area * samples).zip(out.chunks_exact_mut(area * samples)) {
        for (position, out) in out.chunks_exact_mut(samples).enumerate() {
            out.iter_mut().zip(channel.iter().skip(position).step_by(area)).for_each(|(out, &x)| *out = shifted(x, up));
        }
    }
    TensorWords::computed(out, ring, input.noisy())
}

/// `[channel][sample]` of a flat tensor to `[sample][channel]`.
pub(super) fn by_sample(input: &TensorWords, samples: usize) -> TensorWords {
    let turned = (0..samples).flat_map(|sample| input.words().iter().skip(sample).step_by(samples).copied());
    TensorWords::computed(Wiped::filled(input.len(), turned), input.ring(), input.noisy())
}

/// Sums over pooling windows; positions outside count as zero.
pub(super) fn sum_pool(input: &TensorWords, shape: Shape, output: &TensorSpec, pool: &PoolGeometry) -> TensorWords {
    let (area, width) = (output.shape.area(), output.shape.width);
    let up = move_up(input, 0, output.ring);
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
                *out = shifted(cells.fold(0u32, |sum, &v| sum.wrapping_add(v)), up);
            }
        }
    }
    TensorWords::computed(out, output.ring, input.noisy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_rlwe::Padding;

    const RING: RingBits = RingBits(32);

    fn tensor(words: &[u32]) -> TensorWords {
        of(words, 32)
    }

    /// Numbers modulo 2^`ring`, at the top of their words.
    fn of(numbers: &[u32], ring: u32) -> TensorWords {
        let words = numbers.iter().map(|number| number << (32 - ring)).collect::<Vec<_>>();
        TensorWords::computed(words.into(), RingBits(ring), false)
    }

    #[test]
    fn flatten_brings_samples_innermost() {
        // Two channels, two samples, 1 x 2 images.
        let input = tensor(&[0, 1, 10, 11, 2, 3, 12, 13]);
        assert_eq!(flatten(&input, Shape::new(2, 1, 2), 2, RING).words(), [0, 10, 1, 11, 2, 12, 3, 13]);
        assert_eq!(by_sample(&tensor(&[0, 10, 1, 11]), 2).words(), [0, 1, 10, 11]);
    }

    #[test]
    fn sums_leave_padding_out() {
        let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding { top: 0, left: 1, bottom: 0, right: 0 } };
        let output = TensorSpec { shape: Shape::new(1, 1, 2), ring: RingBits(30), frac: 0 };
        let out = sum_pool(&of(&[1, 2, 3, 4, 5, 6], 31), Shape::new(1, 2, 3), &output, &pool);
        assert_eq!(out.words(), of(&[1 + 4, 2 + 3 + 5 + 6], 30).words());
    }

    #[test]
    fn shifts_and_sums_wrap() {
        assert_eq!(add(&[(&tensor(&[1, u32::MAX]), 1), (&tensor(&[2, 2]), 0)], 2, RING).words(), [4, 0]);
        assert_eq!(concat(&[(&tensor(&[1]), 2), (&tensor(&[5, 6]), 0)], RING).words(), [4, 5, 6]);
    }

    /// Tensors of different rings and scales, two readers of one of them with different rings.
    #[test]
    fn rings_meet_at_the_top_of_a_word() {
        let (wide, narrow) = (of(&[5, 100], 20), of(&[7, 1], 12));
        let sum = add(&[(&wide, 0), (&narrow, 3)], 2, RingBits(15));
        assert_eq!(sum.words(), of(&[5 + (7 << 3), 100 + (1 << 3)], 15).words());
        let sum = add(&[(&wide, 0), (&narrow, 0)], 2, RingBits(12));
        assert_eq!(sum.words(), of(&[12, 101], 12).words());
        let both = concat(&[(&wide, 1), (&narrow, 9)], RingBits(20));
        assert_eq!(both.words(), of(&[10, 200, 7 << 9, 1 << 9], 20).words());
        assert_eq!(add(&[(&narrow, 31)], 2, RingBits(1)).words(), [0, 0]);
    }

    #[test]
    fn noise_is_remembered() {
        let noisy = TensorWords::of_linear(vec![1, 2].into(), RING);
        let exact = tensor(&[1, 2]);
        assert!(add(&[(&exact, 0), (&noisy, 0)], 2, RING).noisy() && !add(&[(&exact, 0)], 2, RING).noisy());
        assert!(concat(&[(&noisy, 0), (&exact, 0)], RING).noisy() && !concat(&[(&exact, 0)], RING).noisy());
        assert!(by_sample(&noisy, 1).noisy() && flatten(&noisy, Shape::flat(2), 1, RING).noisy());
    }
}
