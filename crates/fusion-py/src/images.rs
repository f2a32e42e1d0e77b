//! Images to classify, to calibrate on, or with known answers: files, folders, pixels in memory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fusion::images::{self, LeftOut, Listing, Sample};
use fusion::mix::report::SkippedFile;
use fusion::model::preprocess::{Channels, Preprocess};
use fusion_cli::assets;
use numpy::{PyArray1, PyArray3, PyArrayMethods as _, PyReadonlyArray3, PyUntypedArrayMethods as _};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::faults::{Fault, bad_input};

/// A list of images, some perhaps with labels.
#[pyclass(module = "fusion._fusion")]
#[derive(Clone, Default)]
pub(crate) struct Images {
    pub(crate) samples: Vec<Sample>,
    /// What lies in folders and is no image.
    pub(crate) skipped: Vec<SkippedFile>,
    /// Names of those that were not found in a folder but given one by one: they must be readable.
    pub(crate) given: BTreeSet<String>,
}

impl Images {
    fn add(&mut self, found: Listing) {
        self.samples.extend(found.samples);
        let reason = |(file, reason): LeftOut| SkippedFile { file, reason: reason.to_owned() };
        self.skipped.extend(found.skipped.into_iter().map(reason));
    }
}

fn raised<T>(py: Python<'_>, result: Result<T, images::ImageError>) -> PyResult<T> {
    result.map_err(|error| Fault::from(error).raise(py))
}

#[pymethods]
impl Images {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Adds the file, or the images of the folder, that `path` names; a file may have a label.
    #[pyo3(signature = (path, label=None))]
    fn add_path(&mut self, py: Python<'_>, path: PathBuf, label: Option<u32>) -> PyResult<()> {
        let mut found = raised(py, images::listing(&path))?;
        if !path.is_dir() {
            found.samples.iter_mut().for_each(|sample| sample.label = label);
            self.given.extend(found.samples.iter().map(|sample| sample.name.clone()));
        }
        self.add(found);
        Ok(())
    }

    /// Adds those images of a folder that a list of labels names, or, if `all`, the others as well.
    fn add_labelled(&mut self, py: Python<'_>, folder: PathBuf, labels: PathBuf, all: bool) -> PyResult<()> {
        let found = raised(py, images::listing(&folder).and_then(|found| found.with_labels(&labels)))?;
        self.add(if all { found } else { found.only_labelled() });
        Ok(())
    }

    /// Adds an image in memory of the shape (height, width, 1 or 3).
    #[pyo3(signature = (name, pixels, label=None))]
    fn add_pixels(&mut self, py: Python<'_>, name: String, pixels: PyReadonlyArray3<'_, u8>, label: Option<u32>) -> PyResult<()> {
        let [height, width, planes] = *pixels.shape() else { return Err(bad_input(py, "an image has rows, columns and planes")) };
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let sides = (side(width), side(height));
        let bytes = pixels.as_array().iter().copied().collect();
        let made = match planes {
            1 => Sample::from_gray(name, sides, bytes),
            3 => Sample::from_rgb(name, sides, bytes),
            other => return Err(bad_input(py, format!("{name}: an image has 1 or 3 planes, not {other}"))),
        };
        let mut sample = raised(py, made)?;
        sample.label = label;
        self.given.insert(sample.name.clone());
        self.samples.push(sample);
        Ok(())
    }

    /// Adds the digits that come with the program.
    fn add_digits(&mut self, py: Python<'_>) -> PyResult<()> {
        self.samples.extend(raised(py, assets::mnist_pool())?);
        Ok(())
    }

    fn __len__(&self) -> usize {
        self.samples.len()
    }

    /// Names, in order.
    fn names(&self) -> Vec<String> {
        self.samples.iter().map(|sample| sample.name.clone()).collect()
    }

    /// Labels, in order; none where they are not known.
    fn labels(&self) -> Vec<Option<u32>> {
        self.samples.iter().map(|sample| sample.label).collect()
    }

    /// What was left out, and why.
    fn skipped(&self) -> Vec<(String, String)> {
        self.skipped.iter().map(|skipped| (skipped.file.clone(), skipped.reason.clone())).collect()
    }
}

/// An ONNX file, images of shape (N, rows, columns), their labels.
type Digits<'py> = (Bound<'py, PyBytes>, Bound<'py, PyArray3<u8>>, Bound<'py, PyArray1<i64>>);

/// The digits that come with the program, and a network for them.
#[pyfunction]
pub(crate) fn digits(py: Python<'_>) -> PyResult<Digits<'_>> {
    let pool = raised(py, assets::mnist_pool())?;
    // Luma as it is.
    let recipe = Preprocess { channels: Channels::Gray, mean: vec![0.0], scale: vec![1.0], ..Preprocess::mnist() };
    let side = recipe.crop as usize;
    let tensors = pool.iter().map(|sample| sample.tensor(&recipe)).collect::<Result<Vec<_>, _>>();
    let pixels: Vec<u8> = raised(py, tensors)?.concat().into_iter().map(|value| value as u8).collect();
    let labels: Vec<i64> = pool.iter().map(|sample| sample.label.map_or(-1, i64::from)).collect();
    let images = PyArray1::from_vec(py, pixels).reshape([pool.len(), side, side])?;
    Ok((PyBytes::new(py, assets::MNIST_MODEL), images, PyArray1::from_vec(py, labels)))
}
