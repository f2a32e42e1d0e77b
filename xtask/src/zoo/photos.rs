//! The photos as raw tensors, the same for Python's tools and for us.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use fusion::images::{Sample, folder};

use super::catalogue::Recipe;

/// Photos on which answers are compared.
pub(super) const COMPARED: usize = 16;

/// Photos after those on which plans are calibrated. Seeded weights are scaled on both kinds.
pub(super) const CALIBRATION: usize = 16;

/// The photos as one recipe makes them.
pub(super) struct Photos {
    /// The tensors, one after the other: f32, little-endian, `[channel][row][column]`.
    pub(super) file: PathBuf,
    /// Planes.
    pub(super) channels: usize,
    /// Rows, and columns.
    pub(super) side: u32,
}

/// The first photos of the folder.
pub(super) fn find(path: &Path) -> Result<Vec<Sample>> {
    let needed = COMPARED + CALIBRATION;
    let hint = || format!("{}: photos are needed here; --photos names another folder with {needed} or more", path.display());
    let mut samples = folder(path).with_context(hint)?;
    if samples.len() < needed {
        bail!("{} (it has {})", hint(), samples.len());
    }
    samples.truncate(needed);
    Ok(samples)
}

impl Photos {
    /// Writes the tensors of `recipe` under `work`.
    pub(super) fn write(samples: &[Sample], recipe: Recipe, work: &Path) -> Result<Self> {
        let spec = recipe.preprocess();
        let file = work.join("photos").join(format!("{}.bin", recipe.name()));
        let mut bytes = Vec::with_capacity(samples.len() * spec.len() * 4);
        for sample in samples {
            bytes.extend(sample.tensor(&spec)?.iter().flat_map(|x| x.to_le_bytes()));
        }
        fs::create_dir_all(work.join("photos"))?;
        fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        Ok(Self { file, channels: spec.channels.count(), side: spec.crop })
    }

    /// Values of one tensor.
    pub(super) fn len(&self) -> usize {
        self.channels * (self.side * self.side) as usize
    }

    /// Those that plans are calibrated on.
    pub(super) fn calibration(&self) -> Result<Vec<Vec<f32>>> {
        Ok(floats(&self.file, COMPARED + CALIBRATION)?.split_off(COMPARED))
    }
}

/// The `count` equal parts of a file of raw f32.
pub(super) fn floats(file: &Path, count: usize) -> Result<Vec<Vec<f32>>> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    ensure!(!bytes.is_empty() && bytes.len() % (4 * count) == 0, "{}: {} bytes are not {count} tensors", file.display(), bytes.len());
    let (words, _) = bytes.as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|&b| f32::from_le_bytes(b)).collect();
    Ok(values.chunks_exact(values.len() / count).map(<[f32]>::to_vec).collect())
}
