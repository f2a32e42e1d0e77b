//! What is refused, and how.

mod silence;

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
    for operator in ["LSTM", "Resize", "LRN", "LayerNormalization", "QuantizeLinear", "Where"] {
        let error = refused(operator, &[]);
        let ImportError::Unsupported { node, operator: named, advice, .. } = &error else { panic!("{error}") };
        assert_eq!((node.as_str(), named.as_str()), ("node_v1", operator));
        assert!(!advice.is_empty());
    }
    let message = refused("LRN", &[]).to_string();
    assert!(message.starts_with("node `node_v1` (LRN) is not supported: "), "{message}");
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

/// The graph computes what `rten` computes, which shares no code with this crate.
fn agrees(file: &[u8], shape: [usize; 3], what: &str) {
    let image: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
    let model = rten::Model::load(file.to_vec()).unwrap();
    let input = rten::ValueView::from_shape([1, shape[0], shape[1], shape[2]], &image[..]).unwrap();
    let expected: Vec<f32> = model.run_one(input.into(), None).unwrap().into_shape_vec::<f32, 2>().unwrap().1;
    let found = crate::float::evaluate(&import(file).unwrap(), &image).unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{what}: {found:?} {expected:?}");
}

/// Attributes of a convolution, all of which `rten` wants to be told.
fn padded_by(pads: usize) -> [Attribute<'static>; 3] {
    [Attribute::Ints("pads", vec![pads; 4]), Attribute::Ints("strides", vec![1, 1]), Attribute::Ints("dilations", vec![1, 1])]
}

/// A network that ends as `end` says, from an image of 4 x 6 x 6 behind a convolution.
fn ending(end: impl Fn(&mut ModelBuilder, &str) -> String) -> Vec<u8> {
    let (mut b, image) = ModelBuilder::new(7, [3, 6, 6]);
    let weights = b.random(&[4, 3, 3, 3], 0.4);
    let x = b.node("Conv", &[&image.0, &weights], &padded_by(1));
    let x = b.node("Relu", &[&x], &[]);
    let scores = end(&mut b, &x);
    b.finish(&scores, 4)
}

#[test]
fn a_mean_over_rows_and_columns_is_a_global_pool() {
    for keep in [0, 1] {
        let file = ending(|b, x| {
            let pooled = b.node("ReduceMean", &[x], &[Attribute::Ints("axes", vec![2, 3]), Attribute::Int("keepdims", keep)]);
            let numbers = b.integers(&[2, 3]);
            if keep == 0 { pooled } else { b.node("Squeeze", &[&pooled, &numbers], &[]) }
        });
        agrees(&file, [3, 6, 6], "ReduceMean");
    }
    let channels = ending(|b, x| {
        let mean = b.node("ReduceMean", &[x], &[Attribute::Ints("axes", vec![1])]);
        b.node("Flatten", &[&mean], &[])
    });
    assert!(matches!(import(&channels), Err(ImportError::Unsupported { .. })));
}

#[test]
fn arithmetic_with_constants_is_folded() {
    for operator in ["Add", "Sub", "Mul", "Div"] {
        for turned in [false, true] {
            let file = ending(|b, x| {
                let constant = b.constant(&[4, 1, 1], vec![1.5, -2.0, 0.5, 3.0]);
                let inputs = if turned { [constant.as_str(), x] } else { [x, constant.as_str()] };
                let y = b.node(operator, &inputs, &[]);
                let pooled = b.node("GlobalAveragePool", &[&y], &[]);
                b.node("Flatten", &[&pooled], &[])
            });
            if (operator, turned) == ("Div", true) {
                assert!(matches!(import(&file), Err(ImportError::Unsupported { .. })), "divided by the image");
            } else {
                agrees(&file, [3, 6, 6], operator);
            }
        }
    }
    let by_zero = ending(|b, x| {
        let zero = b.constant(&[1], vec![0.0]);
        let y = b.node("Div", &[x, &zero], &[]);
        b.node("Flatten", &[&y], &[])
    });
    assert!(matches!(import(&by_zero), Err(ImportError::Invalid { .. })));
}

#[test]
fn values_are_added_and_subtracted() {
    for operator in ["Sum", "Sub"] {
        let file = ending(|b, x| {
            let weights = b.random(&[4, 4, 1, 1], 0.5);
            let y = b.node("Conv", &[x, &weights], &padded_by(0));
            let z = b.node(operator, &[x, &y], &[]);
            let pooled = b.node("GlobalAveragePool", &[&z], &[]);
            b.node("Flatten", &[&pooled], &[])
        });
        agrees(&file, [3, 6, 6], operator);
    }
}

/// `x.view(x.size(0), -1)` and a pad whose numbers are computed, as exporters write them.
#[test]
fn shape_arithmetic_is_folded() {
    let viewed = ending(|b, x| {
        let pooled = b.node("GlobalAveragePool", &[x], &[]);
        let shape = b.node("Shape", &[&pooled], &[]);
        let numbers = b.integers(&[0]);
        let batch = b.node("Gather", &[&shape, &numbers], &[]);
        let numbers = b.integers(&[-1]);
        let target = b.node("Concat", &[&batch, &numbers], &[Attribute::Int("axis", 0)]);
        b.node("Reshape", &[&pooled, &target], &[])
    });
    agrees(&viewed, [3, 6, 6], "view");
    let padded = ending(|b, x| {
        // Pads of the last two axes, from the last one on, to the order of ONNX.
        let numbers = b.integers(&[4]);
        let zeros = b.node("ConstantOfShape", &[&numbers], &[]);
        let zeros = b.node("Cast", &[&zeros], &[Attribute::Int("to", 7)]);
        let numbers = b.integers(&[1, 2, 0, 1]);
        let all = b.node("Concat", &[&numbers, &zeros], &[Attribute::Int("axis", 0)]);
        let numbers = b.integers(&[-1, 2]);
        let pairs = b.node("Reshape", &[&all, &numbers], &[]);
        let ends = [b.integers(&[-1]), b.integers(&[i64::MIN]), b.integers(&[0]), b.integers(&[-1])];
        let turned = b.node("Slice", &[&pairs, &ends[0], &ends[1], &ends[2], &ends[3]], &[]);
        let turned = b.node("Transpose", &[&turned], &[Attribute::Ints("perm", vec![1, 0])]);
        let numbers = b.integers(&[-1]);
        let pads = b.node("Reshape", &[&turned, &numbers], &[]);
        let wide = b.node("Pad", &[x, &pads], &[]);
        let weights = b.random(&[4, 4, 3, 3], 0.3);
        let y = b.node("Conv", &[&wide, &weights], &padded_by(0));
        let pooled = b.node("GlobalAveragePool", &[&y], &[]);
        b.node("Flatten", &[&pooled], &[])
    });
    agrees(&padded, [3, 6, 6], "pad");
}

#[test]
fn what_nobody_reads_may_be_anything() {
    let (mut b, image) = ModelBuilder::new(1, [2, 5, 5]);
    let unread = b.constant(&[1], vec![f32::NAN]);
    let x = b.node("Dropout", &[&image.0, &unread, &unread], &[]);
    let flat = b.node("Flatten", &[&x], &[]);
    assert!(import(&b.finish(&flat, 50)).is_ok(), "Dropout's ratio is not read");
    let (mut b, image) = ModelBuilder::new(1, [2, 5, 5]);
    let unread = b.constant(&[1], vec![f32::NAN]);
    let x = b.node("Add", &[&image.0, &unread], &[]);
    let flat = b.node("Flatten", &[&x], &[]);
    assert!(matches!(import(&b.finish(&flat, 50)), Err(ImportError::Invalid { .. })), "but this is");
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
    let shape = b.integers(&[-1, 2]);
    let softmax = b.node("Reshape", &[&softmax, &shape], &[]);
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
