//! Types for what the words of a layer mean: additive shares, XOR shares, or numbers in the clear.
//! All are `u32` or `u64` words underneath; the types keep one from being passed for another, and a
//! share from being passed without its ring. They cost nothing: no constructor copies, and only
//! [`AdditiveShares::from_words`] goes over the words.

use fusion_model::program::RingBits;
use fusion_ring::bits::bitslice::{bitslice_of_words, join_bitslices};
use fusion_ring::bits::pack::mask32;
use fusion_ring::ot::bit_products::masks_of_bitslice;
use fusion_ring::secret::Wiped;
use rand_core::CryptoRng;

use super::error::ProtocolError;
use super::tile::Tile;

/// This party's additive shares of numbers modulo 2^ring: number i is the sum of both parties'
/// shares i. Shares are reduced, that is, below 2^ring. Wiped on drop, never printed.
///
/// ```
/// use fusion_nn::layers::{AdditiveShares, ClearNumbers, RingBits};
/// # use rand_core::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1); // really: from the OS
/// let numbers = ClearNumbers::from_signed(&[-5, 7], RingBits(13));
/// let [client, server] = AdditiveShares::share(&numbers, &mut rng);
/// assert_eq!(client.reveal(&server)?.to_signed()[..], [-5, 7]);
/// # Ok::<(), fusion_nn::layers::ProtocolError>(())
/// ```
pub struct AdditiveShares {
    words: Wiped<u32>,
    ring: RingBits,
}

impl AdditiveShares {
    /// Shares modulo 2^`ring` from any words: reduces them.
    #[must_use]
    pub fn from_words(words: impl Into<Wiped<u32>>, ring: RingBits) -> Self {
        let mut shares = Self { words: words.into(), ring };
        shares.reduce();
        shares
    }

    /// Shares from words that are reduced already.
    pub(crate) fn from_reduced(words: Wiped<u32>, ring: RingBits) -> Self {
        debug_assert!(words.iter().all(|&word| word <= mask32(ring.0)), "shares are reduced");
        Self { words, ring }
    }

    /// The sharing of numbers of which one party knows all and the peer nothing: the party that
    /// knows them takes them as its shares, the peer takes [`AdditiveShares::zeros`].
    #[must_use]
    pub fn of_own(numbers: ClearNumbers) -> Self {
        Self { words: numbers.words, ring: numbers.ring }
    }

    /// Shares that are all zero.
    #[must_use]
    pub fn zeros(len: usize, ring: RingBits) -> Self {
        Self { words: Wiped::new(len), ring }
    }

    /// Shares `numbers` between two parties; either half alone is uniform.
    pub fn share(numbers: &ClearNumbers, rng: &mut impl CryptoRng) -> [Self; 2] {
        let mask = mask32(numbers.ring.0);
        let first = Wiped::filled(numbers.len(), numbers.iter().map(|_| rng.next_u32() & mask));
        let rest = numbers.iter().zip(&first).map(|(number, share)| number.wrapping_sub(*share) & mask);
        let second = Wiped::filled(numbers.len(), rest);
        [first, second].map(|words| Self { words, ring: numbers.ring })
    }

    /// The numbers, from both parties' shares.
    ///
    /// # Errors
    /// Misuse if the halves are not of one sharing: another length or another ring.
    pub fn reveal(&self, peer: &Self) -> Result<ClearNumbers, ProtocolError> {
        if self.len() != peer.len() || self.ring != peer.ring {
            return Err(ProtocolError::Misuse("reveal: halves of one sharing"));
        }
        let sums = self.words.iter().zip(&peer.words).map(|(mine, theirs)| mine.wrapping_add(*theirs) & mask32(self.ring.0));
        Ok(ClearNumbers { words: Wiped::filled(self.len(), sums), ring: self.ring })
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> RingBits {
        self.ring
    }

    /// The words, taken out.
    pub(super) fn into_words(self) -> Wiped<u32> {
        self.words
    }

    /// How many numbers are shared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether none is shared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The shares, as words below 2^ring.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The shares, to be written. The caller keeps them reduced.
    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }

    /// The same numbers modulo 2^`ring`, which must be no wider than now.
    pub(super) fn reduced_to(mut self, ring: RingBits) -> Self {
        debug_assert!(ring <= self.ring, "a wider ring takes a protocol");
        if ring < self.ring {
            self.ring = ring;
            self.reduce();
        }
        self
    }

    /// All shares.
    pub(super) fn all(&self) -> AdditiveSlice<'_> {
        AdditiveSlice { words: &self.words, ring: self.ring }
    }

    /// Those of the elements of `tile`.
    pub(super) fn tile(&self, tile: Tile) -> AdditiveSlice<'_> {
        AdditiveSlice { words: tile.of(&self.words), ring: self.ring }
    }

    /// Writes the shares of the elements of `tile`.
    pub(super) fn set_tile(&mut self, tile: Tile, shares: &Self) {
        debug_assert_eq!(self.ring, shares.ring, "one ring");
        tile.of_mut(&mut self.words).copy_from_slice(&shares.words);
    }

    /// The shares of every number, each `times` times in a row: a number for every channel becomes
    /// one for every position of the channel.
    #[must_use]
    pub fn repeated(&self, times: usize) -> Self {
        let words = self.words.iter().flat_map(|&word| std::iter::repeat_n(word, times));
        Self { words: Wiped::filled(self.len() * times, words), ring: self.ring }
    }

    /// Adds a number that this party knows to every share, and so to every number.
    pub(super) fn add(&mut self, number: u32) {
        let mask = mask32(self.ring.0);
        self.words.iter_mut().for_each(|word| *word = word.wrapping_add(number) & mask);
    }

    fn reduce(&mut self) {
        let mask = mask32(self.ring.0);
        self.words.iter_mut().for_each(|word| *word &= mask);
    }
}

/// Some of a party's [`AdditiveShares`].
#[derive(Clone, Copy)]
pub(super) struct AdditiveSlice<'a> {
    pub(super) words: &'a [u32],
    pub(super) ring: RingBits,
}

impl AdditiveSlice<'_> {
    pub(super) fn len(self) -> usize {
        self.words.len()
    }

    /// A copy modulo 2^`ring`, which must be no wider.
    pub(super) fn reduced_to(self, ring: RingBits) -> AdditiveShares {
        debug_assert!(ring <= self.ring, "a wider ring takes a protocol");
        let words = self.words.iter().map(|word| word & mask32(ring.0));
        AdditiveShares { words: Wiped::filled(self.len(), words), ring }
    }

    /// The top bits of the shares. (XOR shares of nothing yet: a carry from below is missing.)
    pub(super) fn top_bits(self) -> XorShares {
        XorShares { bitslice: bitslice_of_words(self.words, self.ring.0 - 1), len: self.len() }
    }
}

/// This party's XOR shares of bits, as a bitslice: bit i is the XOR of both parties' bits i. Bits
/// beyond the length have no meaning.
pub(super) struct XorShares {
    bitslice: Wiped<u64>,
    len: usize,
}

impl XorShares {
    /// Shares of `len` bits.
    pub(super) fn from_bitslice(bitslice: Wiped<u64>, len: usize) -> Self {
        debug_assert!(bitslice.len() >= len.div_ceil(64), "a bit for every element");
        Self { bitslice, len }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bitslice(&self) -> &[u64] {
        &self.bitslice
    }

    /// Shares of the XOR of the bits.
    pub(super) fn xor(mut self, other: &Self) -> Self {
        debug_assert_eq!(self.len, other.len, "as many bits");
        self.bitslice.iter_mut().zip(&other.bitslice).for_each(|(mine, other)| *mine ^= other);
        self
    }

    /// Inverts these shares. Where one party does it and the peer does not, the bits are inverted.
    pub(super) fn invert(&mut self) {
        self.bitslice.iter_mut().for_each(|word| *word = !*word);
    }

    /// The same bits as numbers modulo 2: there, XOR shares are additive ones.
    pub(super) fn to_words(&self) -> AdditiveShares {
        let bits = masks_of_bitslice(&self.bitslice, self.len);
        AdditiveShares { words: Wiped::filled(self.len, bits.iter().map(|bit| bit & 1)), ring: RingBits(1) }
    }

    /// Shares of the `len` bits from `start` on.
    pub(super) fn part(&self, start: usize, len: usize) -> Self {
        debug_assert!(start + len <= self.len, "a part of the bits");
        let (words, shift) = (&self.bitslice[start / 64..], start % 64);
        let above = words.iter().skip(1).chain([&0]);
        // In two steps, since a shift by 64 is none.
        let words = words.iter().zip(above).map(|(low, high)| low >> shift | high << 1 << (63 - shift));
        Self { bitslice: Wiped::filled(len.div_ceil(64), words), len }
    }

    /// The same bits twice, one copy after the other.
    pub(super) fn twice(&self) -> Self {
        Self { bitslice: join_bitslices(&self.bitslice, self.len, &self.bitslice), len: 2 * self.len }
    }
}

/// Numbers modulo 2^ring that this party knows: inputs, or what was opened to it. Private all the
/// same, so wiped on drop and never printed. Reduced.
pub struct ClearNumbers {
    words: Wiped<u32>,
    ring: RingBits,
}

impl ClearNumbers {
    /// Numbers modulo 2^`ring` from any words: reduces them.
    #[must_use]
    pub fn from_words(words: impl Into<Wiped<u32>>, ring: RingBits) -> Self {
        let mut words = words.into();
        words.iter_mut().for_each(|word| *word &= mask32(ring.0));
        Self { words, ring }
    }

    /// Signed numbers in two's complement.
    #[must_use]
    pub fn from_signed(numbers: &[i32], ring: RingBits) -> Self {
        Self::from_words(Wiped::filled(numbers.len(), numbers.iter().map(|&number| number as u32)), ring)
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> RingBits {
        self.ring
    }

    /// The numbers as signed ones, in two's complement.
    #[must_use]
    pub fn to_signed(&self) -> Wiped<i32> {
        let up = 32 - self.ring.0.clamp(1, 32);
        Wiped::filled(self.len(), self.words.iter().map(|&word| ((word << up) as i32) >> up))
    }
}

impl std::ops::Deref for ClearNumbers {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.words
    }
}

impl<'a> IntoIterator for &'a ClearNumbers {
    type Item = &'a u32;
    type IntoIter = std::slice::Iter<'a, u32>;

    fn into_iter(self) -> Self::IntoIter {
        self.words.iter()
    }
}

fusion_ring::opaque!(AdditiveShares, AdditiveSlice<'_>, XorShares, ClearNumbers);
