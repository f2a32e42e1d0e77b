//! Networks that once failed, with onnxruntime's answers: `../shared/cases/models` beside the
//! repository, which a clone elsewhere does not have. (`fusion-model/tests/cases.rs` has the same
//! networks with another image inside the repository.)

use std::path::{Path, PathBuf};

use fusion::images::{Sample, folder};
use fusion::model::float;
use fusion::model::preprocess::Preprocess;
use fusion::model::twin::{TruncationCarry, Twin};
use fusion::{Error, QuantiseSettings, Quantised, quantise_file};
use serde_json::Value;

fn cases() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/models");
    let there = path.is_dir();
    if !there {
        eprintln!("skipped: there is no {}", path.display());
    }
    there.then_some(path)
}

/// The images of the cases, in the order in which all of them are answered.
fn images(cases: &Path, names: &Value) -> Vec<Sample> {
    let samples = folder(&cases.join("images")).expect("the cases have images");
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(samples.iter().map(|sample| sample.name.as_str()).eq(names.iter().copied()));
    samples
}

fn network(folder: &Path) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.extension().is_some_and(|extension| extension == "onnx"))
}

/// What a file says of it, and what we make of it.
fn quantised(folder: &Path, calibration: &[Sample]) -> Result<Quantised, Error> {
    let settings = QuantiseSettings { margin: 1.5, ..QuantiseSettings::new(Preprocess::cifar10()) };
    quantise_file(&network(folder).expect("a case has a network"), &settings, calibration)
}

#[test]
fn networks_that_failed_have_the_answers_of_onnxruntime() {
    let Some(cases) = cases() else { return };
    let mut compared = 0;
    for entry in std::fs::read_dir(&cases).unwrap() {
        let of_case = entry.unwrap().path();
        let Ok(expected) = std::fs::read(of_case.join("expected.json")) else { continue };
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let samples = images(&cases, &expected["images"]);
        let name = of_case.file_name().unwrap().to_string_lossy().into_owned();
        let quantised = match quantised(&of_case, &samples) {
            Ok(quantised) => quantised,
            Err(error) => {
                // Engines disagree on what this one is.
                let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                assert!(name == "maxpool_valid_ceil" && cause.contains("auto_pad"), "{name}: {error}: {cause}");
                continue;
            }
        };
        let twin = Twin::new(&quantised.program, &quantised.weights).unwrap();
        let (mut right, mut kept) = (0, 0);
        for (index, sample) in samples.iter().enumerate() {
            let tensor = sample.tensor(&quantised.preprocess).unwrap();
            let logits = float::evaluate(&quantised.graph, &tensor).unwrap();
            let outputs: Vec<f64> = expected["outputs"][index].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            let label =
                if outputs.len() == 1 { usize::from(outputs[0] > 0.5) } else { expected["labels"][index].as_u64().unwrap() as usize };
            right += usize::from(float::argmax(&logits) == label);
            // What comes behind a softmax is another number, of the same order.
            let scale = outputs.iter().fold(0f64, |m, x| m.max(x.abs()));
            let worst = outputs.iter().zip(&logits).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
            let is_probability = outputs.len() == 1 || (outputs.iter().sum::<f64>() - 1.0).abs() < 1e-4;
            assert!(is_probability || worst < 1e-4 * scale, "{name}, image {index}: {worst} of {scale}");
            let run = twin.run(quantised.program.encode(&tensor).unwrap(), &mut TruncationCarry::Nearest).unwrap();
            kept += usize::from(run.label == label);
        }
        println!("{name}: {right} labels right, {kept} of the twin");
        assert_eq!(right, samples.len(), "{name}");
        assert!(kept + 1 >= samples.len(), "{name}: the twin keeps {kept} of {} labels", samples.len());
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} networks were compared");
}
