//! Fields of up to 64 bits, one word per OT, packed without gaps; the reading side refuses what no
//! honest peer sends.

use fusion_ring::bits::pack::packed_len;

use crate::OtError;

/// Packs words of a fixed width, least significant bit first.
pub(crate) struct BitWriter {
    out: Vec<u8>,
    acc: u128,
    have: u32,
}

impl BitWriter {
    /// A writer with room for `n` fields of `bits` bits.
    pub(crate) fn with_capacity(n: usize, bits: u32) -> Self {
        Self { out: Vec::with_capacity(packed_len(n, bits) + 8), acc: 0, have: 0 }
    }

    /// Appends the low `bits` bits (at most 64) of `word`; the bits above them must be zero.
    pub(crate) fn push(&mut self, word: u64, bits: u32) {
        debug_assert!(bits == 64 || word >> bits == 0, "field is wider than {bits} bits");
        self.acc |= u128::from(word) << self.have;
        self.have += bits;
        if self.have >= 64 {
            self.out.extend_from_slice(&(self.acc as u64).to_le_bytes());
            self.acc >>= 64;
            self.have -= 64;
        }
    }

    /// The bytes, padded with zero bits.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let rest = (self.have as usize).div_ceil(8);
        self.out.extend_from_slice(&(self.acc as u64).to_le_bytes()[..rest]);
        self.out
    }
}

/// Low `bits` bits set.
pub(crate) const fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// Iterates over the fields of a received message.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    words: std::slice::Chunks<'a, u8>,
    bits: u32,
    left: usize,
    acc: u128,
    have: u32,
}

impl<'a> BitReader<'a> {
    /// `n` fields of `bits` bits (at most 64) in `bytes`.
    ///
    /// # Errors
    /// [`OtError::PeerMisbehaved`] if the length is wrong or the padding is not zero.
    pub(crate) fn new(bytes: &'a [u8], n: usize, bits: u32) -> Result<Self, OtError> {
        if bytes.len() != packed_len(n, bits) {
            return Err(OtError::PeerMisbehaved("wrong message length"));
        }
        let used = (n * bits as usize) % 8;
        if used != 0 && bytes[bytes.len() - 1] >> used != 0 {
            return Err(OtError::PeerMisbehaved("padding bits are not zero"));
        }
        Ok(Self { words: bytes.chunks(8), bits, left: n, acc: 0, have: 0 })
    }
}

impl Iterator for BitReader<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.have < self.bits {
            let chunk = self.words.next().unwrap_or(&[]);
            let word = match <[u8; 8]>::try_from(chunk) {
                Ok(whole) => u64::from_le_bytes(whole),
                Err(_) => chunk.iter().rev().fold(0, |acc, &b| acc << 8 | u64::from(b)),
            };
            self.acc |= u128::from(word) << self.have;
            self.have += 64;
        }
        let field = self.acc as u64 & mask(self.bits);
        self.acc >>= self.bits;
        self.have -= self.bits;
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reading_inverts_writing(words in prop::collection::vec(any::<u64>(), 0..200), bits in 1u32..=64) {
            let words: Vec<u64> = words.iter().map(|w| w & mask(bits)).collect();
            let mut writer = BitWriter::with_capacity(words.len(), bits);
            for &w in &words {
                writer.push(w, bits);
            }
            let bytes = writer.finish();
            prop_assert_eq!(bytes.len(), packed_len(words.len(), bits));
            prop_assert_eq!(BitReader::new(&bytes, words.len(), bits).unwrap().collect::<Vec<_>>(), words);
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        let wrong = |bytes: &[u8], n, bits| BitReader::new(bytes, n, bits).unwrap_err();
        assert_eq!(wrong(&[0; 3], 3, 3), OtError::PeerMisbehaved("wrong message length"));
        assert_eq!(wrong(&[0, 2], 3, 3), OtError::PeerMisbehaved("padding bits are not zero"));
        assert_eq!(wrong(&[0], 0, 3), OtError::PeerMisbehaved("wrong message length"));
    }
}
