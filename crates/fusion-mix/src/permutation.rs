//! The secret order of a mixed batch. Everything that verification promises rests on the server not
//! knowing it.

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::MixError;

/// A uniform secret permutation of `0..len`, wiped from memory when dropped.
///
/// It has no `Clone`, and its `Debug` shows only its length.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SecretPermutation {
    /// The item at each position.
    items: Vec<u32>,
}

impl SecretPermutation {
    /// A uniform permutation of `0..len`: Fisher and Yates's shuffle, with rejection sampling so
    /// that there is no bias.
    ///
    /// `rng` must be seeded from the operating system; a fixed seed belongs in tests alone.
    pub(crate) fn sample(len: u32, rng: &mut impl CryptoRng) -> Self {
        let mut items: Vec<u32> = (0..len).collect();
        for last in (1..items.len()).rev() {
            items.swap(last, uniform_below(last as u32 + 1, rng) as usize);
        }
        Self { items }
    }

    /// The permutation with the given item at each position.
    ///
    /// # Errors
    /// [`MixError::Misuse`] unless every item of `0..len` occurs exactly once; `items` is wiped
    /// then.
    pub(crate) fn from_items(mut items: Vec<u32>) -> Result<Self, MixError> {
        let mut seen = vec![false; items.len()];
        let valid = items.iter().all(|&item| seen.get_mut(item as usize).is_some_and(|slot| !std::mem::replace(slot, true)));
        if valid {
            return Ok(Self { items });
        }
        items.zeroize();
        Err(MixError::Misuse("not a permutation"))
    }

    /// The number of positions.
    pub(crate) fn len(&self) -> u32 {
        self.items.len() as u32
    }

    /// The item at `position`.
    ///
    /// # Panics
    /// If `position >= len`.
    pub(crate) fn item(&self, position: u32) -> u32 {
        self.items[position as usize]
    }

    pub(crate) fn items(&self) -> &[u32] {
        &self.items
    }
}

impl std::fmt::Debug for SecretPermutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretPermutation({} positions)", self.items.len())
    }
}

/// A uniform number below `bound`, which is at least 1.
pub(crate) fn uniform_below(bound: u32, rng: &mut impl CryptoRng) -> u32 {
    let bound = u64::from(bound);
    // The largest multiple of the bound; draws at or above it would favour small results.
    let limit = u64::MAX / bound * bound;
    loop {
        let draw = rng.next_u64();
        if draw < limit {
            return (draw % bound) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    /// Pearson's statistic of equally likely cells.
    fn chi_square(counts: &[u32]) -> f64 {
        let mean = counts.iter().sum::<u32>() as f64 / counts.len() as f64;
        counts.iter().map(|&c| (f64::from(c) - mean).powi(2) / mean).sum()
    }

    /// Above this a uniform sample lies less than once in 10^5 (Wilson and Hilferty's
    /// approximation, z = 4.27).
    fn critical(freedom: f64) -> f64 {
        freedom * (1.0 - 2.0 / (9.0 * freedom) + 4.27 * (2.0 / (9.0 * freedom)).sqrt()).powi(3)
    }

    #[test]
    fn all_orders_of_five_are_equally_likely() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut counts = vec![0; 120];
        for _ in 0..240_000 {
            let permutation = SecretPermutation::sample(5, &mut rng);
            // The rank of the order among all orders, in the factorial number system.
            let items = permutation.items();
            let rank = (0..5).fold(0, |rank, i| rank * (5 - i) + items[i + 1..].iter().filter(|&&x| x < items[i]).count());
            counts[rank] += 1;
        }
        let found = chi_square(&counts);
        assert!(found < critical(119.0), "chi-square {found}");
        assert!(found > 60.0, "chi-square {found}: too even to be random");
    }

    #[test]
    fn every_item_is_equally_likely_everywhere() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let n = 40usize;
        let mut counts = vec![0; n * n];
        for _ in 0..20_000 {
            let permutation = SecretPermutation::sample(n as u32, &mut rng);
            for (position, &item) in permutation.items().iter().enumerate() {
                counts[position * n + item as usize] += 1;
            }
        }
        // Rows and columns have fixed sums: (n-1)^2 degrees of freedom, and the statistic is scaled
        // by (n-1)/n.
        let found = chi_square(&counts) * (n - 1) as f64 / n as f64;
        assert!(found < critical(((n - 1) * (n - 1)) as f64), "chi-square {found}");
    }

    #[test]
    fn only_permutations_are_accepted() {
        assert!(SecretPermutation::from_items(vec![2, 0, 1]).is_ok());
        assert!(SecretPermutation::from_items(vec![0, 0, 1]).is_err());
        assert!(SecretPermutation::from_items(vec![0, 3, 1]).is_err());
        assert_eq!(SecretPermutation::from_items(Vec::new()).unwrap().len(), 0);
    }

    #[test]
    fn reveals_nothing_when_printed_and_is_wiped() {
        let mut permutation = SecretPermutation::from_items(vec![2, 0, 1]).unwrap();
        assert_eq!(format!("{permutation:?}"), "SecretPermutation(3 positions)");
        // Dropping runs the same code (ZeroizeOnDrop is derived); the buffer can be seen only
        // before it is freed.
        permutation.items.as_mut_slice().zeroize();
        assert_eq!(permutation.items, [0, 0, 0]);
        fn wiped_on_drop<T: ZeroizeOnDrop>(_: &T) {}
        wiped_on_drop(&permutation);
    }
}
