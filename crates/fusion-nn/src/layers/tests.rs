//! Two parties on ideal OT: exactness, cost to the byte, hostile peers, pinned transcripts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, SenderPads};
use fusion_ot::{OtError, ideal};
use fusion_ring::bits::pack::mask32;
use fusion_ring::channel::{Channel, ChannelError, Traffic, memory_pair};
use fusion_ring::secret::Wiped;
use fusion_rlwe::{Padding, Shape};
use proptest::prelude::*;
use sha3::{Digest, Sha3_256};

use super::cost::Total;
use super::*;
use fusion_model::program::{Activation, PoolGeometry, RingBits, Window};

/// What one party did.
struct Ran<R> {
    result: R,
    traffic: Traffic,
}

/// Counts OTs of one direction: m-ary and binary.
#[derive(Default)]
struct Count([AtomicU64; 2]);

struct CountingSender(ideal::IdealSender, Arc<Count>);

impl RandomOtSender for CountingSender {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        self.1.0[usize::from(m == ChoiceBits::ONE)].fetch_add(n as u64, Ordering::Relaxed);
        self.0.random_ot(channel, m, n)
    }
}

struct Pair<R> {
    client: Ran<R>,
    server: Ran<R>,
    ots: (u64, u64),
}

/// Runs `protocol` on both sides; channels are wrapped by `wrap`.
fn run_wrapped<R: Send>(
    half_tile: usize,
    wrap: impl Fn(Role, Box<dyn Channel>) -> Box<dyn Channel>,
    protocol: impl Fn(&mut Party<'_>) -> R + Sync,
) -> Pair<R> {
    let (client_end, server_end) = memory_pair();
    let (client_sends, server_receives) = ideal::pair(11);
    let (server_sends, client_receives) = ideal::pair(22);
    let counts = Arc::new(Count::default());
    let party = |role, end, sends, receives: Box<dyn RandomOtReceiver>| {
        let sends = Box::new(CountingSender(sends, Arc::clone(&counts)));
        Party::new(role, wrap(role, Box::new(end)), sends, receives).with_half_tile(half_tile)
    };
    let client = party(Role::Client, client_end, client_sends, Box::new(client_receives));
    let server = party(Role::Server, server_end, server_sends, Box::new(server_receives));
    let protocol = &protocol;
    // A party that ends, well or badly, drops its channel, so that its peer ends too.
    let side = |mut party: Party<'_>| Ran { result: protocol(&mut party), traffic: party.channel().traffic() };
    let (client, server) = std::thread::scope(|scope| {
        let server = scope.spawn(move || side(server));
        let client = side(client);
        (client, server.join().unwrap())
    });
    let [m_ary, binary] = &counts.0;
    Pair { client, server, ots: (m_ary.load(Ordering::Relaxed), binary.load(Ordering::Relaxed)) }
}

fn run<R: Send>(half_tile: usize, protocol: impl Fn(&mut Party<'_>) -> R + Sync) -> Pair<R> {
    run_wrapped(half_tile, |_, end| end, protocol)
}

/// Additive shares modulo 2^bits.
struct Shared {
    client: Vec<u32>,
    server: Vec<u32>,
}

impl Shared {
    fn new(values: &[i32], bits: u32) -> Self {
        let masks = values.iter().enumerate().map(|(i, v)| (i as u32 ^ *v as u32).wrapping_mul(2_654_435_761).rotate_left(13));
        let client: Vec<u32> = masks.map(|m| m & mask32(bits)).collect();
        let server = values.iter().zip(&client).map(|(v, c)| (*v as u32).wrapping_sub(*c) & mask32(bits)).collect();
        Self { client, server }
    }

    fn of(&self, party: &Party<'_>) -> &[u32] {
        if party.role() == Role::Client { &self.client } else { &self.server }
    }
}

type Shares = Result<Wiped<u32>, ProtocolError>;

fn opened(pair: &Pair<Shares>, bits: u32) -> Vec<u32> {
    let (client, server) = (pair.client.result.as_ref().unwrap(), pair.server.result.as_ref().unwrap());
    assert_eq!(client.len(), server.len());
    assert!(client.iter().chain(server.iter()).all(|s| *s <= mask32(bits)), "shares are reduced");
    client.iter().zip(server.iter()).map(|(c, s)| c.wrapping_add(*s) & mask32(bits)).collect()
}

/// Labels that a test may print and compare.
fn plain(labels: Option<Wiped<u32>>) -> Option<Vec<u32>> {
    labels.map(|labels| labels.to_vec())
}

fn reduced(values: impl IntoIterator<Item = i32>, bits: u32) -> Vec<u32> {
    values.into_iter().map(|v| v as u32 & mask32(bits)).collect()
}

/// `n` values below 2^(bits-1) in magnitude, with the extreme ones among them.
fn values(n: usize, bits: u32, seed: u32) -> Vec<i32> {
    let limit = 1i64 << (bits - 1);
    let extremes = [0, 1, -1, limit - 1, 1 - limit, limit / 2, -limit / 2];
    let mut state = u64::from(seed) << 1 | 1;
    let value = |i: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (state >> 33) as i64 % limit * if state >> 40 & 1 == 0 { 1 } else { -1 };
        extremes.get(i.wrapping_sub(seed as usize % 5)).copied().unwrap_or(random).clamp(1 - limit, limit - 1) as i32
    };
    (0..n).map(value).collect()
}

fn same_cost<R>(pair: &Pair<R>, total: Total, what: &str) {
    assert_eq!(pair.client.traffic.sent, total.client_to_server, "{what}: client to server");
    assert_eq!(pair.server.traffic.sent, total.server_to_client, "{what}: server to client");
    assert_eq!(pair.ots, (total.m_ary_ots, total.binary_ots), "{what}: OTs");
}

const EDGE_SIZES: [usize; 9] = [0, 1, 63, 64, 65, 127, 128, 129, 1023];

#[test]
fn relu_at_edge_sizes_and_over_many_tiles() {
    for n in EDGE_SIZES {
        for half_tile in [64, 192, 1 << 16] {
            let x = values(n, 13, n as u32);
            let shared = Shared::new(&x, 13);
            let pair = run(half_tile, |party| relu(party, shared.of(party), 13, 25));
            assert_eq!(opened(&pair, 25), reduced(x.iter().map(|&v| v.max(0)), 25));
            same_cost(&pair, cost::relu(13, 25).of(n, half_tile), "relu");
        }
    }
}

#[test]
fn relu_costs_its_formula_at_every_width() {
    for h in 2..=27u32 {
        for out in [1, 2, h - 1, h, h + 1, 25, 31, 32] {
            let x = values(256, h, h + out);
            let shared = Shared::new(&x, h);
            let pair = run(128, |party| relu(party, shared.of(party), h, out));
            let expect = reduced(x.iter().map(|&v| v.max(0)), out);
            assert_eq!(opened(&pair, out), expect, "h = {h}, l' = {out}");
            let cost = cost::relu(h, out);
            same_cost(&pair, cost.of(256, 128), "relu");
            assert_eq!(pair.client.traffic.total(), 256 / 8 * u64::from(cost.bits));
            assert_eq!(pair.client.traffic.turns, u64::from(cost.rounds));
            assert_eq!(pair.server.traffic.turns, u64::from(cost.rounds));
        }
    }
}

#[test]
fn the_hot_path_costs_108_bits_in_both_directions_equally() {
    let x = values(1 << 12, 13, 3);
    let shared = Shared::new(&x, 13);
    let pair = run(HALF_TILE, |party| relu(party, shared.of(party), 13, 25));
    assert_eq!(pair.client.traffic, Traffic { sent: 54 << 9, received: 54 << 9, turns: 7 });
    assert_eq!(pair.ots, (4 << 12, 3 << 12));
}

#[test]
fn maximum_costs_its_formula_at_every_width() {
    for h in 2..=32 {
        // Differences must fit.
        let a = if h == 2 { vec![0; 192] } else { values(192, h - 1, h) };
        let b: Vec<i32> = a.iter().rev().copied().collect();
        let (shared_a, shared_b) = (Shared::new(&a, h), Shared::new(&b, h));
        let pair = run(HALF_TILE, |party| maximum(party, shared_a.of(party), shared_b.of(party), h));
        assert_eq!(opened(&pair, h), reduced(a.iter().zip(&b).map(|(a, b)| *a.max(b)), h), "h = {h}");
        let cost = cost::maximum(h);
        same_cost(&pair, cost.of(192, HALF_TILE), "maximum");
        assert_eq!(pair.client.traffic.turns, u64::from(cost.rounds));
    }
    assert!(cost::maximum(13).bits <= 102, "12.8 bytes");
}

#[test]
fn signed_widening_is_exact_with_and_without_headroom() {
    for h in 3..=31 {
        for (headroom, bits) in [(Headroom::OneBit, h - 1), (Headroom::None, h)] {
            for out in [1, h - 1, h, h + 1, 32] {
                let x = values(150, bits, h);
                let shared = Shared::new(&x, h);
                let pair = run(64, |party| widen_signed(party, shared.of(party), h, headroom, out));
                assert_eq!(opened(&pair, out), reduced(x.iter().copied(), out), "h = {h}, l' = {out}, {headroom:?}");
                same_cost(&pair, cost::widen_signed(h, headroom, out).of(150, 64), "widen_signed");
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
        let pair = run(64, |party| argmax(party, shared.of(party), classes, h).map(plain));
        let expect: Vec<u32> = x.chunks(classes).map(|sample| (0..classes).rev().max_by_key(|&i| sample[i]).unwrap() as u32).collect();
        assert_eq!(pair.client.result, Ok(Some(expect)), "{classes} classes");
        assert_eq!(pair.server.result, Ok(None));
        same_cost(&pair, cost::argmax(samples, classes, h, 64), "argmax");
    }
}

#[test]
fn classify_takes_the_bit_of_headroom_or_makes_one() {
    for ring in [13, 14, 20] {
        let (samples, classes) = (4, 10);
        // Well inside the window, since the server's unit moves them up.
        let x: Vec<i32> = values(samples * classes, 9, 7);
        // All low bits zero on both shares, so that the window step is exact up to the server's one unit, which moves all logits alike.
        let scaled: Vec<i32> = x.iter().map(|v| v << 3).collect();
        let mut shared = Shared::new(&scaled, ring);
        for (c, s) in shared.client.iter_mut().zip(&mut shared.server) {
            let low = *c & 7;
            *c -= low;
            *s = s.wrapping_add(low) & mask32(ring);
        }
        let window = Window { shift: 3, bits: 10 };
        let pair = run(64, |party| classify(party, shared.of(party), classes, RingBits(ring), window).map(plain));
        let expect: Vec<u32> = x.chunks(classes).map(|s| (0..classes).rev().max_by_key(|&i| s[i]).unwrap() as u32).collect();
        assert_eq!(pair.client.result, Ok(Some(expect)), "ring of {ring} bits");
        same_cost(&pair, cost::classify(samples, classes, RingBits(ring), window, 64).unwrap(), "classify");
    }
}

/// The numbers in the window, as the shares give them.
fn in_window(shared: &Shared, window: Window) -> Vec<i32> {
    let (c, s) = (to_window(Role::Client, &shared.client, window), to_window(Role::Server, &shared.server, window));
    let up = 32 - window.bits;
    c.iter().zip(s.iter()).map(|(c, s)| (c.wrapping_add(*s) << up) as i32 >> up).collect()
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

    /// OtSlice the numbers in the window, a whole step is exact: every activation, pooling, width and ring.
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
        let pair = run(64, |party| step.run(party, shared.of(party)));
        let kept = pool.map_or(inside.clone(), |pool| pooled(&inside, samples * channels, (height, width), &pool));
        prop_assert_eq!(kept.len(), samples * step.output_len());
        let expect = reduced(kept.iter().map(|&v| if signed { v } else { v.max(0) }), out);
        prop_assert_eq!(opened(&pair, out), expect);
        same_cost(&pair, step.cost(samples, 64), "requantise");
    }
}

/// A channel that changes or cuts what arrives.
struct Hostile {
    inner: Box<dyn Channel>,
    arrived: u64,
    /// Inverts the byte at this offset.
    flip_at: Option<u64>,
    /// Replaces everything by noise.
    noise: Option<u64>,
    /// Reports the end of the stream at this offset.
    cut_at: Option<u64>,
}

impl Channel for Hostile {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.inner.send(bytes)
    }
    fn flush(&mut self) -> Result<(), ChannelError> {
        self.inner.flush()
    }
    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        let end = self.arrived + buf.len() as u64;
        if self.cut_at.is_some_and(|cut| cut < end) {
            return Err(ChannelError::Closed);
        }
        self.inner.recv(buf)?;
        if let Some(at) = self.flip_at.filter(|at| (self.arrived..end).contains(at)) {
            buf[(at - self.arrived) as usize] ^= 0xff;
        }
        if let Some(state) = &mut self.noise {
            for byte in buf.iter_mut() {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                *byte = (*state >> 56) as u8;
            }
        }
        self.arrived = end;
        Ok(())
    }
    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }
}

/// Shares and, at the client, labels.
type Everything = Result<(Vec<u32>, Option<Vec<u32>>), ProtocolError>;

/// All protocols in one go.
fn everything(party: &mut Party<'_>, x: &Shared) -> Everything {
    let pool = PoolGeometry { kernel: (3, 3), stride: (2, 2), padding: Padding::default() };
    let step =
        Requantise::new(Shape::new(1, 9, 9), RingBits(12), Window { shift: 2, bits: 10 }, Some(&pool), Activation::Relu, RingBits(16))?;
    let y = step.run(party, x.of(party))?;
    let z = widen_signed(party, &y, 16, Headroom::None, 20)?;
    let label = classify(party, &z, z.len() / 2, RingBits(20), Window { shift: 3, bits: 16 })?;
    Ok((z.to_vec(), plain(label)))
}

fn hostile_client(make: impl Fn(Box<dyn Channel>) -> Hostile) -> Pair<Everything> {
    let shared = Shared::new(&values(162, 9, 1), 12);
    let wrap = |role, end| if role == Role::Client { Box::new(make(end)) as Box<dyn Channel> } else { end };
    run_wrapped(64, wrap, |party| everything(party, &shared))
}

#[test]
fn any_bytes_give_well_formed_shares() {
    let honest = |inner| Hostile { inner, arrived: 0, flip_at: None, noise: None, cut_at: None };
    let good = hostile_client(honest);
    let well_formed = |pair: &Pair<Everything>| {
        let (z, labels) = pair.client.result.as_ref().unwrap();
        assert!(z.len() == 32 && z.iter().all(|&z| z < 1 << 20));
        assert!(labels.as_ref().unwrap().iter().all(|&label| label < 16), "a label of {} bits", 4);
    };
    well_formed(&good);
    for seed in 0..8 {
        let noise = Some(seed);
        well_formed(&hostile_client(|inner| Hostile { noise, ..honest(inner) }));
    }
    // A changed byte has an effect unless all of it is padding or masked messages that the client did not choose (15 of 16 at a digit);
    // a wrong carry has none where the digits above differ.
    let total = good.client.traffic.received;
    let mut changed = 0;
    let step = (total / 97).max(1);
    for at in (0..total).step_by(step as usize) {
        let pair = hostile_client(|inner| Hostile { flip_at: Some(at), ..honest(inner) });
        well_formed(&pair);
        changed += u64::from(pair.client.result != good.client.result);
    }
    assert!(changed > 20, "{changed} of about 97 changed bytes had an effect");
}

#[test]
fn a_peer_that_stops_at_any_message_is_an_error() {
    let honest = |inner| Hostile { inner, arrived: 0, flip_at: None, noise: None, cut_at: None };
    let total = hostile_client(honest).client.traffic.received;
    for at in (0..total).step_by((total / 61).max(1) as usize) {
        let pair = hostile_client(|inner| Hostile { cut_at: Some(at), ..honest(inner) });
        assert_eq!(pair.client.result, Err(ProtocolError::Channel(ChannelError::Closed)));
    }
}

#[test]
fn misuse_is_an_error() {
    type Case = (&'static str, fn(&mut Party<'_>) -> bool);
    let cases: [Case; 6] = [
        ("relu width", |p| relu(p, &[1], 1, 5).is_err()),
        ("relu output", |p| relu(p, &[1], 5, 33).is_err()),
        ("maximum lengths", |p| maximum(p, &[1], &[], 5).is_err()),
        ("argmax samples", |p| argmax(p, &[1, 2, 3], 2, 5).is_err()),
        ("widen", |p| widen_signed(p, &[1], 32, Headroom::None, 33).is_err()),
        ("window", |p| classify(p, &[1], 1, RingBits(10), Window { shift: 8, bits: 4 }).is_err() && p.ledger().total().traffic.sent == 0),
    ];
    for (name, case) in cases {
        let pair = run(64, case);
        assert!(pair.client.result && pair.server.result, "{name}");
    }
    let shape = Shape::new(1, 2, 2);
    for (ring, shift, bits, out) in [(10, 3, 8, 20), (33, 3, 8, 20), (20, 3, 1, 20), (20, 3, 8, 0), (32, 0, 32, 20), (20, u32::MAX, 8, 20)]
    {
        let step = Requantise::new(shape, RingBits(ring), Window { shift, bits }, None, Activation::Relu, RingBits(out));
        assert!(matches!(step, Err(ProtocolError::Misuse(_))), "{ring} {shift} {bits} {out}");
    }
}

/// Hashes what one party sends.
struct Recorded(Box<dyn Channel>, Arc<Mutex<Sha3_256>>);

impl Channel for Recorded {
    fn send(&mut self, bytes: &[u8]) -> Result<(), ChannelError> {
        self.1.lock().unwrap().update(bytes);
        self.0.send(bytes)
    }
    fn flush(&mut self) -> Result<(), ChannelError> {
        self.0.flush()
    }
    fn recv(&mut self, buf: &mut [u8]) -> Result<(), ChannelError> {
        self.0.recv(buf)
    }
    fn traffic(&self) -> Traffic {
        self.0.traffic()
    }
}

#[test]
fn the_bytes_on_the_wire_are_pinned() {
    let hashes = [Arc::new(Mutex::new(Sha3_256::new())), Arc::new(Mutex::new(Sha3_256::new()))];
    let shared = Shared::new(&values(162, 9, 1), 12);
    let wrap = |role, end| Box::new(Recorded(end, Arc::clone(&hashes[usize::from(role == Role::Server)]))) as Box<dyn Channel>;
    run_wrapped(64, wrap, |party| everything(party, &shared).map(|_| ()));
    let digest = |hash: &Mutex<Sha3_256>| {
        let bytes = hash.lock().unwrap().clone().finalize();
        bytes.iter().take(8).map(|b| format!("{b:02x}")).collect::<String>()
    };
    assert_eq!(hashes.each_ref().map(|hash| digest(hash)), ["447866e6775739a2", "1492b208285d45dc"]);
}

#[test]
fn the_account_books_every_byte_under_its_phase() {
    let shared = Shared::new(&values(162, 9, 1), 12);
    let pair = run(64, |party| {
        everything(party, &shared).unwrap();
        let ledger = party.ledger();
        assert_eq!(ledger.total().traffic, party.channel().traffic());
        let sent = |phase| ledger.get(phase).traffic.sent;
        (sent(Phase::RandomOt), sent(Phase::Activation) > 0, sent(Phase::Pooling) > 0, sent(Phase::Argmax) > 0, sent(Phase::Setup))
    });
    assert_eq!(pair.client.result, (0, true, true, true, 0));
    assert_eq!(pair.server.result, (0, true, true, true, 0));
}
