//! The fixed-point network of a package, run in the clear.

use std::path::PathBuf;
use std::sync::Arc;

use fusion::images::Sample;
use fusion::model::package::Package;
use fusion::model::preprocess::Preprocess;
use fusion::model::twin::{self, TruncationCarry};
use fusion::{Event, Events};
use numpy::{PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use crate::calls::{Patience, call};
use crate::client::card_json;
use crate::faults::Fault;
use crate::images::Images;
use crate::settings::fresh_rng;

/// Images between two looks at whether the call is to stop, by core.
const IMAGES_PER_CORE: usize = 4;

/// A package whose network is run in the clear: its owner's view.
#[pyclass(module = "fusion._fusion", frozen)]
pub(crate) struct Twin {
    package: Arc<Package>,
}

/// What the network reads.
enum Inputs {
    Images(Vec<Sample>),
    Tensors(Vec<Vec<f32>>),
}

impl Inputs {
    fn len(&self) -> usize {
        match self {
            Self::Images(samples) => samples.len(),
            Self::Tensors(tensors) => tensors.len(),
        }
    }

    fn tensor(&self, index: usize, recipe: &Preprocess) -> Result<Vec<f32>, Fault> {
        match self {
            Self::Images(samples) => Ok(samples[index].tensor(recipe)?),
            Self::Tensors(tensors) => Ok(tensors[index].clone()),
        }
    }
}

/// Labels, logits row by row, values that left their window.
type Found<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f32>>, Bound<'py, PyArray1<u64>>);

/// The generator seed for a seed of Python's: the operating system's if there is none.
pub(crate) fn seed_of(seed: Option<u64>) -> Result<[u8; 32], Fault> {
    let mut bytes = [0; 32];
    match seed {
        Some(seed) => bytes[..8].copy_from_slice(&seed.to_le_bytes()),
        None => bytes = fresh_rng()?.random(),
    }
    Ok(bytes)
}

#[pymethods]
impl Twin {
    #[new]
    fn new(py: Python<'_>, package: PathBuf) -> PyResult<Self> {
        let open = move |_: &mut Events<'_>| Package::open(&package).map_err(Fault::of_package);
        Ok(Self { package: Arc::new(call(py, py.None().bind(py), Patience::Moment, open)?) })
    }

    /// The card.
    fn card(&self, py: Python<'_>) -> PyResult<String> {
        card_json(self.package.card()).map(|card| card.to_string()).map_err(|fault| fault.raise(py))
    }

    /// Runs the network on images.
    fn run_images<'py>(&self, py: Python<'py>, images: &Images, seed: Option<u64>, on_event: &Bound<'py, PyAny>) -> PyResult<Found<'py>> {
        self.run(py, Inputs::Images(images.samples.clone()), seed, on_event)
    }

    /// Runs the network on input tensors, one a row.
    fn run_tensors<'py>(
        &self,
        py: Python<'py>,
        tensors: PyReadonlyArray2<'py, f32>,
        seed: Option<u64>,
        on_event: &Bound<'py, PyAny>,
    ) -> PyResult<Found<'py>> {
        let rows = tensors.as_array().rows().into_iter().map(|row| row.to_vec()).collect();
        self.run(py, Inputs::Tensors(rows), seed, on_event)
    }
}

impl Twin {
    fn run<'py>(&self, py: Python<'py>, inputs: Inputs, seed: Option<u64>, on_event: &Bound<'py, PyAny>) -> PyResult<Found<'py>> {
        let (package, classes) = (Arc::clone(&self.package), self.package.card().classes());
        let rows = call(py, on_event, Patience::Moment, move |events| evaluate(&package, &inputs, seed_of(seed)?, events))?;
        let labels = PyArray1::from_iter(py, rows.iter().map(|row| row.label));
        let overflows = PyArray1::from_iter(py, rows.iter().map(|row| row.overflows));
        let logits = rows.iter().flat_map(|row| row.logits.iter().copied()).collect::<Vec<f32>>();
        let logits = numpy::PyArrayMethods::reshape(&PyArray1::from_vec(py, logits), [rows.len(), classes])?;
        Ok((labels, logits, overflows))
    }
}

/// What the network says of one image.
struct Row {
    label: i64,
    logits: Vec<f32>,
    overflows: u64,
}

/// Runs the network on all of `inputs`. The noise of an image is fixed by `seed` and its index, as
/// `fusion eval` has it.
fn evaluate(package: &Package, inputs: &Inputs, seed: [u8; 32], events: &mut Events<'_>) -> Result<Vec<Row>, Fault> {
    let program = &package.card().program;
    let twin = twin::Twin::new(program, &package.private().weights).map_err(fusion::model::eval::EvalError::from)?;
    let one = |index: usize| {
        let tensor = inputs.tensor(index, &package.card().preprocess)?;
        let encoded = program.encode(&tensor).map_err(|error| Fault::input(format!("image {index}: {error}")))?;
        let mut rng = ChaCha20Rng::from_seed(seed);
        rng.set_stream(index as u64);
        let run = twin.run(encoded, &mut TruncationCarry::Random(&mut rng)).map_err(fusion::model::eval::EvalError::from)?;
        Ok(Row { label: run.label as i64, logits: program.decode_logits(&run.logits), overflows: run.total_overflows() })
    };
    let (total, chunk) = (inputs.len(), IMAGES_PER_CORE * fusion_cli::cores());
    let mut rows = Vec::with_capacity(total);
    for first in (0..total).step_by(chunk) {
        let found: Result<Vec<Row>, Fault> = (first..total.min(first + chunk)).into_par_iter().map(one).collect();
        rows.extend(found?);
        events(Event::Answers { done: rows.len(), total });
    }
    Ok(rows)
}
