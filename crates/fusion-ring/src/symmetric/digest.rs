//! SHA3-256 digests, by which public things are known: cards, hints, certificates, pools.

use std::fmt;
use std::str::FromStr;

use sha3::{Digest as _, Sha3_256};

/// A SHA3-256 digest: 32 bytes, shown as 64 hexadecimal digits.
///
/// Digests of public things only: comparing two takes variable time, and they are printed.
///
/// ```
/// use fusion_ring::symmetric::digest::{Digest, Hasher};
/// let digest = Digest::of(b"model");
/// let mut pieces = Hasher::default();
/// pieces.update(b"mo");
/// pieces.update(b"del");
/// assert_eq!(pieces.finish(), digest);
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha3_256::digest(bytes).into())
    }

    /// A digest from its 32 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    /// Reads 64 hexadecimal digits, of either case.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NotADigest);
        }
        let digit = |at: usize| (digits[at] as char).to_digit(16).ok_or(NotADigest);
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = (16 * digit(2 * i)? + digit(2 * i + 1)?) as u8;
        }
        Ok(Self(bytes))
    }
}

/// A digest over bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Hasher(Sha3_256);

impl Hasher {
    /// Appends `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything appended.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_string_has_the_published_digest() {
        // FIPS 202, SHA3-256 of the empty message.
        let text = "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a";
        let digest = Digest::of(b"");
        assert_eq!((digest.to_string(), format!("{digest:?}")), (text.to_owned(), text.to_owned()));
        assert_eq!((text.parse(), text.to_uppercase().parse()), (Ok(digest), Ok(digest)));
        let mut pieces = Hasher::default();
        pieces.update(b"mo");
        pieces.update(b"del");
        assert_eq!(pieces.finish(), Digest::of(b"model"));
        assert_eq!((Digest::from_slice(digest.as_bytes()), Digest::from_slice(&[0; 31])), (Some(digest), None));
    }

    #[test]
    fn only_64_hexadecimal_digits_are_a_digest() {
        let text = Digest::default().to_string();
        for bad in
            ["", &text[1..], &format!("{text}0"), &text.replacen('0', "g", 1), &text.replacen("00", "+0", 1), &text.replacen("00", "é", 1)]
        {
            assert_eq!(bad.parse::<Digest>(), Err(NotADigest), "{bad}");
        }
    }
}
