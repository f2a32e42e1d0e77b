//! Portable code, compiled once per tier.

/// Compiles a body of safe Rust, to be inlined, for AVX-512, AVX2 and the baseline, and picks one
/// by tier: all tiers agree by construction.
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
                if tier.has($crate::simd::Level::Avx512) {
                    // SAFETY: the token proves that the CPU has these features.
                    return unsafe { avx512($($arg),*) };
                }
                if tier.has($crate::simd::Level::Avx2) {
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
