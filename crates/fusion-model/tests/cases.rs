//! Small networks of kinds that once failed, as exporters write them, with what onnxruntime 1.32
//! makes of one image. Their answers for photos are compared in `fusion/tests/cases.rs`.

use std::path::{Path, PathBuf};

use fusion_model::onnx::{ImportError, ImportOptions, import, import_with};
use fusion_model::{float, graph::Graph};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("a case is in the repository")
}

fn imported(name: &str) -> Result<Graph, ImportError> {
    let folder = folder();
    import_with(&read(name), &ImportOptions { folder: Some(&folder), ..ImportOptions::default() })
}

/// The image of `expected.json`: numbers without order.
fn image(values: usize) -> Vec<f32> {
    (0..values).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect()
}

#[test]
fn networks_that_failed_compute_what_onnxruntime_does() {
    let expected: serde_json::Map<String, Value> = serde_json::from_slice(&read("expected.json")).unwrap();
    let mut compared = 0;
    for (name, outputs) in &expected {
        // Engines disagree on what this one is: see below.
        if name == "maxpool_valid_ceil.onnx" {
            continue;
        }
        let graph = imported(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let outputs: Vec<f64> = outputs.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let logits: Vec<f64> = float::evaluate(&graph, &image(graph.input_shape().len())).unwrap().into_iter().map(f64::from).collect();
        // What the file makes of the logits in the end.
        let found = match name.as_str() {
            "binary_sigmoid.onnx" => {
                assert_eq!(logits[0], 0.0, "no is the absence of yes");
                vec![1.0 / (1.0 + (-logits[1]).exp())]
            }
            "softmax_then_reshape.onnx" => {
                let sum: f64 = logits.iter().map(|x| x.exp()).sum();
                logits.iter().map(|x| x.exp() / sum).collect()
            }
            _ => logits,
        };
        let scale = outputs.iter().fold(0f64, |m, x| m.max(x.abs()));
        assert_eq!(found.len(), outputs.len(), "{name}");
        let worst = found.iter().zip(&outputs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= 1e-5 * scale, "{name}: {worst} of {scale}");
        compared += 1;
    }
    assert_eq!(compared, 22);
}

/// With padding by name and sizes rounded up onnxruntime has a row more than ONNX's own reference.
#[test]
fn what_engines_disagree_on_is_refused() {
    let error = imported("maxpool_valid_ceil.onnx").unwrap_err().to_string();
    assert!(error.contains("MaxPool") && error.contains("auto_pad = VALID") && error.contains("pads"), "{error}");
}

#[test]
fn weights_beside_the_file_need_its_folder() {
    let error = import(&read("external_data.onnx")).unwrap_err().to_string();
    assert!(error.contains("external_data=False"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let options = ImportOptions { folder: Some(empty.path()), ..ImportOptions::default() };
    let error = import_with(&read("external_data.onnx"), &options).unwrap_err().to_string();
    assert!(error.contains("external_data.onnx.data") && error.contains("keep the two files together"), "{error}");
}

/// Any byte of a file may be another one.
#[test]
fn changed_bytes_give_a_graph_or_an_error() {
    for name in ["channel_shuffle.onnx", "sparse_initializer.onnx", "reshape_shape_arith.onnx", "qdq_weights.onnx", "external_data.onnx"] {
        let file = read(name);
        let folder = folder();
        for at in 0..file.len().min(1500) {
            for change in [1, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] ^= change;
                let options = ImportOptions { folder: Some(&folder), ..ImportOptions::default() };
                // Whatever it is now: no panic, no endless work.
                let _ = import_with(&changed, &options).is_ok();
            }
        }
    }
}
