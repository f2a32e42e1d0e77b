//! Steps that evaluate a function or a product, or take channels.

use super::carry::TruncationCarry;
use super::step::{Reading, window};
use crate::program::{Piecewise, uncertain};

pub(super) fn piecewise(values: &[i64], reading: Reading, function: &Piecewise, carries: &mut TruncationCarry<'_>) -> (Vec<i64>, u64) {
    let (mut kept, overflows) = window(values, reading, carries);
    let near = i64::from(uncertain(function.left_out));
    for v in &mut kept {
        let mut value = function.value(*v);
        for knot in &function.knots {
            // The low bits of the client's share, as the comparison drops them.
            let beyond = *v - i64::from(knot.at);
            if beyond.abs() <= near && near > 0 {
                let above = beyond + near >= carries.draw(function.left_out);
                value += i64::from(knot.change) * (if above { beyond } else { 0 } - beyond.max(0));
            }
        }
        *v = value;
    }
    (kept, overflows)
}

/// Each number of `factor` belongs to `input.len() / factor.len()` neighbouring ones of the input.
pub(super) fn multiply(input: &[i64], factor: &[i64], factor_bits: u32) -> (Vec<i64>, u64) {
    let end = 1i64 << (factor_bits - 2);
    let each = (input.len() / factor.len().max(1)).max(1);
    let product = input.chunks(each).zip(factor).flat_map(|(xs, &s)| xs.iter().map(move |x| x.wrapping_mul(s))).collect();
    (product, factor.iter().filter(|s| s.abs() >= end).count() as u64)
}

pub(super) fn select(input: &[i64], area: usize, channels: &[Option<usize>]) -> Vec<i64> {
    let plane = |channel: &Option<usize>| channel.map_or(vec![0; area], |c| input[c * area..][..area].to_vec());
    channels.iter().flat_map(plane).collect()
}

#[cfg(test)]
mod tests {
    use fusion_rlwe::Shape;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::program::{Activation, Knot, Window};
    use crate::twin::step::requantise;

    #[test]
    fn functions_are_those_of_the_program() {
        let reading = Reading::exact(Window { shift: 0, bits: 6 });
        let values: Vec<i64> = (-31..32).collect();
        let shape = Shape::flat(values.len());
        let (clipped, overflows) = requantise(&values, shape, reading, None, Activation::Clip { ceiling: 9 }, &mut TruncationCarry::Zero);
        assert!(clipped.iter().zip(&values).all(|(c, &v)| *c == v.clamp(0, 9)) && overflows == 0);
        let knots = vec![Knot { at: -5, change: 3 }, Knot { at: 8, change: -4 }];
        let function = Piecewise { fraction: 1, slope: 1, offset: 7, knots, left_out: 1 };
        let (exact, overflows) = piecewise(&values, reading, &function, &mut TruncationCarry::Zero);
        assert!(exact.iter().zip(&values).all(|(y, &v)| *y == function.value(v)) && overflows == 0);
        // With two bits left out, a number one away from a knot may be on its other side.
        let coarse = Piecewise { left_out: 2, ..function.clone() };
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let mut differing = std::collections::BTreeSet::new();
        for _ in 0..60 {
            let (near, _) = piecewise(&values, reading, &coarse, &mut TruncationCarry::Random(&mut rng));
            for ((y, &v), e) in near.iter().zip(&values).zip(&exact) {
                let change = if v < 0 { 3 } else { 4 };
                assert!((y - e).abs() <= change, "{v}");
                differing.extend((y != e).then_some(v));
            }
        }
        assert_eq!(differing.into_iter().collect::<Vec<_>>(), [-6, -4, 7, 9]);
        assert_eq!(multiply(&[3, -4, 5, 6], &[2, -7], 5), (vec![6, -8, -35, -42], 0));
        assert_eq!(multiply(&[3, -4], &[8, -8], 5), (vec![24, 32], 2));
        assert_eq!(select(&[1, 2, 3, 4], 2, &[Some(1), None, Some(1)]), [3, 4, 0, 0, 3, 4]);
    }
}
