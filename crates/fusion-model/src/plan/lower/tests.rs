use super::*;
use crate::program::ProgramError;
use crate::testing::{Attribute, ModelBuilder};
use crate::{calibrate, onnx};

/// Validation refuses a program in which a linear step reads another's result: lowering puts a
/// requantisation there.
#[test]
fn linear_layers_without_an_activation_between_them_are_requantised() {
    for path in ["Identity", "Add", "Concat", "AveragePool", "Flatten"] {
        let (mut b, (image, shape)) = ModelBuilder::new(3, [2, 4, 4]);
        let conv = |b: &mut ModelBuilder, x: &str, channels: usize| {
            let weights = b.random(&[2, channels, 1, 1], 1.0);
            b.node("Conv", &[x, &weights], &[Attribute::Ints("kernel_shape", vec![1; 2])])
        };
        let (first, second) = (conv(&mut b, &image, 2), conv(&mut b, &image, 2));
        let (joined, channels, side) = match path {
            "Add" => (b.node(path, &[&first, &second], &[]), 2, 4),
            "Concat" => (b.node(path, &[&first, &second], &[Attribute::Int("axis", 1)]), 4, 4),
            "AveragePool" => {
                let halves = [Attribute::Ints("kernel_shape", vec![2; 2]), Attribute::Ints("strides", vec![2; 2])];
                (b.node(path, &[&first], &halves), 2, 2)
            }
            _ => (first, 2, 4),
        };
        // A linear layer reads the joined value: another convolution, or the dense layer behind
        // the flattening.
        let (last, channels) = if path == "Flatten" { (joined, channels) } else { (conv(&mut b, &joined, channels), 2) };
        let flat = b.node("Flatten", &[&last], &[]);
        let weights = b.random(&[3, channels * side * side], 1.0);
        let logits = b.node("Gemm", &[&flat, &weights], &[Attribute::Int("transB", 1)]);
        let images: Vec<Vec<f32>> = (0..4).map(|_| (0..shape.iter().product()).map(|_| b.real()).collect()).collect();
        let graph = onnx::import(&b.finish(&logits, 3)).unwrap();
        let ranges = calibrate::calibrate(&graph, &images).unwrap();
        let bits = PlanBits::uniform(&graph, 13, 12);
        let program = lower(&graph, &ranges, 1.3, &bits, &Widths::widest(&graph, &bits)).unwrap().program;
        let valid = program.validate();
        assert!(matches!(valid, Ok(()) | Err(ProgramError::Noise { .. })), "{path}: {valid:?}");
        let linear = program.steps.iter().filter(|s| matches!(s.op, Op::Linear { .. })).count();
        let requantised = program.steps.iter().filter(|s| matches!(s.op, Op::Requantise { .. })).count();
        assert!(linear >= 2 && requantised >= 1, "{path}: {:?}", program.steps);
    }
}

/// A function whose values are far larger than what it reads: the window is that of what it reads.
#[test]
fn windows_of_functions_are_those_of_their_arguments() {
    let (mut b, image) = ModelBuilder::new(3, [2, 4, 4]);
    let weights = b.random(&[3, 2, 1, 1], 1.0);
    let x = b.node("Conv", &[&image.0, &weights], &[]);
    let (factor, y) = (b.constant(&[], vec![1e5]), b.node("Tanh", &[&x], &[]));
    let y = b.node("Mul", &[&y, &factor], &[]);
    let flat = b.node("Flatten", &[&y], &[]);
    let weights = b.random(&[3, 48], 1.0);
    let logits = b.node("Gemm", &[&flat, &weights], &[Attribute::Int("transB", 1)]);
    let images: Vec<Vec<f32>> = (0..4).map(|_| (0..32).map(|_| b.real()).collect()).collect();
    let graph = onnx::import(&b.finish(&logits, 3)).unwrap();
    let ranges = calibrate::calibrate(&graph, &images).unwrap();
    let (program, weights) = crate::plan::plan(&graph, &ranges, &crate::plan::PlanOptions::default()).unwrap();
    let windows = program.steps.iter().filter_map(|s| if let Op::Piecewise { window, .. } = &s.op { Some(window.bits) } else { None });
    assert!(windows.min().unwrap() >= 10);
    let twin = crate::twin::Twin::new(&program, &weights).unwrap();
    for image in &images {
        let exact = crate::float::evaluate(&graph, image).unwrap();
        let run = twin.run(program.encode(image).unwrap(), &mut crate::twin::TruncationCarry::Nearest).unwrap();
        let largest = exact.iter().fold(0f32, |m, x| m.max(x.abs()));
        let error = program.decode_logits(&run.logits).iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(error < 0.02 * largest, "{error} of {largest}");
    }
}

/// Slopes have an end: a function beyond it would be planned as another one.
#[test]
fn functions_that_no_pieces_are_near_are_refused() {
    let planned = |gamma: f32| {
        let (mut b, image) = ModelBuilder::new(3, [1, 4, 4]);
        let x = b.node("Selu", &[&image.0], &[Attribute::Float("alpha", 1.0), Attribute::Float("gamma", gamma)]);
        let flat = b.node("Flatten", &[&x], &[]);
        let weights = b.random(&[3, 16], 1.0);
        let logits = b.node("Gemm", &[&flat, &weights], &[Attribute::Int("transB", 1)]);
        let images: Vec<Vec<f32>> = (0..4).map(|_| (0..16).map(|_| b.real()).collect()).collect();
        let graph = onnx::import(&b.finish(&logits, 3)).unwrap();
        let ranges = calibrate::calibrate(&graph, &images).unwrap();
        crate::plan::plan(&graph, &ranges, &crate::plan::PlanOptions::default())
    };
    assert!(planned(1.0).is_ok());
    let refused = planned(1e6).err().unwrap().to_string();
    assert!(refused.contains("too steep"), "{refused}");
}
