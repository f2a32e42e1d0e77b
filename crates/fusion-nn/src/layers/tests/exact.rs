//! Every layer is exact, and costs what its formula says.

use super::*;

const EDGE_SIZES: [usize; 9] = [0, 1, 63, 64, 65, 127, 128, 129, 1023];

#[test]
fn relu_at_edge_sizes_and_over_many_tiles() {
    for n in EDGE_SIZES {
        for tile in [64, 192, 1 << 16] {
            let x = values(n, 13, n as u32);
            let shared = Shared::new(&x, 13);
            let pair = run(tile, |party| relu(party, shared.of(party), RingBits(25)));
            assert_eq!(opened(&pair, 25), reduced(x.iter().map(|&v| v.max(0)), 25));
            same_cost(&pair, cost::relu(13, 25, Split::default()).of(n, tile), "relu");
        }
    }
}

#[test]
fn relu_costs_its_formula_at_every_width_and_split() {
    for (h, split) in (2..=27u32).flat_map(|h| Split::ALL.map(|split| (h, split))) {
        for out in [1, 2, h - 1, h, h + 1, 25, 31, 32] {
            let x = values(256, h, h + out);
            let shared = Shared::new(&x, h);
            let pair = run_split(128, split, |party| relu(party, shared.of(party), RingBits(out)));
            let expect = reduced(x.iter().map(|&v| v.max(0)), out);
            assert_eq!(opened(&pair, out), expect, "h = {h}, l' = {out}, {split:?}");
            let cost = cost::relu(h, out, split);
            same_cost(&pair, cost.of(256, 128), "relu");
            assert_eq!(pair.client.traffic.total(), 256 / 8 * u64::from(cost.bits));
            assert_eq!(pair.client.traffic.turns, 2 * u64::from(cost.rounds()));
        }
    }
}

/// At h = 6, every number in every sharing, whatever the split.
#[test]
fn relu_is_exact_for_every_pair_of_shares() {
    let all = || (0..64u32).flat_map(|c| (0..64).map(move |s| (c, s)));
    let signed = |(c, s): (u32, u32)| ((c + s) << 26) as i32 >> 26;
    let shared = Shared::from_words(all().map(|pair| pair.0).collect(), all().map(|pair| pair.1).collect(), 6);
    for split in Split::ALL {
        let pair = run_split(1 << 10, split, |party| relu(party, shared.of(party), RingBits(9)));
        let expect = reduced(all().map(|pair| signed(pair).max(0)), 9);
        // -32 has no positive counterpart in the window, and is below what the plan allows.
        let (got, expect): (Vec<u32>, Vec<u32>) =
            opened(&pair, 9).into_iter().zip(expect).zip(all()).filter(|&(_, pair)| signed(pair) != -32).map(|(both, _)| both).unzip();
        assert_eq!(got, expect, "{split:?}");
    }
}

/// At h = 6, every number in every sharing, whatever is left out: as the twin has it.
#[test]
fn coarse_relu_is_the_twins_for_every_pair_of_shares() {
    let all: Vec<(u32, u32)> = (0..64).flat_map(|c| (0..64).map(move |s| (c, s))).collect();
    let shared = Shared::from_words(all.iter().map(|pair| pair.0).collect(), all.iter().map(|pair| pair.1).collect(), 6);
    for (left_out, out) in (1..=4).flat_map(|left_out| [4, 6, 9].map(|out| (left_out, out))) {
        let pair = run(1 << 10, |party| coarse_relu(party, shared.of(party), left_out, RingBits(out)));
        let (mut uncertain, mut wrong) = (0, Vec::new());
        for ((client, server), got) in all.iter().zip(opened(&pair, out)) {
            let v = ((client + server) << 26) as i32 >> 26;
            let most = fusion_model::program::uncertain(left_out).cast_signed();
            let kept = v + most >= (client & ((1 << left_out) - 1)).cast_signed();
            uncertain += u32::from(v != 0 && kept != (v > 0));
            // A window holds numbers up to 31 - u, in the plan's words |v| < 32 - u.
            if v.abs() < 32 - most && got != reduced([if kept { v } else { 0 }], out)[0] {
                wrong.push((client, server));
            }
        }
        assert_eq!(wrong, [], "{left_out} bits left out, {out} bits");
        // Of 64 sharings each: v > 0 is dropped with probability (u + 1 - v) / 2^t, v < 0 kept with
        // (u + 1 + v) / 2^t.
        let u = (1 << (left_out - 1)) - 1;
        assert_eq!(uncertain, (64 * u * (u + 1)) >> left_out, "{left_out} bits left out");
        same_cost(&pair, cost::coarse_relu(6, left_out, out, Split::default()).of(1 << 12, 1 << 10), "coarse_relu");
    }
}

/// The bytes of the formula in either direction, at the size of a layer.
#[test]
fn the_hot_path_costs_84_bits() {
    let x = values(1 << 12, 11, 3);
    let shared = Shared::new(&x, 11);
    let pair = run(TILE, |party| relu(party, shared.of(party), RingBits(26)));
    assert_eq!(pair.client.traffic, Traffic { sent: 30 << 9, received: 54 << 9, turns: 3 });
    assert_eq!(pair.ots, (4 << 12, 3 << 12));
}

#[test]
fn maximum_costs_its_formula_at_every_width() {
    for h in 2..=32 {
        // Differences must fit.
        let a = if h == 2 { vec![0; 192] } else { values(192, h - 1, h) };
        let b: Vec<i32> = a.iter().rev().copied().collect();
        let (shared_a, shared_b) = (Shared::new(&a, h), Shared::new(&b, h));
        let pair = run(TILE, |party| maximum(party, shared_a.of(party), shared_b.of(party)));
        assert_eq!(opened(&pair, h), reduced(a.iter().zip(&b).map(|(a, b)| *a.max(b)), h), "h = {h}");
        let cost = cost::maximum(h, Split::default());
        same_cost(&pair, cost.of(192, TILE), "maximum");
        assert_eq!(pair.client.traffic.turns, u64::from(cost.rounds()));
    }
}

#[test]
fn signed_widening_is_exact_with_and_without_headroom() {
    for h in 3..=31 {
        for (headroom, bits) in [(Headroom::OneBit, h - 1), (Headroom::None, h)] {
            for out in [1, h - 1, h, h + 1, 32] {
                let x = values(150, bits, h);
                let shared = Shared::new(&x, h);
                let pair = run(64, |party| widen_signed(party, shared.of(party), headroom, RingBits(out)));
                assert_eq!(opened(&pair, out), reduced(x.iter().copied(), out), "h = {h}, l' = {out}, {headroom:?}");
                same_cost(&pair, cost::widen_signed(h, headroom, out, Split::default()).of(150, 64), "widen_signed");
            }
        }
    }
}

#[test]
fn argmax_finds_the_lowest_index_of_the_largest() {
    for (samples, classes, h) in [(3, 1, 5), (5, 2, 4), (70, 3, 6), (3, 10, 8), (2, 37, 14), (1, 1000, 14), (4, 100, 4)] {
        // Few distinct values: ties everywhere.
        let x: Vec<i32> = values(samples * classes, h - 1, classes as u32).iter().map(|v| v / 2 * 2).collect();
        let shared = Shared::new(&x, h);
        let pair = run(64, |party| argmax(party, shared.of(party), classes).map(plain));
        let expect: Vec<u32> = x.chunks(classes).map(|sample| (0..classes).rev().max_by_key(|&i| sample[i]).unwrap() as u32).collect();
        assert_eq!(pair.client.result, Ok(Some(expect)), "{classes} classes");
        assert_eq!(pair.server.result, Ok(None));
        let cost = cost::argmax(samples, classes, h, cut(64));
        same_cost(&pair, cost, "argmax");
        assert_eq!(pair.client.traffic.turns, cost.rounds, "{classes} classes of {h} bits");
    }
}

#[test]
fn classify_takes_the_bit_of_headroom_or_makes_one() {
    for ring in [13, 14, 20] {
        let (samples, classes) = (4, 10);
        // Well inside the window, since the server's unit moves them up.
        let x: Vec<i32> = values(samples * classes, 9, 7);
        // All low bits zero on both shares, so that the window step is exact up to the server's one
        // unit, which moves all logits alike.
        let scaled: Vec<i32> = x.iter().map(|v| v << 3).collect();
        let shared = Shared::new(&scaled, ring);
        let low = |c: &u32| c & 7;
        let client = shared.client.words().iter().map(|c| c - low(c)).collect();
        let server = shared.server.words().iter().zip(shared.client.words()).map(|(s, c)| s.wrapping_add(low(c))).collect();
        let shared = Shared::from_words(client, server, ring);
        let window = Window { shift: 3, bits: 10 };
        let pair = run(64, |party| classify(party, &words(shared.of(party)), classes, window).map(plain));
        let expect: Vec<u32> = x.chunks(classes).map(|s| (0..classes).rev().max_by_key(|&i| s[i]).unwrap() as u32).collect();
        assert_eq!(pair.client.result, Ok(Some(expect)), "ring of {ring} bits");
        same_cost(&pair, cost::classify(samples, classes, RingBits(ring), window, cut(64)).unwrap(), "classify");
    }
}
