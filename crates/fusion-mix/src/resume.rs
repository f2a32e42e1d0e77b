//! Keeping a mixed batch on disk, so that a client that was interrupted can finish it with the same
//! positions.
//!
//! The file holds the secret order: mode 0600, created afresh, refused on loading if others may
//! read it. It must never be sent anywhere.
//!
//! Layout: `FUSIONMIX1\n`, then little-endian 32-bit words `R B T tau max_inconclusive`, `T` pairs
//! (id, label), the item at each of the `N` positions, and the SHA3-256 digest of all that.

use std::path::Path;

use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::{
    MixError,
    batch::{MixedBatch, PublicSample},
    mix::{MAX_SAMPLES, Mix},
    permutation::SecretPermutation,
    private_file,
};

const MAGIC: &[u8] = b"FUSIONMIX1\n";
const DIGEST: usize = 32;

/// The largest file: every sample public.
const LARGEST: u64 = MAGIC.len() as u64 + 4 * 5 + MAX_SAMPLES * 12 + DIGEST as u64;

impl MixedBatch {
    /// Writes the batch to a new file with mode 0600.
    ///
    /// # Errors
    /// [`MixError::File`], also if something of that name exists.
    pub fn save(&self, path: &Path) -> Result<(), MixError> {
        let mix = self.mix();
        let words = 5 + 2 * self.publics().len() + self.order().items().len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAGIC.len() + 4 * words + DIGEST));
        bytes.extend_from_slice(MAGIC);
        let head = [mix.queries(), mix.copies(), mix.publics(), mix.tau(), mix.max_inconclusive()];
        let publics = self.publics().iter().flat_map(|sample| [sample.id, sample.label]);
        for word in head.into_iter().chain(publics).chain(self.order().items().iter().copied()) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let digest = Sha3_256::digest(&bytes[..]);
        bytes.extend_from_slice(&digest);
        private_file::create_new(path, &bytes)
    }

    /// Reads a batch that [`Self::save`] wrote.
    ///
    /// # Errors
    /// [`MixError::File`] if it cannot be read; [`MixError::BadFile`] if others may read it, or if
    /// it is not such a file or was damaged.
    pub fn load(path: &Path) -> Result<Self, MixError> {
        let bytes = private_file::read(path, LARGEST)?;
        parse(&bytes).map_err(|reason| MixError::BadFile { path: path.to_owned(), reason: reason.to_owned() })
    }
}

fn parse(bytes: &[u8]) -> Result<MixedBatch, &'static str> {
    const DAMAGED: &str = "it was cut short or damaged";
    let body = bytes.strip_prefix(MAGIC).ok_or("it is no saved batch")?;
    let (words, digest) = body.split_at_checked(body.len().wrapping_sub(DIGEST)).ok_or(DAMAGED)?;
    if Sha3_256::digest(&bytes[..bytes.len() - DIGEST])[..] != *digest || words.len() % 4 != 0 {
        return Err(DAMAGED);
    }
    let mut words = words.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let mut next = || words.next().ok_or(DAMAGED);
    let mix = Mix::new(next()?, next()?, next()?, next()?, next()?).map_err(|_| "its plan is not possible")?;
    let mut publics = Vec::with_capacity(mix.publics() as usize);
    for _ in 0..mix.publics() {
        publics.push(PublicSample { id: next()?, label: next()? });
    }
    let mut items = Vec::with_capacity(mix.samples() as usize);
    for _ in 0..mix.samples() {
        items.push(next()?);
    }
    if next().is_ok() {
        return Err("it holds more than a batch");
    }
    let order = SecretPermutation::from_items(items).map_err(|_| "its order is no permutation")?;
    MixedBatch::from_parts(mix, publics, order).map_err(|_| "its public samples are not distinct")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{
        ChaCha20Rng,
        rand_core::{Rng, SeedableRng},
    };

    fn batch() -> MixedBatch {
        let mix = Mix::new(3, 2, 4, 1, 1).unwrap();
        let publics = (0..4).map(|i| PublicSample { id: 100 + i, label: i }).collect();
        MixedBatch::assemble(mix, publics, &mut ChaCha20Rng::seed_from_u64(8)).unwrap()
    }

    #[test]
    fn survives_a_round_trip_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch");
        let saved = batch();
        saved.save(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        let loaded = MixedBatch::load(&path).unwrap();
        assert_eq!(loaded.mix(), saved.mix());
        assert_eq!(loaded.publics(), saved.publics());
        assert_eq!(loaded.order().items(), saved.order().items());
        assert!(matches!(saved.save(&path), Err(MixError::File { .. })), "a batch is not written over another");
    }

    #[cfg(unix)]
    #[test]
    fn refuses_what_others_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch");
        batch().save(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = MixedBatch::load(&path).unwrap_err();
        assert!(error.to_string().contains("0600"), "{error}");
    }

    #[test]
    fn refuses_damage_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch");
        batch().save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(parse(&bytes).is_ok());
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_err(), "cut to {length}");
        }
        let mut rng = ChaCha20Rng::seed_from_u64(13);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (rng.next_u32() % 8);
            assert!(parse(&damaged).is_err(), "bit flipped at {at}");
            // A forger who mends the digest gets an error or a batch, never a panic.
            let end = damaged.len() - DIGEST;
            let digest = Sha3_256::digest(&damaged[..end]);
            damaged[end..].copy_from_slice(&digest);
            let _ = parse(&damaged);
        }
        assert!(matches!(MixedBatch::load(&folder.path().join("none")), Err(MixError::File { .. })));
    }
}
