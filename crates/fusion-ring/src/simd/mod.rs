//! Which instruction tier this process runs on.
//!
//! Kernels ask [`tier`] once per call and branch; nothing is chosen at compile time, so one binary runs everywhere.
//! `FUSION_SIMD=portable|avx2|avx512|avx512vnni` lowers the choice (never raises it above what the CPU has), so that tests force
//! every path. Finer features (AES, VAES) are asked beside the tier, see [`has_aes`] and [`has_vaes`].

use std::sync::OnceLock;

/// Instruction tiers, lowest first. Each includes those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tier {
    /// Plain Rust.
    Portable,
    /// AVX2 (256-bit integer vectors).
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with the VNNI dot products.
    Avx512Vnni,
}

impl Tier {
    /// All tiers, lowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Vnni];

    /// The name that `FUSION_SIMD` understands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
        }
    }
}

/// Compiles a body of safe Rust, to be inlined, for AVX-512, AVX2 and the baseline, and picks one by tier: all tiers agree by construction.
macro_rules! per_tier {
    ($(#[$doc:meta])* $name:ident = $body:ident ( $($arg:ident : $ty:ty),* )) => {
        $(#[$doc])*
        pub(super) fn $name(tier: $crate::simd::Tier, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $ty),*) {
                    $body($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) {
                    $body($($arg),*);
                }
                if tier >= $crate::simd::Tier::Avx512 {
                    // SAFETY: the tier is only above this bound where the CPU was seen to have these features.
                    return unsafe { avx512($($arg),*) };
                }
                if tier >= $crate::simd::Tier::Avx2 {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            let _ = tier;
            $body($($arg),*);
        }
    };
}
pub(crate) use per_tier;

fn detected() -> Tier {
    #[cfg(target_arch = "x86_64")]
    {
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if avx512 && is_x86_feature_detected!("avx512vnni") {
            return Tier::Avx512Vnni;
        }
        if avx512 {
            return Tier::Avx512;
        }
        if is_x86_feature_detected!("avx2") {
            return Tier::Avx2;
        }
    }
    Tier::Portable
}

/// The tiers that this CPU can run, lowest first. Tests walk them and say which ran.
#[must_use]
pub fn available() -> Vec<Tier> {
    Tier::ALL.into_iter().filter(|&t| t <= detected()).collect()
}

/// The tier in use: the best the CPU has, or the lower one that `FUSION_SIMD` names. Read once per process.
#[must_use]
pub fn tier() -> Tier {
    static TIER: OnceLock<Tier> = OnceLock::new();
    *TIER.get_or_init(|| {
        let wanted = std::env::var("FUSION_SIMD").ok();
        let wanted = wanted.and_then(|name| Tier::ALL.into_iter().find(|t| t.name() == name));
        wanted.map_or(detected(), |t| t.min(detected()))
    })
}

/// Whether AES-NI (and SSE4.1) may be used: the CPU has it and the tier is not forced to portable.
#[must_use]
pub fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return tier() > Tier::Portable && is_x86_feature_detected!("aes") && is_x86_feature_detected!("sse4.1");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Whether 512-bit VAES may be used.
#[must_use]
pub fn has_vaes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return tier() >= Tier::Avx512 && is_x86_feature_detected!("vaes");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_ordered_and_portable_always_runs() {
        assert_eq!(available().first(), Some(&Tier::Portable));
        assert!(tier() <= detected());
        assert!(Tier::ALL.windows(2).all(|w| w[0] < w[1]));
    }
}
