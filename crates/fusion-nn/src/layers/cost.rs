//! What the layer protocols cost, from public numbers alone. Tests hold measured traffic against
//! these formulas, to the byte.

use std::iter;

use fusion_ot::functionality::ChoiceBits;
use fusion_ring::bits::pack::packed_len;

use super::argmax::{label_bits, logits_window};
use super::digits::Digits;
use super::error::ProtocolError;
use super::party::Role;
use super::pool::PoolSchedule;
use super::tile::Tile;
use super::truncate::Headroom;
use fusion_model::program::{RingBits, Window};

/// What one round carries per element: widths in bits of what either party sends, named for its
/// part at the first digit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Round {
    sender: Vec<u32>,
    receiver: Vec<u32>,
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
    /// Rounds: how often each party sends and then waits for what the peer sent meanwhile.
    pub rounds: u32,
    messages: Vec<Round>,
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
    /// Rounds.
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
    fn round(mut self, sender: Vec<u32>, receiver: Vec<u32>) -> Self {
        self.bits += sender.iter().chain(&receiver).sum::<u32>();
        self.rounds += 1;
        self.messages.push(Round { sender, receiver });
        self
    }

    fn symmetric(self, widths: Vec<u32>) -> Self {
        self.round(widths.clone(), widths)
    }

    /// A comparison.
    fn comparison(mut self, digits: &Digits) -> Self {
        for &m in digits.choices() {
            *(if m == ChoiceBits::ONE { &mut self.binary_ots } else { &mut self.m_ary_ots }) += 1;
        }
        // The answer at one digit travels with the corrections for the next; the parties take
        // turns.
        let corrections = digits.choices().iter().map(|m| Some(m.bits()));
        let answers = digits.iter().map(|digit| Some(digit.answer_bits()));
        for (i, (answer, correction)) in iter::once(None).chain(answers).zip(corrections.chain([None])).enumerate() {
            let widths = answer.into_iter().chain(correction).collect();
            self = if i % 2 == 0 { self.round(Vec::new(), widths) } else { self.round(widths, Vec::new()) };
        }
        self
    }

    /// `count` multiplexers of `bits` bits on one shared choice bit, in one round.
    fn mux(mut self, bits: u32, count: u32) -> Self {
        self.binary_ots += 2 * count;
        self.symmetric(vec![count, bits * count])
    }

    fn widen(mut self, from: u32, to: u32) -> Self {
        self.binary_ots += 1;
        self.round(vec![to - from], vec![1])
    }

    /// The cost of `n` elements in tiles of twice `half_tile`, exact to the byte. A tile of up to
    /// 64 elements has one half only: its rounds are an upper bound.
    #[must_use]
    pub fn of(&self, n: usize, half_tile: usize) -> Total {
        let mut total = Total {
            m_ary_ots: n as u64 * u64::from(self.m_ary_ots),
            binary_ots: n as u64 * u64::from(self.binary_ots),
            ..Total::default()
        };
        for tile in Tile::all(n, half_tile) {
            for round in &self.messages {
                let (client, server) = (tile.sent_by(Role::Client).len(), tile.sent_by(Role::Server).len());
                let bytes = |n: usize, widths: &[u32]| widths.iter().map(|&bits| packed_len(n, bits) as u64).sum::<u64>();
                total.client_to_server += bytes(client, &round.sender) + bytes(server, &round.receiver);
                total.server_to_client += bytes(server, &round.sender) + bytes(client, &round.receiver);
            }
            total.rounds += u64::from(self.rounds);
        }
        total
    }
}

/// [`relu`](super::relu::relu) from `h` to `out_bits` bits.
#[must_use]
pub fn relu(h: u32, out_bits: u32) -> Cost {
    let cost = Cost::default().comparison(&Digits::of(h - 1)).mux(h.min(out_bits), 1);
    if out_bits > h { cost.widen(h, out_bits) } else { cost }
}

/// [`widen_signed`](super::truncate::widen_signed) from `h` to `out_bits` bits.
#[must_use]
pub fn widen_signed(h: u32, headroom: Headroom, out_bits: u32) -> Cost {
    match headroom {
        _ if out_bits <= h => Cost::default(),
        Headroom::OneBit => Cost::default().widen(h, out_bits),
        Headroom::None => Cost::default().comparison(&Digits::of(h)).widen(h, out_bits),
    }
}

/// [`maximum`](super::maximum::maximum) in `h` bits.
#[must_use]
pub fn maximum(h: u32) -> Cost {
    Cost::default().comparison(&Digits::of(h - 1)).mux(h, 1)
}

/// [`max_pool`](super::pool::max_pool) of `planes` planes in `h` bits.
#[must_use]
pub fn max_pool(planes: usize, schedule: &PoolSchedule, h: u32, half_tile: usize) -> Total {
    let comparison = maximum(h);
    let mut total = Total::default();
    for comparisons in schedule.level_sizes() {
        total += comparison.of(planes * comparisons, half_tile);
    }
    total
}

/// [`argmax`](super::argmax::argmax) of `samples` samples in `h` bits, with the opening of the
/// labels.
#[must_use]
pub fn argmax(samples: usize, classes: usize, h: u32, half_tile: usize) -> Total {
    let bits = label_bits(classes);
    let comparison = Cost::default().comparison(&Digits::of(h - 1)).mux(h.max(bits), 2);
    let mut total = Total::default();
    let mut width = classes;
    while width > 1 {
        total += comparison.of(samples * (width / 2), half_tile);
        width = width.div_ceil(2);
    }
    let opening = Total { server_to_client: packed_len(samples, bits) as u64, rounds: 1, ..Total::default() };
    total += opening;
    total
}

/// [`classify`](super::argmax::classify).
///
/// # Errors
/// As that.
pub fn classify(samples: usize, classes: usize, ring: RingBits, window: Window, half_tile: usize) -> Result<Total, ProtocolError> {
    let (read, bits) = logits_window(ring, window)?;
    let mut total = argmax(samples, classes, bits, half_tile);
    if read.bits < bits {
        total += widen_signed(read.bits, Headroom::None, bits).of(samples * classes, half_tile);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hot_path_meets_its_budget() {
        let cost = relu(13, 25);
        assert_eq!((cost.bits, cost.m_ary_ots, cost.binary_ots, cost.rounds), (108, 4, 3, 7));
        let cost = maximum(13);
        assert_eq!((cost.bits, cost.m_ary_ots, cost.binary_ots, cost.rounds), (95, 4, 2, 6));
        let cost = widen_signed(14, Headroom::OneBit, 25);
        assert_eq!((cost.bits, cost.m_ary_ots, cost.binary_ots, cost.rounds), (12, 0, 1, 1));
    }

    #[test]
    fn directions_carry_the_same_load() {
        let total = relu(13, 25).of(1 << 18, 1 << 16);
        assert_eq!(total.client_to_server, total.server_to_client);
        assert_eq!(total.bytes(), (1 << 18) * 108 / 8);
    }
}
