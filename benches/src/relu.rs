//! `cargo xtask bench-relu`: bytes, OTs and time of the non-linear layers, two threads over an
//! in-memory channel.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use fusion_nn::layers::cost::{self, Cost};
use fusion_nn::layers::{
    AdditiveShares, Cut, Headroom, LaneTerms, Party, Phase, ProtocolError, RingBits, Role, Split, coarse_relu, maximum, widen_signed,
};
use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverBits, ReceiverPads, SenderBits, SenderPads};
use fusion_ot::session::Session;
use fusion_ot::{OtError, silent};
use fusion_ring::channel::{Channel, MemoryChannel, memory_pair};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

/// Elements of the tile that is measured.
const TILE: usize = 1 << 18;

/// One protocol at one width, its comparisons cut in one way.
#[derive(Debug, Clone, Copy)]
struct Job {
    op: Op,
    split: Split,
}

/// A protocol and its width.
#[derive(Debug, Clone, Copy)]
enum Op {
    Relu { h: u32, left_out: u32, l: u32 },
    Maximum { h: u32 },
    Truncate { h: u32, l: u32 },
}

/// What `--json` writes, one row per protocol.
#[derive(Debug, Serialize)]
struct Row {
    op: &'static str,
    /// Window width in bits.
    h: u32,
    /// Output width in bits.
    l: u32,
    /// Bits that the comparison leaves out: 1 without an error, 0 where none can be.
    left_out: u32,
    /// How comparisons are cut.
    split: String,
    /// Both directions, without the traffic of OT generation.
    bytes_per_element: f64,
    /// To the server, and to the client, in bits, without the traffic of OT generation.
    bits_up: f64,
    bits_down: f64,
    /// Both directions, of OT generation alone.
    ot_bytes_per_element: f64,
    /// Both directions together.
    ots_per_element: u32,
    /// Processor time of one party, the busier one, OT generation included: unlike wall-clock time
    /// it does not suffer from other work on the machine. Where the system does not tell it (it
    /// does on Linux), wall-clock time.
    us_per_element: f64,
    /// The part of it spent making random OTs.
    ot_us_per_element: f64,
    /// Wall-clock time, OT generation included.
    wall_us_per_element: f64,
    /// Round trips of the whole tile, without those of OT generation.
    rounds: u64,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Relu { .. } => "relu",
            Self::Maximum { .. } => "maximum",
            Self::Truncate { .. } => "truncate",
        }
    }

    fn widths(self) -> (u32, u32) {
        match self {
            Self::Relu { h, l, .. } | Self::Truncate { h, l } => (h, l),
            Self::Maximum { h } => (h, h),
        }
    }

    fn left_out(self) -> u32 {
        match self {
            Self::Relu { left_out, .. } => left_out,
            Self::Maximum { .. } => 1,
            Self::Truncate { .. } => 0,
        }
    }

    fn cost(self, split: Split) -> Cost {
        match self {
            Self::Relu { h, left_out, l } => cost::coarse_relu(h, left_out, l, split),
            Self::Maximum { h } => cost::maximum(h, split),
            Self::Truncate { h, l } => cost::widen_signed(h, Headroom::OneBit, l, split),
        }
    }

    fn run(self, party: &mut Party<'_>, x: &AdditiveShares) -> Result<usize, ProtocolError> {
        let y = match self {
            Self::Relu { left_out, l, .. } => coarse_relu(party, x, left_out, RingBits(l)),
            Self::Maximum { h } => maximum(party, x, &AdditiveShares::zeros(x.len(), RingBits(h))),
            Self::Truncate { l, .. } => widen_signed(party, x, Headroom::OneBit, RingBits(l)),
        };
        y.map(|y| y.len())
    }
}

/// Processor time of this thread so far.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Books the processor time of an OT instance.
struct Timed<T>(T, Arc<Mutex<Duration>>);

impl<T> Timed<T> {
    fn book<R>(&mut self, run: impl FnOnce(&mut T) -> R) -> R {
        let start = cpu_time();
        let result = run(&mut self.0);
        if let (Some(start), Some(end), Ok(mut spent)) = (start, cpu_time(), self.1.lock()) {
            *spent += end.saturating_sub(start);
        }
        result
    }
}

impl<T: RandomOtSender> RandomOtSender for Timed<T> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        self.book(|sender| sender.random_ot(channel, m, n))
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderBits, OtError> {
        self.book(|sender| sender.random_bits(channel, m, n))
    }
}

impl<T: RandomOtReceiver> RandomOtReceiver for Timed<T> {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        self.book(|receiver| receiver.random_ot(channel, m, n))
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        self.book(|receiver| receiver.random_bits(channel, m, n))
    }
}

/// Time, bytes both ways and rounds of one run: everything, and OT generation alone.
#[derive(Debug, Clone, Copy)]
struct Measured {
    wall: Duration,
    /// Processor time where it is known.
    time: Duration,
    ot_time: Duration,
    bytes: u64,
    ot_bytes: u64,
    rounds: u64,
}

impl Measured {
    /// The mean: OT generation works in rounds that serve several tiles, so that a single run says
    /// little.
    fn mean(runs: &[Self]) -> Option<Self> {
        let n = runs.len() as u32;
        let mean = |time: fn(&Self) -> Duration| runs.iter().map(time).sum::<Duration>() / n.max(1);
        let ot_bytes = runs.iter().map(|run| run.ot_bytes).sum::<u64>() / u64::from(n.max(1));
        Some(Self { wall: mean(|r| r.wall), time: mean(|r| r.time), ot_time: mean(|r| r.ot_time), ot_bytes, ..*runs.first()? })
    }

    /// The party that is busier.
    fn or_busier(self, peer: Self) -> Self {
        let busier = if peer.time > self.time { peer } else { self };
        Self { wall: self.wall.max(peer.wall), ..busier }
    }
}

fn party(role: Role, mut channel: MemoryChannel, ot_cpu: &Arc<Mutex<Duration>>) -> anyhow::Result<Party<'static>> {
    let mut rng = ChaCha20Rng::from_rng(&mut rand::rng());
    let side = if role == Role::Client { fusion_ot::Role::First } else { fusion_ot::Role::Second };
    let (sender, receiver) =
        silent::setup_with(LaneTerms::LONG_LINK.extension, &Session::new(b"bench-relu"), side, &mut channel, &mut rng)?;
    let (sender, receiver) = (Timed(sender, Arc::clone(ot_cpu)), Timed(receiver, Arc::clone(ot_cpu)));
    Ok(Party::new(role, Box::new(channel), Box::new(sender), Box::new(receiver)))
}

/// Runs every operation `repeat` times and takes the mean of each.
fn measure(role: Role, channel: MemoryChannel, jobs: &[Job], repeat: usize) -> anyhow::Result<Vec<Measured>> {
    let ot_cpu = Arc::new(Mutex::new(Duration::ZERO));
    let mut party = party(role, channel, &ot_cpu)?;
    let mut rng = ChaCha20Rng::from_rng(&mut rand::rng());
    let mut results = Vec::new();
    for &Job { op, split } in jobs {
        party = party.with_cut(Cut { tile: TILE, split });
        let (h, _) = op.widths();
        let words: Vec<u32> = (0..TILE).map(|_| rng.next_u32()).collect();
        let x = AdditiveShares::from_words(words, RingBits(h));
        // The first run also sets up the OT instances of its widths.
        op.run(&mut party, &x)?;
        let mut runs = Vec::new();
        for _ in 0..repeat.max(1) {
            let before = party.ledger();
            *ot_cpu.lock().map_err(|_| anyhow!("poisoned"))? = Duration::ZERO;
            let (cpu, start) = (cpu_time(), Instant::now());
            op.run(&mut party, &x)?;
            let wall = start.elapsed();
            let spent = party.ledger().since(&before);
            let (all, ot) = (spent.total(), spent.get(Phase::RandomOt));
            let (time, ot_time) = match cpu_time().zip(cpu) {
                Some((end, start)) => (end.saturating_sub(start), *ot_cpu.lock().map_err(|_| anyhow!("poisoned"))?),
                None => (wall, ot.time),
            };
            runs.push(Measured {
                wall,
                time,
                ot_time,
                bytes: all.traffic.total() - ot.traffic.total(),
                ot_bytes: ot.traffic.total(),
                rounds: all.traffic.turns - ot.traffic.turns,
            });
        }
        results.extend(Measured::mean(&runs));
    }
    Ok(results)
}

/// Measures, prints a table, and writes the rows to `json` if given.
pub fn run(json: Option<&Path>, repeat: usize) -> anyhow::Result<()> {
    let relu = |h, left_out| Op::Relu { h, left_out, l: 26 };
    let splits = [1, 3].into_iter().flat_map(|left_out| Split::ALL.map(|split| Job { op: relu(11, left_out), split }));
    let others = [relu(12, 1), relu(8, 1), Op::Maximum { h: 12 }, Op::Truncate { h: 13, l: 26 }];
    let others = others.map(|op| Job { op, split: Split::default() });
    let jobs: Vec<Job> = splits.chain(others).collect();
    let (client, server) = memory_pair();
    let results = std::thread::scope(|scope| {
        let server = scope.spawn(|| measure(Role::Server, server, &jobs, repeat));
        let client = measure(Role::Client, client, &jobs, repeat);
        let server = server.join().map_err(|_| anyhow!("the server's thread panicked"))??;
        let both = client?.into_iter().zip(server).map(|(client, server)| client.or_busier(server));
        anyhow::Ok(both.collect::<Vec<_>>())
    })?;
    let row = |(&Job { op, split }, m): (&Job, Measured)| {
        let per = |x: f64| x / TILE as f64;
        let cost = op.cost(split);
        let exact = cost.of(TILE, TILE);
        anyhow::ensure!(exact.bytes() == m.bytes, "{op:?} moved {} bytes, {} by the formula", m.bytes, exact.bytes());
        let (h, l) = op.widths();
        Ok(Row {
            op: op.name(),
            h,
            l,
            left_out: op.left_out(),
            split: split.to_string(),
            bytes_per_element: per(m.bytes as f64),
            ot_bytes_per_element: per(m.ot_bytes as f64),
            bits_up: per(8.0 * exact.client_to_server as f64),
            bits_down: per(8.0 * exact.server_to_client as f64),
            ots_per_element: cost.m_ary_ots + cost.binary_ots,
            us_per_element: per(m.time.as_secs_f64() * 1e6),
            ot_us_per_element: per(m.ot_time.as_secs_f64() * 1e6),
            wall_us_per_element: per(m.wall.as_secs_f64() * 1e6),
            rounds: m.rounds,
        })
    };
    let rows = jobs.iter().zip(results).map(row).collect::<anyhow::Result<Vec<Row>>>()?;
    println!("non-linear layers, {TILE} elements, one thread per party, silent OT, tier {:?}, mean of {repeat}", fusion_ring::simd::tier());
    println!("op         h   l  out  split        bits up  down  +OT bytes  OTs/el  cpu us/el  of it OT  wall us/el  rounds");
    for r in &rows {
        println!(
            "{:9} {:2}  {:2}  {:3}  {:11}  {:7.1}  {:4.1}  {:9.2}  {:6}  {:9.3}  {:8.3}  {:10.3}  {:6}",
            r.op,
            r.h,
            r.l,
            r.left_out,
            r.split,
            r.bits_up,
            r.bits_down,
            r.ot_bytes_per_element,
            r.ots_per_element,
            r.us_per_element,
            r.ot_us_per_element,
            r.wall_us_per_element,
            r.rounds
        );
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
