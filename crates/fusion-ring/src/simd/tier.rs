//! The tiers of general vector instructions, and the choice between them.

use std::fmt;
use std::sync::OnceLock;

/// The environment variable that lowers the tier.
const VARIABLE: &str = "FUSION_SIMD";

/// What a tier has, lowest first. Each level includes those below it, except that AVX-512 does not
/// include [`Level::AvxVnni`]: some CPUs have only one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Plain Rust.
    Portable,
    /// AVX2 (256-bit integer vectors) and FMA.
    Avx2,
    /// AVX2 and the 256-bit VNNI dot products in their VEX encoding.
    AvxVnni,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with the VNNI dot products.
    Avx512Vnni,
}

impl Level {
    const ALL: [Self; 5] = [Self::Portable, Self::Avx2, Self::AvxVnni, Self::Avx512, Self::Avx512Vnni];

    /// Whether whatever has `self` also has `other`.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn includes(self, other: Self) -> bool {
        self >= other && (other != Self::AvxVnni || self == Self::AvxVnni)
    }

    /// The name that `FUSION_SIMD` understands.
    const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
        }
    }
}

/// Proof that the CPU has the instructions of a tier; see [`available`] and [`tier`]. Tiers are
/// ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tier(Level);

impl Tier {
    /// Plain Rust, which runs everywhere.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// The name that `FUSION_SIMD` understands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name()
    }

    /// What it proves the CPU to have.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) const fn level(self) -> Level {
        self.0
    }

    /// Whether it has everything that `level` has.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn has(self, level: Level) -> bool {
        self.0.includes(level)
    }

    /// The best of this CPU.
    pub(super) fn detected() -> Self {
        Self(detected().last().copied().unwrap_or(Level::Portable))
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `FUSION_SIMD` names no tier that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// There is no tier of that name.
    #[error("{VARIABLE}={0:?} is no instruction tier (portable, avx2, avxvnni, avx512 and avx512vnni are)")]
    Unknown(String),
    /// The CPU lacks the instructions of the tier.
    #[error("this CPU cannot run {VARIABLE}={wanted} (its best tier is {best})")]
    Unavailable {
        /// The tier that was named.
        wanted: &'static str,
        /// The best that the CPU has.
        best: &'static str,
    },
}

/// The levels that this CPU has, lowest first.
fn detected() -> Vec<Level> {
    let mut levels = vec![Level::Portable];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        levels.push(Level::Avx2);
        if is_x86_feature_detected!("avxvnni") {
            levels.push(Level::AvxVnni);
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            levels.push(Level::Avx512);
            if is_x86_feature_detected!("avx512vnni") {
                levels.push(Level::Avx512Vnni);
            }
        }
    }
    levels
}

/// The tiers that this CPU can run, lowest first, whatever `FUSION_SIMD` says. Tests walk them.
#[must_use]
pub fn available() -> Vec<Tier> {
    detected().into_iter().map(Tier).collect()
}

/// The tier that `wanted` names on a CPU that has `levels`, or its best.
fn choose(wanted: Option<&str>, levels: &[Level]) -> Result<Level, SelectError> {
    let best = levels.last().copied().unwrap_or(Level::Portable);
    let Some(wanted) = wanted else { return Ok(best) };
    match Level::ALL.into_iter().find(|level| level.name() == wanted) {
        Some(level) if levels.contains(&level) => Ok(level),
        Some(level) => Err(SelectError::Unavailable { wanted: level.name(), best: best.name() }),
        None => Err(SelectError::Unknown(wanted.to_owned())),
    }
}

/// The choice, read from the environment once per process.
fn selected() -> &'static Result<Tier, SelectError> {
    static TIER: OnceLock<Result<Tier, SelectError>> = OnceLock::new();
    TIER.get_or_init(|| {
        let wanted = std::env::var_os(VARIABLE);
        let wanted = wanted.as_ref().map(|name| name.to_string_lossy());
        choose(wanted.as_deref(), &detected()).map(Tier)
    })
}

/// The tier in use: the best that the CPU has, or the lower one that `FUSION_SIMD` names. Binaries
/// call this first, so that a wrong name is reported and not a panic.
///
/// # Errors
/// `FUSION_SIMD` is set to something that is no tier, or to one that the CPU lacks.
pub fn select() -> Result<Tier, SelectError> {
    selected().clone()
}

/// As [`select`].
///
/// # Panics
/// With the message of the error of [`select`], if there is one.
#[must_use]
#[inline]
pub fn tier() -> Tier {
    match selected() {
        Ok(tier) => *tier,
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_ordered_and_portable_always_runs() {
        assert_eq!(available().first(), Some(&Tier::PORTABLE));
        assert_eq!(available().last(), Some(&Tier::detected()));
        assert!(available().contains(&tier()));
        assert!(Level::ALL.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn names_choose_and_nothing_is_guessed() {
        assert_eq!(choose(None, &[Level::Portable, Level::Avx512]), Ok(Level::Avx512));
        for (i, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(choose(Some(level.name()), &Level::ALL), Ok(level));
            let unavailable = SelectError::Unavailable { wanted: level.name(), best: "portable" };
            assert_eq!(choose(Some(level.name()), &[Level::Portable]), if i == 0 { Ok(level) } else { Err(unavailable) });
            // AVX-512 alone does not bring AVX-VNNI.
            let without = [Level::Portable, Level::Avx2, Level::Avx512];
            assert_eq!(choose(Some(level.name()), &without).is_ok(), without.contains(&level));
            // The message names what would be right.
            assert!(SelectError::Unknown(String::new()).to_string().contains(level.name()));
        }
        for unknown in ["", "AVX2", "avx3", " avx2", "avx2 "] {
            assert_eq!(choose(Some(unknown), &Level::ALL), Err(SelectError::Unknown(unknown.to_owned())));
        }
    }
}
