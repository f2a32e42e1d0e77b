//! A whole requantisation against its meaning.

use proptest::prelude::*;

use super::*;

/// The numbers in the window, as the shares give them.
fn in_window(shared: &Shared, window: Window) -> Vec<i32> {
    let (c, s) = (
        to_window(Role::Client, &words(&shared.client), window).unwrap(),
        to_window(Role::Server, &words(&shared.server), window).unwrap(),
    );
    c.reveal(&s).unwrap().to_signed().to_vec()
}

fn pooled(x: &[i32], planes: usize, (h, w): (usize, usize), pool: &PoolGeometry) -> Vec<i32> {
    let p = pool.padding;
    let (oh, ow) = ((h + p.top + p.bottom - pool.kernel.0) / pool.stride.0 + 1, (w + p.left + p.right - pool.kernel.1) / pool.stride.1 + 1);
    let mut out = Vec::new();
    for plane in 0..planes {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            let inside = (0..pool.kernel.0 * pool.kernel.1).filter_map(|k| {
                let y = (oy * pool.stride.0 + k / pool.kernel.1).checked_sub(p.top).filter(|&y| y < h)?;
                let x_at = (ox * pool.stride.1 + k % pool.kernel.1).checked_sub(p.left).filter(|&x| x < w)?;
                Some(x[plane * h * w + y * w + x_at])
            });
            out.push(inside.max().unwrap());
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Given the numbers in the window, a whole step is exact: every activation, pooling, width
    /// and ring.
    #[test]
    fn a_requantisation_is_exact(
        (channels, height, width, samples) in (1usize..4, 1usize..7, 1usize..7, 1usize..3),
        (shift, bits, above) in (0u32..9, 3u32..16, 0u32..3),
        out in 1u32..=32,
        (kind, part) in (0usize..3, 0u32..1000),
        pool in prop::option::of((1usize..4, 1usize..4, 1usize..3, 1usize..3, 0usize..2, 0usize..2)),
        seed in 1u32..1000,
    ) {
        let shape = Shape::new(channels, height, width);
        let window = Window { shift, bits };
        let ring = RingBits(shift + bits + above);
        let pool = pool.map(|(kh, kw, sh, sw, before, after)| {
            PoolGeometry { kernel: (kh, kw), stride: (sh, sw), padding: Padding { top: before, left: after, bottom: after, right: before } }
        });
        let ceiling = 1 + part % ((1 << (bits - 1)) - 1);
        let activation = [Activation::Signed, Activation::Relu, Activation::Clip { ceiling }][kind];
        let Ok(step) = Requantise::new(shape, ring, window, pool.as_ref(), activation, RingBits(out)) else {
            prop_assert!(pool.is_some(), "only poolings are impossible here");
            return Ok(());
        };
        // One unit below the limit, which leaves room for rounding up.
        let limit = (1 << (shift + bits - 1)) - (1 << shift) - 1;
        let x: Vec<i32> = values(samples * shape.len(), shift + bits, seed).iter().map(|v| (*v).clamp(-limit, limit)).collect();
        let shared = Shared::new(&x, ring.0);
        // The headroom, where there is any, does not change the numbers.
        let inside = in_window(&shared, window);
        let pair = run(64, |party| step.run(party, &words(shared.of(party))));
        let kept = pool.map_or(inside.clone(), |pool| pooled(&inside, samples * channels, (height, width), &pool));
        prop_assert_eq!(kept.len(), samples * step.output_len());
        let expect = reduced(kept.iter().map(|&v| [v, v.max(0), v.clamp(0, ceiling.cast_signed())][kind]), out);
        prop_assert_eq!(opened(&pair, out), expect);
        same_cost(&pair, step.cost(samples, cut(64)), "requantise");
    }

    /// So is a function, with a free bit of headroom above its window and without; and a product,
    /// of one factor per channel or per number.
    #[test]
    fn functions_and_products_are_exact(
        (channels, height, width, samples) in (1usize..4, 1usize..4, 1usize..4, 1usize..3),
        (shift, bits, above) in (0u32..9, 5u32..16, 0u32..3),
        (out, factor_bits) in (9u32..=31, 3u32..9),
        per_channel in any::<bool>(),
        seed in 1u32..1000,
    ) {
        let shape = Shape::new(channels, height, width);
        let (window, ring) = (Window { shift, bits }, RingBits(shift + bits + above));
        let limit = (1 << (shift + bits - 1)) - (1 << shift) - 1;
        let x: Vec<i32> = values(samples * shape.len(), shift + bits, seed).iter().map(|v| (*v).clamp(-limit, limit)).collect();
        let shared = Shared::new(&x, ring.0);
        let inside = in_window(&shared, window);
        let knots = vec![Knot { at: -7, change: 5 }, Knot { at: 3, change: -4 }];
        let function = Piecewise { fraction: 2, slope: -1, offset: 9, knots, left_out: 1 };
        let step = Evaluate::new(shape, ring, window, &function, RingBits(out)).unwrap();
        let low = |party: &Party<'_>, tensor: &TensorWords| to_window(party.role(), tensor, Window { shift: 0, bits: out });
        let pair = run(64, |party| step.run(party, &words(shared.of(party))).and_then(|y| low(party, &y)));
        let expect: Vec<u32> = inside.iter().map(|&v| function.value(i64::from(v)) as u32 & mask32(out)).collect();
        prop_assert_eq!(opened(&pair, out), expect);
        same_cost(&pair, step.cost(samples, cut(64)), "evaluate");

        let factors = if per_channel { Shape::flat(channels) } else { shape };
        let s = values(samples * factors.len(), factor_bits - 1, seed + 1);
        let (wide, narrow) = (Shared::new(&x, 31), Shared::new(&s, factor_bits));
        let step = Multiply::new(shape, factors, factor_bits, RingBits(out)).unwrap();
        let product = |party: &mut Party<'_>| step.run(party, &words(wide.of(party)), &words(narrow.of(party)));
        let pair = run(64, |party| product(party).and_then(|y| low(party, &y)));
        let each = if per_channel { shape.area() } else { 1 };
        let expect = x.iter().enumerate().map(|(i, x)| x.wrapping_mul(s[i / each]));
        prop_assert_eq!(opened(&pair, out), reduced(expect, out));
        same_cost(&pair, step.cost(samples, cut(64)), "multiply");
    }
}

/// What a linear layer made is refused before a byte is sent, as is what does not fit.
#[test]
fn products_of_noisy_words_and_functions_outside_of_windows_are_misuse() {
    let step = Multiply::new(Shape::flat(1), Shape::flat(1), 4, RingBits(12)).unwrap();
    let noisy = || TensorWords::of_linear(vec![0].into(), RingBits(12));
    let exact = || TensorWords::computed(vec![0].into(), RingBits(12), false);
    // A party that failed refuses everything: each has one of its own.
    for (first, second, refused) in [(true, false, true), (false, true, true), (false, false, false)] {
        let of = |is_noisy: bool| if is_noisy { noisy() } else { exact() };
        let pair = run(64, |party| step.run(party, &of(first), &of(second)).is_err());
        assert_eq!((pair.client.result, pair.server.result), (refused, refused), "{first} {second}");
        assert_eq!(pair.client.traffic.sent == 0, refused);
    }
    assert!(Multiply::new(Shape::new(2, 3, 3), Shape::new(2, 3, 1), 4, RingBits(12)).is_err());
    assert!(Multiply::new(Shape::flat(2), Shape::flat(2), 12, RingBits(12)).is_err());
    let outside = Piecewise { fraction: 0, slope: 0, offset: 0, knots: vec![Knot { at: 16, change: 1 }], left_out: 1 };
    assert!(Evaluate::new(Shape::flat(1), RingBits(12), Window { shift: 2, bits: 5 }, &outside, RingBits(12)).is_err());
    assert!(Evaluate::new(Shape::flat(1), RingBits(12), Window { shift: 2, bits: 6 }, &outside, RingBits(12)).is_ok());
}
