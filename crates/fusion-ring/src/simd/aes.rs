//! The instructions of ciphers and of the checks, which come beside the tiers.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use super::tier::Level;
use super::tier::{Tier, tier};

/// Which instructions an AES kernel has, slowest first. Each level includes those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AesLevel {
    /// None: the `aes` crate, bit-sliced.
    Portable,
    /// AES-NI beside AVX2, four blocks at a time.
    Ni,
    /// VAES on 256-bit registers, beside AVX2, eight blocks at a time.
    Vaes256,
    /// VAES on 512-bit registers, sixteen blocks at a time.
    Vaes512,
}

/// Proof that the CPU can run an AES kernel. All kernels give the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AesTier(AesLevel);

impl AesTier {
    /// The kernel of the `aes` crate, which runs everywhere.
    pub const PORTABLE: Self = Self(AesLevel::Portable);

    /// The kernels that this CPU can run, slowest first, whatever `FUSION_SIMD` says. Tests walk
    /// them.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let best = detected(Tier::detected());
        [AesLevel::Portable, AesLevel::Ni, AesLevel::Vaes256, AesLevel::Vaes512]
            .into_iter()
            .filter(|&level| level <= best)
            .map(Self)
            .collect()
    }

    /// The kernel in use: the fastest that needs no more than the [`tier`] in use.
    ///
    /// # Panics
    /// As [`tier`].
    #[must_use]
    pub fn best() -> Self {
        Self(detected(tier()))
    }

    /// What benchmarks call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            AesLevel::Portable => "portable",
            AesLevel::Ni => "aes-ni",
            AesLevel::Vaes256 => "vaes256",
            AesLevel::Vaes512 => "vaes512",
        }
    }

    /// What it proves the CPU to have.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) const fn level(self) -> AesLevel {
        self.0
    }
}

impl fmt::Debug for AesTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The best level of this CPU that needs no more than `tier`.
fn detected(tier: Tier) -> AesLevel {
    #[cfg(target_arch = "x86_64")]
    if tier.has(Level::Avx2) && is_x86_feature_detected!("aes") {
        return match (is_x86_feature_detected!("vaes"), tier.has(Level::Avx512)) {
            (true, true) => AesLevel::Vaes512,
            (true, false) => AesLevel::Vaes256,
            (false, _) => AesLevel::Ni,
        };
    }
    let _ = tier;
    AesLevel::Portable
}

/// How many blocks a kernel multiplies at once without carries.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there is only the portable one"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClmulLevel {
    /// By integer multiplication.
    Portable,
    /// One, by PCLMULQDQ beside AVX2.
    One,
    /// Two, by VPCLMULQDQ beside AVX2.
    Two,
    /// Four, by VPCLMULQDQ beside AVX-512.
    Four,
}

/// Proof that the CPU can run a kernel of carry-less multiplication. All kernels give the same
/// bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clmul(ClmulLevel);

impl Clmul {
    /// The kernel in use: the fastest that needs no more than the [`tier`] in use.
    ///
    /// # Panics
    /// As [`tier`].
    pub(crate) fn get() -> Self {
        Self(detected_clmul(tier()))
    }

    /// The kernels that this CPU can run, slowest first, whatever `FUSION_SIMD` says.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        let best = detected_clmul(Tier::detected());
        let all = [ClmulLevel::Portable, ClmulLevel::One, ClmulLevel::Two, ClmulLevel::Four];
        all.into_iter().filter(|&level| level <= best).map(Self).collect()
    }

    /// What it proves the CPU to have.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) const fn level(self) -> ClmulLevel {
        self.0
    }
}

/// The best level of this CPU that needs no more than `tier`.
fn detected_clmul(tier: Tier) -> ClmulLevel {
    #[cfg(target_arch = "x86_64")]
    if tier.has(Level::Avx2) && is_x86_feature_detected!("pclmulqdq") {
        return match (is_x86_feature_detected!("vpclmulqdq"), tier.has(Level::Avx512)) {
            (true, true) => ClmulLevel::Four,
            (true, false) => ClmulLevel::Two,
            (false, _) => ClmulLevel::One,
        };
    }
    let _ = tier;
    ClmulLevel::Portable
}
