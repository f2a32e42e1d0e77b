//! Two parties on ideal OT: exactness, cost to the byte, hostile peers, pinned transcripts.

mod exact;
mod failures;
mod functions;
mod steps;
mod transcript;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, SenderPads};
use fusion_ot::{OtError, ideal};
use fusion_ring::bits::pack::mask32;
use fusion_ring::channel::{Channel, MemoryChannel, RecordingChannel, RecordingHandle, Traffic, memory_pair};
use fusion_rlwe::{Padding, Shape};

use super::cost::Total;
use super::*;
use fusion_model::program::{Activation, PoolGeometry, Window};

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
    /// By role, the client first.
    recordings: [RecordingHandle; 2],
    ots: (u64, u64),
}

/// Runs `protocol` on both sides over channels that `prepare` may change.
fn run_prepared<R: Send>(
    cut: Cut,
    prepare: impl Fn(Role, &mut RecordingChannel<MemoryChannel>),
    protocol: impl Fn(&mut Party<'_>) -> R + Sync,
) -> Pair<R> {
    let (client_end, server_end) = memory_pair();
    let (client_sends, server_receives) = ideal::pair(11);
    let (server_sends, client_receives) = ideal::pair(22);
    let counts = Arc::new(Count::default());
    let (mut client_end, mut server_end) = (RecordingChannel::new(client_end), RecordingChannel::new(server_end));
    prepare(Role::Client, &mut client_end);
    prepare(Role::Server, &mut server_end);
    let recordings = [client_end.handle(), server_end.handle()];
    let party = |role, end, sends, receives: Box<dyn RandomOtReceiver>| {
        let sends = Box::new(CountingSender(sends, Arc::clone(&counts)));
        Party::new(role, Box::new(end), sends, receives).with_cut(cut)
    };
    let client = party(Role::Client, client_end, client_sends, Box::new(client_receives));
    let server = party(Role::Server, server_end, server_sends, Box::new(server_receives));
    let protocol = &protocol;
    // A party that ends, well or badly, drops its channel, so that its peer ends too.
    let side = |mut party: Party<'_>| Ran { result: protocol(&mut party), traffic: party.traffic() };
    let (client, server) = std::thread::scope(|scope| {
        let server = scope.spawn(move || side(server));
        let client = side(client);
        (client, server.join().unwrap())
    });
    let [m_ary, binary] = &counts.0;
    Pair { client, server, recordings, ots: (m_ary.load(Ordering::Relaxed), binary.load(Ordering::Relaxed)) }
}

fn run<R: Send>(tile: usize, protocol: impl Fn(&mut Party<'_>) -> R + Sync) -> Pair<R> {
    run_prepared(cut(tile), |_, _| (), protocol)
}

/// As [`run`], with comparisons cut by `split`.
fn run_split<R: Send>(tile: usize, split: Split, protocol: impl Fn(&mut Party<'_>) -> R + Sync) -> Pair<R> {
    run_prepared(Cut { tile, split }, |_, _| (), protocol)
}

/// Both parties' additive shares modulo 2^bits.
struct Shared {
    client: AdditiveShares,
    server: AdditiveShares,
}

impl Shared {
    fn new(values: &[i32], bits: u32) -> Self {
        let masks = values.iter().enumerate().map(|(i, v)| (i as u32 ^ *v as u32).wrapping_mul(2_654_435_761).rotate_left(13));
        let client: Vec<u32> = masks.map(|m| m & mask32(bits)).collect();
        let server = values.iter().zip(&client).map(|(v, c)| (*v as u32).wrapping_sub(*c) & mask32(bits)).collect();
        Self::from_words(client, server, bits)
    }

    fn from_words(client: Vec<u32>, server: Vec<u32>, bits: u32) -> Self {
        let shares = |words| AdditiveShares::from_words(words, RingBits(bits));
        Self { client: shares(client), server: shares(server) }
    }

    fn of(&self, party: &Party<'_>) -> &AdditiveShares {
        if party.role() == Role::Client { &self.client } else { &self.server }
    }
}

type Shares = Result<AdditiveShares, ProtocolError>;

fn opened(pair: &Pair<Shares>, bits: u32) -> Vec<u32> {
    let (client, server) = (pair.client.result.as_ref().unwrap(), pair.server.result.as_ref().unwrap());
    assert_eq!(client.ring(), RingBits(bits));
    assert!(client.words().iter().chain(server.words()).all(|s| *s <= mask32(bits)), "shares are reduced");
    client.reveal(server).unwrap().to_vec()
}

/// Labels that a test may print and compare.
fn plain(labels: Option<ClearNumbers>) -> Option<Vec<u32>> {
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

/// Tiles of this size, the default split.
fn cut(tile: usize) -> Cut {
    Cut { tile, ..Cut::default() }
}

fn same_cost<R>(pair: &Pair<R>, total: Total, what: &str) {
    assert_eq!(pair.client.traffic.sent, total.client_to_server, "{what}: client to server");
    assert_eq!(pair.server.traffic.sent, total.server_to_client, "{what}: server to client");
    assert_eq!(pair.ots, (total.m_ary_ots, total.binary_ots), "{what}: OTs");
}

/// The words of a tensor that is shared like this.
fn words(shares: &AdditiveShares) -> TensorWords {
    TensorWords::from_shares(AdditiveShares::from_words(shares.words().to_vec(), shares.ring()))
}

/// Shares and, at the client, labels.
type Everything = Result<(Vec<u32>, Option<Vec<u32>>), ProtocolError>;

/// A function with knots in no order, and factors of two in its changes.
fn bent() -> Piecewise {
    let knots = vec![Knot { at: 100, change: 6 }, Knot { at: -200, change: -7 }, Knot { at: 7, change: 1 << 18 }];
    Piecewise { fraction: 0, slope: 3, offset: -50, knots, left_out: 1 }
}

/// The functions of activations in one go.
fn functions(party: &mut Party<'_>, x: &Shared) -> Everything {
    let y = clip(party, x.of(party), 200, RingBits(20))?;
    let z = piecewise(party, x.of(party), &Piecewise { left_out: 2, ..bent() }, RingBits(20))?;
    let gate = piecewise(party, x.of(party), &bent(), RingBits(7))?;
    let product = multiply(party, &z, &gate, RingBits(18))?;
    Ok(([y.words(), z.words(), product.words()].concat(), None))
}

/// Pooling, ReLU, widening and argmax in one go.
fn everything(party: &mut Party<'_>, x: &Shared) -> Everything {
    let pool = PoolGeometry { kernel: (3, 3), stride: (2, 2), padding: Padding::default() };
    let step =
        Requantise::new(Shape::new(1, 9, 9), RingBits(12), Window { shift: 2, bits: 10 }, Some(&pool), Activation::Relu, RingBits(16))?;
    let y = step.run(party, &words(x.of(party)))?;
    let z = widen_signed(party, &y, Headroom::None, RingBits(20))?;
    let label = classify(party, &words(&z), z.len() / 2, Window { shift: 3, bits: 16 })?;
    Ok((z.words().to_vec(), plain(label)))
}
