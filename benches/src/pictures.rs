//! Pictures that stand in for photos where there are none: smooth random colour fields, seeded.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::{Rgb, RgbImage};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// How many there are.
pub(crate) const COUNT: u64 = 32;

/// A folder in `cache` with [`COUNT`] pictures of `side` pixels each way.
///
/// # Errors
/// A cache that cannot be written.
pub(crate) fn folder(cache: &Path, side: u32) -> Result<PathBuf> {
    let folder = cache.join(format!("pictures-{side}"));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for number in 0..COUNT {
        let path = folder.join(format!("{number:04}.png"));
        if !path.is_file() {
            picture(number, side).save(&path).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(folder)
}

fn picture(number: u64, side: u32) -> RgbImage {
    let mut rng = ChaCha20Rng::seed_from_u64(number);
    // As many waves across a small picture as across a large one.
    let shrunk = 224.0 / side as f32;
    let mut wave = || -> [f32; 4] {
        [
            rng.random_range(-0.12..0.12) * shrunk,
            rng.random_range(-0.12..0.12) * shrunk,
            rng.random_range(0.0..std::f32::consts::TAU),
            rng.random_range(5.0..30.0),
        ]
    };
    let waves: Vec<[[f32; 4]; 6]> = (0..3).map(|_| std::array::from_fn(|_| wave())).collect();
    RgbImage::from_fn(side, side, |x, y| {
        Rgb(std::array::from_fn(|c| {
            let sum: f32 = waves[c].iter().map(|[u, v, phase, size]| size * (u * x as f32 + v * y as f32 + phase).cos()).sum();
            (128.0 + sum).clamp(0.0, 255.0) as u8
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_seeded_varied_and_of_their_side() {
        assert_eq!(picture(3, 224), picture(3, 224));
        assert_ne!(picture(3, 224), picture(4, 224));
        for side in [32, 224] {
            let values: std::collections::BTreeSet<u8> = picture(0, side).into_raw().into_iter().collect();
            assert!(values.len() > 80, "{} values", values.len());
            assert_eq!(picture(0, side).dimensions(), (side, side));
        }
    }
}
