//! A server that may deviate in order to read the client's inputs, rather than to change answers.
//!
//! Mixing and checking find wrong answers; a server that answers rightly, or whose deviation does
//! not reach the answer, is not found by them (the criticism of mix-and-check in Conan, section
//! VIII-B). What stops it is that it sees nothing: every message of the client is masked by a
//! random OT that no deviation reaches. Here that is shown exactly, by enumeration: for every input
//! of the client and every byte that the server may send wrongly, the server's view takes each
//! value equally often over the OTs' randomness.

use std::collections::BTreeMap;

use fusion_nn::layers::{AdditiveShares, Party, RingBits, Role, relu};
use fusion_ot::OtError;
use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender, ReceiverPads, SenderPads};
use fusion_ring::channel::{Channel, RecordingChannel, memory_pair};

/// Half a tile. The client is the OT sender of the first half, the server of the second.
const HALF: usize = 64;
/// The element that is attacked is the first of the second half: its digit is looked up by the
/// client, and its multiplexer has the client as sender and as receiver.
const ELEMENTS: usize = HALF + 1;
/// A window of three bits: one digit of two bits, looked up by one 1-of-4 OT.
const WINDOW: RingBits = RingBits(3);

/// The randomness of the attacked element's OTs: what the server does not know of them.
#[derive(Clone, Copy)]
struct Coins {
    /// The client's choice in the look-up, below 4.
    lookup: u8,
    /// The client's choice in the multiplexer.
    mux: u8,
    /// The client's pad in the multiplexer at the choice that the server does not have, modulo 8.
    pad: u32,
}

impl Coins {
    const ALL: usize = 4 * 2 * 8;

    fn number(i: usize) -> Self {
        Self { lookup: i as u8 & 3, mux: (i >> 2) as u8 & 1, pad: (i >> 3) as u32 & 7 }
    }
}

/// A dealer whose pads and choices are arbitrary but fixed, except for [`Coins`].
#[derive(Clone, Copy)]
struct Dealer {
    client_sends: bool,
    coins: Coins,
}

impl Dealer {
    fn choice(self, m: ChoiceBits, n: usize, i: usize) -> u8 {
        let attacked = i + 1 == n && !self.client_sends;
        match m {
            ChoiceBits::TWO if attacked => self.coins.lookup,
            ChoiceBits::ONE if attacked => self.coins.mux,
            _ => (i * 7 + 3) as u8 % m.messages() as u8,
        }
    }

    fn pads(self, m: ChoiceBits, n: usize, i: usize) -> Vec<u32> {
        let kept = if m == ChoiceBits::ONE { u32::MAX } else { 0xff };
        let fixed = |x: usize| ((i * 16 + x + usize::from(self.client_sends) * 5) as u32).wrapping_mul(0x9e37_79b9) >> 7 & kept;
        let mut pads: Vec<u32> = (0..m.messages()).map(fixed).collect();
        if m == ChoiceBits::ONE && self.client_sends && i + 1 == n {
            pads[1 - usize::from(self.choice(m, n, i))] = self.coins.pad;
        }
        pads
    }
}

impl RandomOtSender for Dealer {
    fn random_ot(&mut self, _: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<SenderPads, OtError> {
        let all = (0..n).flat_map(|i| self.pads(m, n, i));
        Ok(if m == ChoiceBits::ONE { SenderPads::pairs(all.collect()) } else { SenderPads::wide(m, all.map(|pad| pad as u8).collect()) })
    }
}

impl RandomOtReceiver for Dealer {
    fn random_ot(&mut self, _: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        let choices: Vec<u8> = (0..n).map(|i| self.choice(m, n, i)).collect();
        let pads = choices.iter().enumerate().map(|(i, &choice)| self.pads(m, n, i)[usize::from(choice)]).collect();
        Ok(ReceiverPads::new(m, choices, pads))
    }
}

/// What either party sends in a ReLU of which the client's share of the attacked element is `x`.
fn run(x: u32, coins: Coins, wrong: Option<(usize, u8)>) -> [Vec<u8>; 2] {
    let (client_end, server_end) = memory_pair();
    let (client_wire, mut server_wire) = (RecordingChannel::new(client_end), RecordingChannel::new(server_end));
    if let Some((at, flip)) = wrong {
        server_wire.corrupt_from_now(at, flip);
    }
    let handles = [client_wire.handle(), server_wire.handle()];
    let dealer = |client_sends| Box::new(Dealer { client_sends, coins });
    let shares = |words: Vec<u32>| AdditiveShares::from_words(words, WINDOW);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut party = Party::new(Role::Server, Box::new(server_wire), dealer(false), dealer(true)).with_half_tile(HALF);
            let own = shares((0..ELEMENTS as u32).map(|i| i * 5).collect());
            // A padding bit that the client refuses ends the lane: the abort is public.
            let _ = relu(&mut party, &own, WINDOW);
        });
        let mut party = Party::new(Role::Client, Box::new(client_wire), dealer(true), dealer(false)).with_half_tile(HALF);
        let mut own: Vec<u32> = (0..ELEMENTS as u32).map(|i| i * 3).collect();
        own[HALF] = x;
        let _ = relu(&mut party, &shares(own), WINDOW);
    });
    handles.map(|handle| handle.recording().sent)
}

/// How often the server sees what, over all `coins`.
fn views(x: u32, wrong: Option<(usize, u8)>, coins: &[Coins]) -> BTreeMap<Vec<u8>, usize> {
    let mut views = BTreeMap::new();
    for &coins in coins {
        let [seen, _] = run(x, coins, wrong);
        *views.entry(seen).or_default() += 1;
    }
    views
}

fn all_coins() -> Vec<Coins> {
    (0..Coins::ALL).map(Coins::number).collect()
}

#[test]
fn whatever_the_server_sends_its_view_does_not_depend_on_the_clients_input() {
    let coins = all_coins();
    let sent = run(0, coins[0], None)[1].len();
    let mut deviations: Vec<Option<(usize, u8)>> = vec![None];
    deviations.extend((0..sent).flat_map(|at| [0x01, 0xff].map(|flip| Some((at, flip)))));
    for wrong in deviations {
        let expect = views(0, wrong, &coins);
        // The coins matter to the view: it is not constant for some other reason.
        assert!(expect.len() >= 4, "{wrong:?}: {} views", expect.len());
        for x in [3, 4, 7] {
            assert!(views(x, wrong, &coins) == expect, "byte {wrong:?} sent wrongly tells the server something of {x}");
        }
    }
}

/// The test has teeth: a server that knew any one of the coins, as the broken OT let it, would see
/// the input.
#[test]
fn a_server_that_knows_a_choice_sees_the_input() {
    let known: [fn(&Coins) -> bool; 3] = [|c| c.lookup == 2, |c| c.mux == 1, |c| c.pad == 5];
    for (i, known) in known.into_iter().enumerate() {
        let coins: Vec<Coins> = all_coins().into_iter().filter(known).collect();
        let expect = views(0, None, &coins);
        assert!((1..8).any(|x| views(x, None, &coins) != expect), "coin {i}");
    }
}
