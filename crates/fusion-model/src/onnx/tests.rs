//! What is refused, and how.

use super::*;
use crate::testing::{Attribute, ModelBuilder};

fn refused(operator: &str, attributes: &[Attribute<'_>]) -> ImportError {
    let (mut b, image) = ModelBuilder::new(1, [2, 5, 5]);
    let x = b.node(operator, &[&image.0], attributes);
    let flat = b.node("Flatten", &[&x], &[]);
    import(&b.finish(&flat, 50)).unwrap_err()
}

#[test]
fn unsupported_operators_are_named_with_advice() {
    for operator in ["Sigmoid", "Transpose", "Shape", "LSTM", "Resize"] {
        let error = refused(operator, &[]);
        let ImportError::Unsupported { node, operator: named, advice, .. } = &error else { panic!("{error}") };
        assert_eq!((node.as_str(), named.as_str()), ("node_v1", operator));
        assert!(!advice.is_empty());
    }
    let message = refused("Sigmoid", &[]).to_string();
    assert!(message.starts_with("node `node_v1` (Sigmoid) is not supported: "), "{message}");
}

#[test]
fn unsupported_uses_are_refused() {
    let kernel = || Attribute::Ints("kernel_shape", vec![2, 2]);
    let cases = [
        refused("MaxPool", &[kernel(), Attribute::Ints("dilations", vec![2, 2])]),
        refused("AveragePool", &[kernel(), Attribute::Ints("pads", vec![1, 1, 1, 1])]),
        refused("AveragePool", &[kernel(), Attribute::Ints("strides", vec![2, 2]), Attribute::Int("ceil_mode", 1)]),
        refused("Softmax", &[Attribute::Int("axis", 1)]),
        refused("Flatten", &[Attribute::Int("axis", 2)]),
    ];
    for error in cases {
        assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn nonsense_is_invalid() {
    let cases = [
        refused("MaxPool", &[]),
        refused("MaxPool", &[Attribute::Ints("kernel_shape", vec![2, 2, 2])]),
        refused("MaxPool", &[Attribute::Ints("kernel_shape", vec![0, 2])]),
        refused("MaxPool", &[Attribute::Ints("kernel_shape", vec![2, 2]), Attribute::Text("auto_pad", "SIDEWAYS")]),
        refused("Conv", &[]),
    ];
    for error in cases {
        assert!(matches!(error, ImportError::Invalid { .. }), "{error}");
    }
    let too_large = refused("MaxPool", &[Attribute::Ints("kernel_shape", vec![7, 7])]);
    assert!(matches!(too_large, ImportError::Shape(_)), "{too_large}");
}

#[test]
fn files_that_are_no_models_are_refused() {
    assert!(matches!(import(b"not a model"), Err(ImportError::Decode(_))));
    assert!(matches!(import(b""), Err(ImportError::Decode(_))));
    let (b, image) = ModelBuilder::new(1, [2, 5, 5]);
    assert!(matches!(import(&b.finish(&image.0, 50)), Err(ImportError::Model(_))));
    let (b, _) = ModelBuilder::new(1, [2, 5, 5]);
    assert!(matches!(import(&b.finish("nothing", 50)), Err(ImportError::Model(_))));
}

#[test]
fn truncated_files_are_refused() {
    let (file, _) = crate::testing::random_network(3, 3);
    for n in (0..file.len()).step_by(97) {
        assert!(import(&file[..n]).is_err(), "{n} of {} bytes", file.len());
    }
}

#[test]
fn the_tail_is_dropped() {
    let (mut b, image) = ModelBuilder::new(1, [2, 5, 5]);
    let pooled = b.node("GlobalAveragePool", &[&image.0], &[]);
    let flat = b.node("Flatten", &[&pooled], &[]);
    let softmax = b.node("Softmax", &[&flat], &[Attribute::Int("axis", 1)]);
    let label = b.node("ArgMax", &[&softmax], &[Attribute::Int("axis", 1)]);
    let graph = import(&b.finish(&label, 1)).unwrap();
    assert_eq!(graph.node(graph.output).shape, fusion_rlwe::Shape::flat(2));
}

#[test]
fn nodes_beside_the_output_do_not_matter() {
    let (mut b, image) = ModelBuilder::new(1, [2, 5, 5]);
    b.node("Sigmoid", &[&image.0], &[]);
    let flat = b.node("Flatten", &[&image.0], &[]);
    assert!(import(&b.finish(&flat, 50)).is_ok());
}

#[test]
fn dropout_and_identity_vanish() {
    let (mut b, image) = ModelBuilder::new(1, [2, 5, 5]);
    let x = b.node("Dropout", &[&image.0], &[Attribute::Float("ratio", 0.5)]);
    let x = b.node("Identity", &[&x], &[]);
    let flat = b.node("Flatten", &[&x], &[]);
    assert_eq!(import(&b.finish(&flat, 50)).unwrap().nodes.len(), 2);
}
