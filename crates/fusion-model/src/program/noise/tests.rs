use fusion_rlwe::{ConvGeometry, Padding, Shape};

use super::*;
use crate::program::{LinearTerm, PoolGeometry, ProgramError, RingBits, Step, TensorSpec};

const NORM: u32 = 300;

fn linear(input: usize, shape: Shape) -> Op {
    let geometry = ConvGeometry { input: shape, ..ConvGeometry::dense(shape.channels, shape.channels) };
    Op::Linear {
        terms: vec![LinearTerm { input: TensorId(input), geometry }],
        weight_bits: 10,
        row_norm: NORM,
        upload_bits: 27,
        hint_bits: 24,
    }
}

/// Image 2x4x4 -> two convolutions -> their sum, the second shifted -> sum over 2x2 -> flatten
/// -> logits; beside it a requantisation of the first convolution and a concatenation of all.
fn program() -> Program {
    let (image, pooled) = (Shape::new(2, 4, 4), Shape::new(2, 2, 2));
    let spec = |shape, ring, frac| TensorSpec { shape, ring: RingBits(ring), frac };
    let step = |name: &str, op, output| Step { name: name.to_owned(), op, output: TensorId(output) };
    let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding::default() };
    let window = Window { shift: 9, bits: 11 };
    Program {
        tensors: vec![
            spec(image, 22, 4),
            spec(image, 22, 12),
            spec(image, 20, 10),
            spec(image, 21, 12),
            spec(pooled, 20, 12),
            spec(Shape::flat(8), 20, 12),
            spec(image, 20, 3),
            spec(Shape::new(4, 4, 4), 20, 12),
        ],
        input: TensorId(0),
        steps: vec![
            step("wide", linear(0, image), 1),
            step("narrow", linear(0, image), 2),
            step("sum", Op::Add { inputs: vec![(TensorId(1), 0), (TensorId(2), 2)] }, 3),
            step("pool", Op::SumPool { input: TensorId(3), pool }, 4),
            step("flat", Op::Flatten { input: TensorId(4) }, 5),
            step("relu", Op::Requantise { input: TensorId(1), window, pool: None, activation: Activation::Signed }, 6),
            step("join", Op::Concat { inputs: vec![(TensorId(1), 0), (TensorId(2), 2)] }, 7),
        ],
        logits: TensorId(5),
        logits_window: Window { shift: 8, bits: 11 },
    }
}

#[test]
fn local_steps_carry_noise_along() {
    let p = program();
    p.validate().unwrap();
    let of_linear = |ring| Precision::new(ring, 27, 24).unwrap().noise(f64::from(NORM)).variance();
    let v = of_linear(22);
    assert_eq!(v, of_linear(20), "noise of a word depends on no ring");
    // From ring 22 to 21 by one bit; from 20, shifted by 2, to 21 also by one.
    let sum = 8.0 * v;
    let expected = [0.0, v, v, sum, sum * 4.0 * 4.0, sum * 16.0, 0.0, v * 16.0];
    for (tensor, (actual, expected)) in tensor_noise(&p).into_iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() <= 1e-9 * expected, "tensor {tensor}: {actual} {expected}");
    }
}

#[test]
fn readers_use_the_spare_bit_where_there_is_one() {
    let mut p = program();
    let windows = window_noise(&p);
    let v = tensor_noise(&p)[1];
    assert_eq!(windows.iter().map(|w| w.step).collect::<Vec<_>>(), [5, 7]);
    // The signed window has one of two bits to spare, and the word moves by the other.
    assert_eq!((windows[0].read.bits, windows[0].unit, windows[0].variance), (12, 2f64.powi(20), v * 4.0));
    assert_eq!((windows[1].read.bits, windows[1].variance), (12, tensor_noise(&p)[5]));
    p.tensors[5].ring = RingBits(19);
    assert_eq!(window_read(&p, 7).unwrap().1.bits, 11);
    let Op::Requantise { activation, .. } = &mut p.steps[5].op else { panic!("a requantisation") };
    *activation = Activation::Relu;
    let relu = window_noise(&p)[0];
    assert_eq!((relu.read.bits, relu.variance), (11, v * 16.0));
    assert!((relu.used - TAIL * (v * 16.0).sqrt() / 2f64.powi(21)).abs() < 1e-12);
}

#[test]
fn a_tensor_added_to_itself_adds_its_deviation() {
    let mut p = program();
    p.steps[2].op = Op::Add { inputs: vec![(TensorId(1), 0), (TensorId(1), 0)] };
    let noise = tensor_noise(&p);
    assert!((noise[3] / noise[1] - 4.0 * 4.0).abs() < 1e-9);
    assert!((gains_into(&p, TensorId(3))[1] - 16.0).abs() < 1e-9);
}

/// Sums over pooling windows of what a kernel of equal weights makes of independent errors, counted
/// cell by cell: the factor is never below them, and equal where no error is shared.
#[test]
fn pooling_adds_no_more_than_the_factor_says() {
    for (kernel, side) in (1..=4).flat_map(|kernel| (1..=7).map(move |side| (kernel, side))) {
        // How many outputs of a row of the window read a cell.
        let readers = |cell: usize| (0..side).filter(|&output| (output..output + kernel).contains(&cell)).count();
        let along: usize = (0..side + kernel - 1).map(|cell| readers(cell).pow(2)).sum();
        let counted = (along * along) as f64 / (kernel * kernel) as f64;
        let pool = PoolGeometry { kernel: (side, side), stride: (1, 1), padding: Padding::default() };
        let factor = pooled_gain(&pool, kernel * kernel);
        assert!(counted <= factor && (kernel > 1 || counted == factor), "{kernel} {side}: {counted} {factor}");
    }
}

#[test]
fn a_window_that_does_not_hide_the_noise_is_refused() {
    let mut p = program();
    let Op::Linear { upload_bits, .. } = &mut p.steps[1].op else { panic!("a linear step") };
    *upload_bits = 18;
    let error = p.validate().unwrap_err();
    let ProgramError::Noise { step, name, terms } = &error else { panic!("{error}") };
    assert_eq!((*step, name.as_str()), (7, "logits"));
    assert_eq!((terms.0.len(), terms.0[0].layer.as_str(), terms.0[0].cause), (3, "narrow", NoiseCause::Upload));
    let reader = window_noise(&p)[1];
    assert!(terms.0[0].permille > 1000 && (terms.0[0].permille as f64) < reader.used * 1000.0);
    let message = error.to_string();
    assert!(message.contains("upload of `narrow`") && message.contains("`logits`"), "{message}");
}
