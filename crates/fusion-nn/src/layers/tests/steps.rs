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
        signed in any::<bool>(),
        pool in prop::option::of((1usize..4, 1usize..4, 1usize..3, 1usize..3, 0usize..2, 0usize..2)),
        seed in 1u32..1000,
    ) {
        let shape = Shape::new(channels, height, width);
        let window = Window { shift, bits };
        let ring = RingBits(shift + bits + above);
        let pool = pool.map(|(kh, kw, sh, sw, before, after)| {
            PoolGeometry { kernel: (kh, kw), stride: (sh, sw), padding: Padding { top: before, left: after, bottom: after, right: before } }
        });
        let activation = if signed { Activation::Signed } else { Activation::Relu };
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
        let expect = reduced(kept.iter().map(|&v| if signed { v } else { v.max(0) }), out);
        prop_assert_eq!(opened(&pair, out), expect);
        same_cost(&pair, step.cost(samples, cut(64)), "requantise");
    }
}
