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
