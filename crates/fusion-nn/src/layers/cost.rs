//! What the layer protocols cost, from public numbers alone. Tests hold measured traffic against
//! these formulas, to the byte.

use fusion_ot::functionality::ChoiceBits;
use fusion_ring::bits::pack::packed_len;

use super::argmax::{label_bits, logits_window};
use super::clip::clipped_ring;
use super::digits::{Digits, Split};
use super::error::ProtocolError;
use super::piecewise::knots_modulo;
use super::pool::PoolSchedule;
use super::role::{Role, WIDENING_SENDER};
use super::sign::{FREE, SignDigits};
use super::sum::constant_shift;
use super::tile::{Cut, Tile};
use super::truncate::Headroom;
use fusion_model::program::{Piecewise, RingBits, Window};

/// A message per element: its sender, and the widths in bits of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    from: Role,
    widths: Vec<u32>,
}

/// Cost of a protocol per element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cost {
    /// Bits on the wire, both directions together.
    pub bits: u32,
    /// 1-of-2^m OTs with m > 1.
    pub m_ary_ots: u32,
    /// 1-of-2 OTs.
    pub binary_ots: u32,
    messages: Vec<Message>,
}

/// Cost of a number of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Bytes that the client sends.
    pub client_to_server: u64,
    /// Bytes that the server sends.
    pub server_to_client: u64,
    /// 1-of-2^m OTs with m > 1, both directions together.
    pub m_ary_ots: u64,
    /// 1-of-2 OTs, both directions together.
    pub binary_ots: u64,
    /// Round trips: how often the client sends and then waits for the server.
    pub rounds: u64,
}

impl Total {
    /// Bytes in both directions.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.client_to_server + self.server_to_client
    }
}

impl std::ops::AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.client_to_server += other.client_to_server;
        self.server_to_client += other.server_to_client;
        self.m_ary_ots += other.m_ary_ots;
        self.binary_ots += other.binary_ots;
        self.rounds += other.rounds;
    }
}

impl Cost {
    fn message(mut self, from: Role, widths: &[u32]) -> Self {
        self.bits += widths.iter().sum::<u32>();
        self.messages.push(Message { from, widths: widths.to_vec() });
        self
    }

    /// A comparison: a correction and an answer per digit.
    fn comparison(self, digits: &Digits) -> Self {
        self.comparisons(digits, 1)
    }

    /// `count` comparisons in the same messages.
    fn comparisons(mut self, digits: &Digits, count: u32) -> Self {
        for digit in digits.iter() {
            *(if digit.m == ChoiceBits::ONE { &mut self.binary_ots } else { &mut self.m_ary_ots }) += count;
            self = self.message(digit.sender.peer(), &[count * digit.m.bits()]).message(digit.sender, &[count * digit.answer_bits()]);
        }
        self
    }

    /// A sum of products of these widths in each direction, and perhaps one more from the sender of
    /// a widening; the party `first` opens first.
    fn sum(mut self, first: Role, widths: &[u32], single: Option<u32>) -> Self {
        self.binary_ots += 2 * widths.len() as u32 + u32::from(single.is_some());
        let opening = |role: Role| {
            let (sent, received) = if role == WIDENING_SENDER { (single, None) } else { (None, single.map(|_| 1)) };
            widths.iter().map(|_| 1).chain(received).chain(widths.iter().copied()).chain(sent).collect::<Vec<_>>()
        };
        self.message(first, &opening(first)).message(first.peer(), &opening(first.peer()))
    }

    /// `count` multiplexers of `bits` bits on one shared choice bit; the party `first` opens first.
    fn mux(mut self, first: Role, bits: u32, count: u32) -> Self {
        self.binary_ots += 2 * count;
        let opening = [count, bits * count];
        self.message(first, &opening).message(first.peer(), &opening)
    }

    /// A widening; the party `first` opens first.
    fn widen(mut self, first: Role, from: u32, to: u32) -> Self {
        self.binary_ots += 1;
        let opening = |role| if role == WIDENING_SENDER { to - from } else { 1 };
        self.message(first, &[opening(first)]).message(first.peer(), &[opening(first.peer())])
    }

    /// How often the direction changes, and the first message: those of one direction that follow
    /// each other travel together.
    #[must_use]
    pub fn flights(&self) -> u32 {
        self.messages.chunk_by(|a, b| a.from == b.from).count() as u32
    }

    /// How often the client sends and then waits for the server.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.messages.windows(2).filter(|pair| (pair[0].from, pair[1].from) == (Role::Client, Role::Server)).count() as u32
    }

    /// The cost of `n` elements in tiles of `tile`, exact to the byte.
    #[must_use]
    pub fn of(&self, n: usize, tile: usize) -> Total {
        let mut total = Total {
            m_ary_ots: n as u64 * u64::from(self.m_ary_ots),
            binary_ots: n as u64 * u64::from(self.binary_ots),
            ..Total::default()
        };
        for tile in Tile::all(n, tile) {
            for message in &self.messages {
                let bytes = message.widths.iter().map(|&bits| packed_len(tile.len(), bits) as u64).sum::<u64>();
                *(if message.from == Role::Client { &mut total.client_to_server } else { &mut total.server_to_client }) += bytes;
            }
            total.rounds += u64::from(self.rounds());
        }
        total
    }
}

/// [`relu`](super::relu::relu) from `h` to `out_bits` bits.
#[must_use]
pub fn relu(h: u32, out_bits: u32, split: Split) -> Cost {
    coarse_relu(h, FREE, out_bits, split)
}

/// [`coarse_relu`](super::relu::coarse_relu) from `h` to `out_bits` bits, `left_out` of them left
/// out of the comparison.
#[must_use]
pub fn coarse_relu(h: u32, left_out: u32, out_bits: u32, split: Split) -> Cost {
    let digits = SignDigits::of(h, left_out, split).digits;
    let first = digits.first_to_know();
    let cost = Cost::default().comparison(&digits).mux(first, h.min(out_bits), 1);
    if out_bits > h { cost.widen(first.peer(), h, out_bits) } else { cost }
}

/// [`clip`](super::clip::clip) from `h` to `out_bits` bits.
#[must_use]
pub fn clip(h: u32, ceiling: u32, out_bits: u32, split: Split) -> Cost {
    let digits = SignDigits::of(h, FREE, split).digits;
    let first = digits.first_to_know();
    let ring = clipped_ring(ceiling, RingBits(out_bits));
    let multiple = constant_shift(ceiling, ring).map(|shift| ring.0 - shift);
    let cost = Cost::default().comparisons(&digits, 2).mux(first, 1, 1).sum(first.peer(), &[ring.0], multiple);
    if out_bits > ring.0 { cost.widen(first, ring.0, out_bits) } else { cost }
}

/// [`piecewise`](super::piecewise::piecewise) from `h` to `out_bits` bits.
#[must_use]
pub fn piecewise(h: u32, function: &Piecewise, out_bits: u32, split: Split) -> Cost {
    let widths: Vec<u32> = knots_modulo(function, RingBits(out_bits)).map(|(_, shift)| out_bits - shift).collect();
    let (mut cost, mut first) = (Cost::default(), Role::Client);
    if !widths.is_empty() {
        let digits = SignDigits::of(h, function.left_out, split).digits;
        cost = cost.comparisons(&digits, widths.len() as u32);
        first = digits.first_to_know();
    }
    if out_bits > h {
        cost = cost.widen(first, h, out_bits);
        first = first.peer();
    }
    if widths.is_empty() { cost } else { cost.sum(first, &widths, None) }
}

/// [`multiply`](super::multiply::multiply) of numbers of `out_bits` bits by those of `k` bits.
#[must_use]
pub fn multiply(k: u32, out_bits: u32) -> Cost {
    let widths: Vec<u32> = (0..k).map(|bit| out_bits - bit).collect();
    Cost::default().sum(Role::Client, &widths, None)
}

/// [`widen_signed`](super::truncate::widen_signed) from `h` to `out_bits` bits.
#[must_use]
pub fn widen_signed(h: u32, headroom: Headroom, out_bits: u32, split: Split) -> Cost {
    match headroom {
        _ if out_bits <= h => Cost::default(),
        Headroom::OneBit => Cost::default().widen(Role::Client, h, out_bits),
        Headroom::None => {
            let digits = Digits::of(h, split);
            Cost::default().comparison(&digits).widen(digits.first_to_know(), h, out_bits)
        }
    }
}

/// [`maximum`](super::maximum::maximum) in `h` bits.
#[must_use]
pub fn maximum(h: u32, split: Split) -> Cost {
    let digits = SignDigits::of(h, FREE, split).digits;
    Cost::default().comparison(&digits).mux(digits.first_to_know(), h, 1)
}

/// [`max_pool`](super::pool::max_pool) of `planes` planes in `h` bits.
#[must_use]
pub fn max_pool(planes: usize, schedule: &PoolSchedule, h: u32, cut: Cut) -> Total {
    let comparison = maximum(h, cut.split);
    let mut total = Total::default();
    for comparisons in schedule.level_sizes() {
        total += comparison.of(planes * comparisons, cut.tile);
    }
    total
}

/// [`argmax`](super::argmax::argmax) of `samples` samples in `h` bits, with the opening of the
/// labels.
#[must_use]
pub fn argmax(samples: usize, classes: usize, h: u32, cut: Cut) -> Total {
    let bits = label_bits(classes);
    let digits = Digits::of(h - 1, cut.split);
    let comparison = Cost::default().comparison(&digits).mux(digits.first_to_know(), h.max(bits), 2);
    let mut total = Total::default();
    let mut width = classes;
    while width > 1 {
        total += comparison.of(samples * (width / 2), cut.tile);
        width = width.div_ceil(2);
    }
    // After an even number of digits the label travels with the server's last opening.
    let waits = classes > 1 && digits.first_to_know() == Role::Server;
    let opening = Total { server_to_client: packed_len(samples, bits) as u64, rounds: u64::from(waits), ..Total::default() };
    total += opening;
    total
}

/// [`classify`](super::argmax::classify).
///
/// # Errors
/// As that.
pub fn classify(samples: usize, classes: usize, ring: RingBits, window: Window, cut: Cut) -> Result<Total, ProtocolError> {
    let (read, bits) = logits_window(ring, window)?;
    let mut total = argmax(samples, classes, bits, cut);
    if read.bits < bits {
        total += widen_signed(read.bits, Headroom::None, bits, cut.split).of(samples * classes, cut.tile);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Knot;

    fn figures(cost: &Cost) -> (u32, u32, u32, u32) {
        (cost.bits, cost.m_ary_ots, cost.binary_ots, cost.flights())
    }

    #[test]
    fn the_hot_path_meets_its_budget() {
        assert_eq!(figures(&relu(11, 26, Split::FewestOts)), (88, 3, 3, 6));
        assert_eq!(figures(&relu(11, 26, Split::OneMore)), (84, 4, 3, 7));
        assert_eq!(figures(&relu(11, 26, Split::FewestBits)), (80, 5, 3, 8));
        assert_eq!(figures(&coarse_relu(11, 3, 26, Split::FewestOts)), (78, 2, 3, 5));
        assert_eq!(figures(&coarse_relu(11, 3, 26, Split::OneMore)), (70, 3, 3, 6));
        assert_eq!(figures(&relu(13, 25, Split::FewestOts)), (99, 4, 3, 7));
        assert_eq!(figures(&maximum(13, Split::FewestOts)), (86, 4, 2, 6));
        assert_eq!(figures(&clip(12, 1 << 9, 26, Split::OneMore)), (145, 8, 6, 8));
        let knots = (0..8).map(|at| Knot { at, change: 3 }).collect();
        assert_eq!(
            figures(&piecewise(12, &Piecewise { fraction: 0, slope: 1, offset: 0, knots, left_out: 1 }, 20, Split::OneMore)),
            (737, 32, 17, 7)
        );
        assert_eq!(figures(&multiply(9, 20)), (306, 0, 18, 2));
        assert_eq!(figures(&widen_signed(14, Headroom::OneBit, 25, Split::OneMore)), (12, 0, 1, 2));
    }

    /// The client's ciphertexts are about as many bits per ReLU as the server says more.
    #[test]
    fn the_server_says_more_where_the_client_sends_ciphertexts() {
        for (split, down, up) in [(Split::FewestOts, 60, 28), (Split::OneMore, 54, 30), (Split::FewestBits, 52, 28)] {
            let total = relu(11, 26, split).of(1 << 20, 1 << 18);
            assert_eq!([total.server_to_client, total.client_to_server].map(|bytes| bytes >> 17), [down, up], "{split:?}");
        }
    }
}
