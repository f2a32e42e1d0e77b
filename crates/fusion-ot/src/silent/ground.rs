//! The attack that broke this extension once, kept as a test.
//!
//! A receiver may grind the roots of its SoftSpoken trees (`softspoken::ground`), which is not
//! against any protocol, until the roots of two of its silent trees are equal. When all trees
//! shared one public offset and one fixed key, equal roots made equal trees, whose level sums
//! cancelled: what the sender sent for level i of the two, added up, was the sum of two
//! correlations, and where the choices differed that is Delta. Every message was well-formed and
//! every check passed.
//!
//! Now every tree has a key and an offset of its own that the sender draws when roots are fixed
//! (`keys`, in the source). A [`GroundReceiver`] plays the attack against whoever holds the other
//! end, through the traits that layers use.

use fusion_ring::channel::{Channel, RecordingChannel, ReplayChannel};
use fusion_ring::ot::lpn::LocalCode;
use fusion_ring::symmetric::aes::Block;
use fusion_ring::symmetric::prg::Seed;
use rand_core::CryptoRng;

use super::keys::ExtensionKeys;
use super::{ExtensionSize, Parameters, Receiver, Sender};
use crate::delta::{FIXED_BITS, multiples_of, pad_mask};
use crate::functionality::{ChoiceBits, RandomOtReceiver, ReceiverBits, ReceiverPads};
use crate::session::{Direction, Session};
use crate::{OtError, Role, softspoken};

/// What an honest receiver of the attacked width is told first: SoftSpoken's challenge, and the
/// seed of its pads.
const CHALLENGE: usize = 32;
const SEED: usize = 16;

/// A receiver whose first two silent trees of one width have equal roots, and which otherwise
/// follows the protocol. It remembers what it is told.
pub struct GroundReceiver {
    m: ChoiceBits,
    size: ExtensionSize,
    /// Plays.
    playing: Receiver,
    /// In the state that the playing one began in, for going over the extension again.
    again: Receiver,
    /// Blocks v of the first OTs, choices in their low bits.
    blocks: Vec<Block>,
    source: softspoken::Receiver,
    /// What came in while OTs of the width were made.
    told: Vec<u8>,
}

/// As [`super::setup_with`], with a ground receiver.
///
/// # Errors
/// As [`super::setup_with`].
pub fn setup(
    m: ChoiceBits,
    size: ExtensionSize,
    session: &Session,
    role: Role,
    channel: &mut dyn Channel,
    rng: &mut impl CryptoRng,
) -> Result<(Sender, GroundReceiver), OtError> {
    session.both_directions(
        role,
        &mut (channel, rng),
        |direction, (channel, rng)| Sender::setup(size, direction, *channel, *rng),
        |direction, (channel, rng)| GroundReceiver::setup(m, size, direction, *channel, *rng),
    )
}

/// Delta of an honest sender, to compare guesses with.
#[must_use]
pub fn delta_of(sender: &Sender) -> u128 {
    sender.source.delta().multiples(ChoiceBits::ONE)[1]
}

impl GroundReceiver {
    /// Sets up this end; the peer calls [`Sender::setup`]. The attack is on OTs of width `m`, which
    /// must be the first that are made, more at once than SoftSpoken gives
    /// ([`Parameters::reserve`]).
    ///
    /// # Errors
    /// As [`Receiver::setup`].
    pub fn setup(
        m: ChoiceBits,
        size: ExtensionSize,
        direction: &Direction,
        channel: &mut dyn Channel,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, OtError> {
        let set = Parameters::new(m, size);
        let width = m.bits() as usize;
        let rows = set.reserve() * width;
        // Rows are taken from the end of the batch.
        let root = |tree: usize| {
            let at = softspoken::batch_rows(rows) - rows + width * ((1 << set.log_secrets()) + tree * set.depth());
            at..at + width
        };
        let [source, a, b] = softspoken::Receiver::setup_ground(direction, channel, rng, [root(0), root(1)])?;
        let playing = Receiver::over(a, size, channel, rng)?;
        let again = Receiver::new(b, size, playing.toss.clone(), playing.coins.clone());
        Ok(Self { m, size, playing, again, blocks: Vec::new(), source, told: Vec::new() })
    }

    /// What the attack takes for Delta, one guess per level at which the choices of the two trees
    /// differ. To be called once.
    ///
    /// # Panics
    /// If no extension of the attacked width has begun.
    pub fn guesses(&mut self) -> Vec<u128> {
        let set = Parameters::new(self.m, self.size);
        let (depth, low) = (set.depth(), set.choice_mask());
        let mut challenge = ReplayChannel::unchecked(self.told[..CHALLENGE].to_vec());
        let correlations = self.source.correlations(&mut challenge, self.m, set.reserve());
        let (choices, blocks) = correlations.expect("the challenge is the one that was answered");
        let own = |tree: usize, level: usize| {
            let at = (1 << set.log_secrets()) + tree * depth + level;
            (blocks[at] & !low, choices[at] & 1)
        };
        assert_eq!(own(0, 0), own(1, 0), "the two roots are equal by choice");
        let (messages, _) = self.told[CHALLENGE + SEED..].as_chunks::<16>();
        let said = |tree: usize, level: usize| Block::from_le_bytes(messages[tree * set.tree_message() + level - 1]);
        // A wide tree's last level is masked by a hash instead.
        let levels = 1..depth - usize::from(set.wide());
        let guess = |level: usize| {
            let ((v_a, u_a), (v_b, u_b)) = (own(0, level), own(1, level));
            (u_a != u_b).then(|| (said(0, level) ^ said(1, level) ^ v_a ^ v_b) & !FIXED_BITS | 1)
        };
        levels.filter_map(guess).collect()
    }

    /// All 2^m pads of each of the first `n` OTs of the attacked width, one after the other, as
    /// they would be if `guess` were Delta. At its own choices the receiver knows them in any case.
    ///
    /// # Panics
    /// If they are more than an extension's, or more than the first time.
    pub fn pads_if(&mut self, guess: u128, n: usize) -> Vec<u32> {
        let set = Parameters::new(self.m, self.size);
        let multiples = multiples_of(guess, self.m);
        assert!(n <= set.outputs() - set.reserve(), "within the first extension");
        if self.blocks.is_empty() {
            let blocks = &mut self.blocks;
            let sink = &mut |part: &[Block]| blocks.extend_from_slice(part);
            self.again.correlated(&mut ReplayChannel::unchecked(self.told.clone()), self.m, n, sink).expect("what was accepted before");
        }
        let low = set.choice_mask();
        let w: Vec<Block> = self.blocks.iter().map(|v| (v ^ multiples[(v & low) as usize]) & !low).collect();
        let seed = std::array::from_fn(|i| self.told[CHALLENGE + i]);
        let mut keys = ExtensionKeys::new(&Seed::from(seed));
        let nothing = LocalCode::new([0; 16], 0);
        let mut pads = Vec::new();
        let (mut at, mut tree) = (0, 0usize);
        while at < n {
            // The first outputs went to the next extension.
            let end = ((tree + 1) << set.depth()).saturating_sub(set.reserve()).min(n);
            let mut hash = keys.next_tree().pads;
            if end > at {
                let mut blocks = w[at..end].to_vec();
                blocks.resize((end - at).next_multiple_of(fusion_ring::ot::lpn::BATCH), 0);
                let mut encoding = nothing.begin(0, &[0], &mut blocks);
                let mut out = vec![0; (end - at) * self.m.messages()];
                hash.sender(&multiples, &mut encoding, 0..end - at, |pad| pad as u32 & pad_mask(self.m), &mut out);
                pads.extend(out);
                at = end;
            }
            tree += 1;
        }
        pads
    }
}

impl GroundReceiver {
    /// Plays; remembers what comes in while OTs of the attacked width are made.
    fn remembering<T>(&mut self, channel: &mut dyn Channel, m: ChoiceBits, play: impl FnOnce(&mut Receiver, &mut dyn Channel) -> T) -> T {
        let mut tap = RecordingChannel::new(channel);
        let out = play(&mut self.playing, &mut tap);
        if m == self.m {
            self.told.extend(tap.into_recording().received);
        }
        out
    }
}

impl RandomOtReceiver for GroundReceiver {
    fn random_ot(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverPads, OtError> {
        self.remembering(channel, m, |playing, channel| playing.random_ot(channel, m, n))
    }

    fn random_bits(&mut self, channel: &mut dyn Channel, m: ChoiceBits, n: usize) -> Result<ReceiverBits, OtError> {
        self.remembering(channel, m, |playing, channel| playing.random_bits(channel, m, n))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::keys::mutation::{SHARED, Shared};
    use super::super::setup_with;
    use super::*;
    use crate::functionality::{RandomOtSender, SenderPads};
    use crate::testing::{run, session};

    const SIZE: ExtensionSize = ExtensionSize::Small;
    const NOTHING: Shared = Shared { key: false, offset: false };

    /// What came of an attack on the sender of a lane whose other party has `role`.
    struct Attack {
        delta: u128,
        guesses: Vec<u128>,
        /// All pads of the sender, and what the receiver makes of them by its first guess, if the
        /// extension was played to its end.
        pads: Option<(Vec<u32>, Vec<u32>)>,
    }

    fn attack(m: ChoiceBits, role: Role, seed: u64, shared: Shared, to_the_end: bool) -> Attack {
        let n = Parameters::new(m, SIZE).reserve() + 100;
        let rng = |who: u64| ChaCha20Rng::seed_from_u64(2 * seed + who);
        let honest = if role == Role::First { Role::Second } else { Role::First };
        let ((delta, sent), (guesses, got)) = run(
            |ch| {
                SHARED.set(shared);
                let (mut s, _) = setup_with(SIZE, &session(), honest, ch, &mut rng(0)).unwrap();
                let sent = s.random_ot(ch, m, n);
                SHARED.set(NOTHING);
                (delta_of(&s), sent)
            },
            |ch| {
                SHARED.set(shared);
                let (_, mut r) = setup(m, SIZE, &session(), role, ch, &mut rng(1)).unwrap();
                let mut channel = RecordingChannel::new(ch);
                if !to_the_end {
                    // A receiver that has heard enough leaves.
                    channel.close_after((CHALLENGE + SEED + 32 * Parameters::new(m, SIZE).tree_message()) as u64);
                }
                let got = r.random_ot(&mut channel, m, n);
                let guesses = r.guesses();
                let pads = got.is_ok().then(|| r.pads_if(guesses[0], n));
                SHARED.set(NOTHING);
                (guesses, pads)
            },
        );
        assert_eq!((sent.is_ok(), got.is_some()), (to_the_end, to_the_end));
        let all = |sent: SenderPads| (0..n).flat_map(|i| (0..m.messages()).map(move |x| (i, x))).map(|(i, x)| sent.pad(i, x)).collect();
        Attack { delta, guesses, pads: got.map(|got| (sent.map(all).unwrap(), got)) }
    }

    fn widths() -> impl Iterator<Item = ChoiceBits> {
        (1..=4).map(|m| ChoiceBits::new(m).unwrap())
    }

    /// The defence taken out: Delta is learnt, every check passes, and every pad of the sender
    /// follows.
    #[test]
    fn it_works_where_all_trees_share_a_key_and_an_offset() {
        for m in widths() {
            for role in [Role::First, Role::Second] {
                let got = attack(m, role, 1000, Shared { key: true, offset: true }, true);
                assert!(!got.guesses.is_empty() && got.guesses.iter().all(|&g| g == got.delta), "{m:?} {role:?}");
                let (sent, computed) = got.pads.unwrap();
                assert_eq!(sent, computed, "{m:?} {role:?}");
            }
        }
    }

    /// How many guesses twenty attacks make, and how many of them are right.
    fn guesses(role: Role, seeds: std::ops::Range<u64>, shared: Shared, widths: impl Iterator<Item = ChoiceBits>) -> (usize, usize) {
        let (mut made, mut right) = (0, 0);
        for m in widths {
            let before = made;
            for seed in seeds.clone() {
                let got = attack(m, role, seed, shared, false);
                made += got.guesses.len();
                right += got.guesses.iter().filter(|&&guess| guess == got.delta).count();
            }
            assert!(made > before, "{m:?}: no levels differ in any seed");
        }
        (made, right)
    }

    #[test]
    fn a_ground_client_learns_nothing_in_twenty_seeds() {
        assert_eq!(guesses(Role::First, 0..20, NOTHING, widths()).1, 0);
    }

    #[test]
    fn a_ground_server_learns_nothing_in_twenty_seeds() {
        assert_eq!(guesses(Role::Second, 20..40, NOTHING, widths()).1, 0);
    }

    /// Played to the end, its guesses give it no pad of another choice than its own: those of 32
    /// bits differ, shorter ones agree as often as unrelated ones do.
    #[test]
    fn a_ground_receiver_gets_no_pad_of_another_choice() {
        for m in widths() {
            let (sent, computed) = attack(m, Role::First, 50, NOTHING, true).pads.unwrap();
            let (n, k) = (sent.len() / m.messages(), m.messages());
            let equal = sent.iter().zip(&computed).filter(|(a, b)| a == b).count();
            let chance = if k == 2 { 0.0 } else { (n * (k - 1)) as f64 / 256.0 };
            assert!((equal as f64 - n as f64 - chance).abs() <= 6.0 * chance.sqrt() + 1.0, "{m:?}: {equal} of {}", sent.len());
        }
    }

    /// Either half of the defence holds alone, and the other must still be there: a key per tree
    /// and an offset per tree.
    #[test]
    fn one_of_key_and_offset_is_enough() {
        for shared in [Shared { key: true, offset: false }, Shared { key: false, offset: true }] {
            assert_eq!(guesses(Role::First, 60..61, shared, [ChoiceBits::ONE].into_iter()).1, 0);
        }
    }
}
