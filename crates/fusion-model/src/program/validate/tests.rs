use fusion_rlwe::ConvGeometry;

use super::*;
use crate::program::{Activation, Knot, LinearTerm, RingBits};

/// Image 2x4x4 -> conv -> requantise with pooling -> add to itself -> flatten -> dense.
fn program() -> Program {
    let spec = |shape, ring, frac| TensorSpec { shape, ring: RingBits(ring), frac };
    let image = Shape::new(2, 4, 4);
    let conv = ConvGeometry {
        input: image,
        out_channels: 3,
        kernel: (3, 3),
        stride: (1, 1),
        dilation: (1, 1),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        groups: 1,
    };
    let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding::default() };
    let step = |name: &str, op, output| Step { name: name.to_owned(), op, output: TensorId(output) };
    let linear = |input, geometry| Op::Linear {
        terms: vec![LinearTerm { input: TensorId(input), geometry }],
        weight_bits: 10,
        row_norm: 300,
        upload_bits: 27,
        hint_bits: 24,
    };
    Program {
        tensors: vec![
            spec(image, 22, 4),
            spec(Shape::new(3, 4, 4), 22, 13),
            spec(Shape::new(3, 2, 2), 20, 4),
            spec(Shape::new(3, 2, 2), 20, 5),
            spec(Shape::flat(12), 20, 5),
            spec(Shape::flat(5), 20, 15),
        ],
        input: TensorId(0),
        steps: vec![
            step("conv", linear(0, conv), 1),
            step(
                "pool",
                Op::Requantise {
                    input: TensorId(1),
                    window: Window { shift: 9, bits: 13 },
                    pool: Some(pool),
                    activation: Activation::Relu,
                },
                2,
            ),
            step("twice", Op::Add { inputs: vec![(TensorId(2), 1), (TensorId(2), 1)] }, 3),
            step("flat", Op::Flatten { input: TensorId(3) }, 4),
            step("dense", linear(4, ConvGeometry::dense(12, 5)), 5),
        ],
        logits: TensorId(5),
        logits_window: Window { shift: 4, bits: 16 },
    }
}

#[test]
fn a_valid_program_passes() {
    assert_eq!(program().validate(), Ok(()));
}

fn set_upload(p: &mut Program, bits: u32) {
    let Op::Linear { upload_bits, .. } = &mut p.steps[0].op else { panic!("the first step is linear") };
    *upload_bits = bits;
}

fn set_left_out(p: &mut Program, bits: u32) {
    let Op::Requantise { activation, .. } = &mut p.steps[1].op else { panic!("the second step requantises") };
    *activation = Activation::CoarseRelu { left_out: bits };
}

#[test]
fn noise_beyond_a_window_is_refused() {
    let mut bad = program();
    set_upload(&mut bad, 18);
    let error = bad.validate().unwrap_err();
    assert!(matches!(&error, ProgramError::Noise { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("`pool`") && error.to_string().contains("upload of `conv`"), "{error}");
}

#[test]
fn hostile_programs_are_refused() {
    type Change = fn(&mut Program);
    let at = |step: usize, name: &str, fault| ProgramError::Step { step, name: name.to_owned(), fault };
    let shape = Shape::new;
    let cases: Vec<(Change, ProgramError)> = vec![
        (|p| p.tensors.clear(), ProgramError::Size { what: "tensors", actual: 0, limit: MAX_STEPS }),
        (|p| p.steps.clear(), ProgramError::Size { what: "steps", actual: 0, limit: MAX_STEPS }),
        (|p| p.steps[0].name = "x".repeat(1000), ProgramError::Size { what: "bytes of a step's name", actual: 1000, limit: MAX_NAME }),
        (
            |p| p.steps[0].name = "\u{1b}[2J".to_owned(),
            ProgramError::Size { what: "a step's name without control characters", actual: 0, limit: 1 },
        ),
        (|p| p.input = TensorId(99), ProgramError::Tensor { tensor: 99, fault: StepFault::NoSuchTensor(99) }),
        (|p| p.logits = TensorId(99), ProgramError::Logits(StepFault::NoSuchTensor(99))),
        (|p| p.logits_window.shift = 5, ProgramError::Logits(StepFault::Ring { tensor: 5, needed: 21, available: 20 })),
        (
            |p| p.tensors[1].shape.width = usize::MAX,
            ProgramError::Tensor {
                tensor: 1,
                fault: StepFault::Range { what: "width", actual: i64::MAX, least: 1, most: MAX_SIDE as i64 },
            },
        ),
        (
            |p| p.tensors[1].ring.0 = 33,
            ProgramError::Tensor { tensor: 1, fault: StepFault::Range { what: "ring bits", actual: 33, least: 1, most: 32 } },
        ),
        (|p| p.tensors.push(p.tensors[0]), ProgramError::Tensor { tensor: 6, fault: StepFault::NeverWritten }),
        (|p| p.steps[1].output = TensorId(99), at(1, "pool", StepFault::NoSuchTensor(99))),
        (|p| p.steps.swap(0, 1), at(0, "pool", StepFault::ReadBeforeWritten(1))),
        (
            |p| p.steps[4].output = TensorId(0),
            at(4, "dense", StepFault::Shape { declared: shape(2, 4, 4), computed: Some(shape(5, 1, 1)) }),
        ),
        (
            |p| {
                p.tensors[5] = p.tensors[4];
                p.steps[4] = p.steps[3].clone();
            },
            at(4, "flat", StepFault::WrittenTwice(4)),
        ),
        (|p| p.tensors[1].shape.channels = 4, at(0, "conv", StepFault::Shape { declared: shape(4, 4, 4), computed: Some(shape(3, 4, 4)) })),
        (|p| p.tensors[0].ring.0 = 21, at(0, "conv", StepFault::Ring { tensor: 0, needed: 22, available: 21 })),
        (|p| set_upload(p, 33), at(0, "conv", StepFault::Range { what: "upload bits", actual: 33, least: 2, most: 32 })),
        (|p| set_left_out(p, 9), at(1, "pool", StepFault::Range { what: "bits left out of a comparison", actual: 9, least: 2, most: 8 })),
        (|p| set_left_out(p, 1), at(1, "pool", StepFault::Range { what: "bits left out of a comparison", actual: 1, least: 2, most: 8 })),
        (
            |p| {
                set_left_out(p, 8);
                p.tensors[2].frac = 7;
                let Op::Requantise { window, .. } = &mut p.steps[1].op else { panic!("the second step requantises") };
                *window = Window { shift: 12, bits: 10 };
            },
            at(1, "pool", StepFault::Range { what: "bits left out of a comparison", actual: 8, least: 2, most: 7 }),
        ),
        (|p| p.tensors[2].frac = 5, at(1, "pool", StepFault::Scale { declared: 5, computed: 4 })),
        (|p| p.tensors[3].ring.0 = 22, at(2, "twice", StepFault::Ring { tensor: 2, needed: 21, available: 20 })),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut bad = program();
        change(&mut bad);
        assert_eq!(bad.validate(), Err(expected), "case {index}");
    }
}

/// Image -> conv -> the local step of `op`, which reads the convolution last, -> flatten if
/// need be -> dense.
fn unrequantised(op: Op, output: Shape) -> Program {
    let mut p = program();
    let spec = |shape| TensorSpec { shape, ring: RingBits(20), frac: 13 };
    let flat = Shape::flat(output.len());
    // An activation of the convolution's shape beside it, for steps of several inputs.
    let window = Window { shift: 0, bits: 20 };
    let pure = Op::Requantise { input: TensorId(1), window, pool: None, activation: Activation::Relu };
    p.tensors.truncate(2);
    p.tensors.extend([spec(p.tensors[1].shape), spec(output), spec(flat), spec(Shape::flat(5))]);
    p.steps.truncate(1);
    // Narrow enough for the fine window that follows at the same scale.
    p.tensors[1].ring = RingBits(20);
    if let Op::Linear { row_norm, upload_bits, hint_bits, .. } = &mut p.steps[0].op {
        (*row_norm, *upload_bits, *hint_bits) = (9, 32, 32);
    }
    let step = |name: &str, op, output| Step { name: name.to_owned(), op, output: TensorId(output) };
    let terms = vec![LinearTerm { input: TensorId(4), geometry: ConvGeometry::dense(output.len(), 5) }];
    p.steps.extend([
        step("pure", pure, 2),
        step("local", op, 3),
        step("flat", Op::Flatten { input: TensorId(3) }, 4),
        step("dense", Op::Linear { terms, weight_bits: 10, row_norm: 300, upload_bits: 27, hint_bits: 24 }, 5),
    ]);
    p
}

#[test]
fn a_linear_step_reads_no_linear_step_without_a_requantisation() {
    const POOL: PoolGeometry = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding { top: 0, left: 0, bottom: 0, right: 0 } };
    let (image, raw, pure) = (Shape::new(3, 4, 4), TensorId(1), TensorId(2));
    let refused = |step: usize, name: &str, linear: &str| {
        let fault = StepFault::NotRequantised { linear: linear.to_owned() };
        Err(ProgramError::Step { step, name: name.to_owned(), fault })
    };
    // Every path is allowed from an activation, and refused from the convolution wherever it
    // stands among the inputs.
    type Path = fn(TensorId, TensorId) -> Op;
    let paths: [(Path, Shape); 6] = [
        (|input, _| Op::SumPool { input, pool: POOL }, Shape::new(3, 2, 2)),
        (|from, _| Op::Add { inputs: vec![(from, 0), (from, 0)] }, image),
        (|from, other| Op::Add { inputs: vec![(other, 0), (from, 0)] }, image),
        (|from, other| Op::Concat { inputs: vec![(from, 0), (other, 0)] }, Shape::new(6, 4, 4)),
        (|from, other| Op::Concat { inputs: vec![(other, 0), (from, 0)] }, Shape::new(6, 4, 4)),
        (|input, _| Op::Flatten { input }, Shape::flat(48)),
    ];
    for (index, (op, output)) in paths.into_iter().enumerate() {
        assert_eq!(unrequantised(op(pure, pure), output).validate(), Ok(()), "path {index}");
        let bad = unrequantised(op(raw, pure), output).validate();
        assert_eq!(bad, refused(4, "dense", "conv"), "path {index}");
    }

    // Directly, and as one of several convolutions of a step.
    let mut direct = unrequantised(Op::Flatten { input: pure }, Shape::flat(48));
    let geometry = ConvGeometry { input: image, ..ConvGeometry::dense(3, 3) };
    let terms = vec![LinearTerm { input: pure, geometry }, LinearTerm { input: raw, geometry }];
    direct.steps[2] = Step {
        name: "twice linear".to_owned(),
        op: Op::Linear { terms, weight_bits: 10, row_norm: 300, upload_bits: 27, hint_bits: 24 },
        output: TensorId(3),
    };
    direct.tensors[3].shape = image;
    assert_eq!(direct.validate(), refused(2, "twice linear", "conv"));
    let message = direct.validate().unwrap_err().to_string();
    assert!(message.contains("`twice linear`") && message.contains("`conv`"), "{message}");
}

#[test]
fn impossible_convolutions_are_refused() {
    type Change = fn(&mut ConvGeometry);
    let changes: [Change; 8] = [
        |g| g.kernel = (0, 3),
        |g| g.kernel = (9, 9),
        |g| g.stride = (0, 1),
        |g| g.dilation = (usize::MAX, 1),
        |g| g.padding.left = usize::MAX,
        |g| g.groups = 0,
        |g| g.groups = 5,
        |g| g.out_channels = usize::MAX,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut bad = program();
        let Op::Linear { terms, .. } = &mut bad.steps[0].op else { panic!("the first step is linear") };
        change(&mut terms[0].geometry);
        assert!(matches!(bad.validate(), Err(ProgramError::Step { step: 0, .. })), "case {index}");
    }
}

/// Every step that matches, of plans of random networks, changed by `change`, is refused as
/// `expected` says; at least one does.
fn refused(change: impl Fn(&mut Program, usize) -> bool, expected: impl Fn(&StepFault) -> bool) {
    let mut changed = 0;
    for seed in 0..60 {
        let (file, images) = crate::testing::random_network(seed, 4);
        let graph = crate::onnx::import(&file).unwrap();
        let ranges = crate::calibrate::calibrate(&graph, &images).unwrap();
        let (program, _) = crate::plan::plan(&graph, &ranges, &crate::plan::PlanOptions::default()).unwrap();
        for step in 0..program.steps.len() {
            let mut bad = program.clone();
            if change(&mut bad, step) {
                let error = bad.validate().unwrap_err();
                assert!(matches!(&error, ProgramError::Step { step: at, fault, .. } if *at == step && expected(fault)), "{error}");
                changed += 1;
            }
        }
    }
    assert!(changed > 0);
}

#[test]
fn functions_must_be_those_of_their_windows() {
    let function = |bad: &mut Program, step: usize, change: fn(&mut Piecewise, i32)| {
        let Op::Piecewise { function, window, .. } = &mut bad.steps[step].op else { return false };
        change(function, 1 << (window.bits - 1));
        true
    };
    let is_function = |fault: &StepFault| matches!(fault, StepFault::Function { .. });
    refused(|bad, step| function(bad, step, |f, end| f.knots = vec![Knot { at: end, change: 1 }]), is_function);
    refused(|bad, step| function(bad, step, |f, _| f.knots = vec![Knot { at: 1, change: 1 }, Knot { at: 0, change: 1 }]), is_function);
    refused(|bad, step| function(bad, step, |f, _| f.knots = (0..65).map(|at| Knot { at: at - 40, change: 1 }).collect()), is_function);
    refused(|bad, step| function(bad, step, |f, _| f.slope = i32::MIN), is_function);
    refused(|bad, step| function(bad, step, |f, _| f.left_out = 0), is_function);
    refused(|bad, step| function(bad, step, |f, _| f.fraction += 1), |fault| matches!(fault, StepFault::Scale { .. }));
}

#[test]
fn products_must_fit_their_factors() {
    let product = |bad: &mut Program, step: usize, change: fn(&mut u32, u32)| {
        let ring = bad.tensors[bad.steps[step].output.0].ring.0;
        let Op::Multiply { factor_bits, .. } = &mut bad.steps[step].op else { return false };
        change(factor_bits, ring);
        true
    };
    let is_range = |fault: &StepFault| matches!(fault, StepFault::Range { .. });
    refused(|bad, step| product(bad, step, |bits, _| *bits = 2), is_range);
    refused(|bad, step| product(bad, step, |bits, ring| *bits = ring), is_range);
    // What a linear step made has noise.
    let noisy = |bad: &mut Program, step: usize| {
        let shape = bad.tensors[bad.steps[step].output.0].shape;
        let linear = bad.steps[..step].iter().rev().find(|s| matches!(s.op, Op::Linear { .. }) && bad.tensors[s.output.0].shape == shape);
        let Some(noisy) = linear.map(|s| s.output) else { return false };
        let frac = bad.tensors[noisy.0].frac;
        let output = bad.steps[step].output;
        let Op::Multiply { input, factor, .. } = &mut bad.steps[step].op else { return false };
        *input = noisy;
        let factor = *factor;
        bad.tensors[output.0].frac = frac + bad.tensors[factor.0].frac;
        // The linear step that made it writes as many bits as the product reads.
        bad.tensors[noisy.0].ring >= bad.tensors[output.0].ring
    };
    refused(noisy, |fault| matches!(fault, StepFault::NotRequantised { .. }));
}

#[test]
fn channels_and_ceilings_must_exist() {
    let select = |bad: &mut Program, step: usize| {
        let Op::Select { channels, .. } = &mut bad.steps[step].op else { return false };
        channels[0] = Some(1 << 20);
        true
    };
    refused(select, |fault| matches!(fault, StepFault::Range { what: "channel", .. }));
    for bad_ceiling in [0, 1 << 30] {
        let clip = |bad: &mut Program, step: usize| {
            let Op::Requantise { activation: Activation::Clip { ceiling }, .. } = &mut bad.steps[step].op else { return false };
            *ceiling = bad_ceiling;
            true
        };
        refused(clip, |fault| matches!(fault, StepFault::Range { what: "ceiling of a clip", .. }));
    }
}

/// A card of a few kilobytes asked for hours of work before a query: a schedule of two million
/// positions for each of thousands of poolings.
#[test]
fn poolings_of_a_program_read_so_many_positions_together() {
    let mut bad = program();
    let side = 1448;
    let image = TensorSpec { shape: Shape::new(1, side, side), ring: RingBits(22), frac: 4 };
    let one = TensorSpec { shape: Shape::flat(1), ring: RingBits(13), frac: 4 };
    let pool = PoolGeometry { kernel: (side, side), stride: (1, 1), padding: Padding::default() };
    bad.tensors = vec![image];
    bad.steps = Vec::new();
    for output in 1..4 {
        bad.tensors.push(one);
        let window = Window { shift: 0, bits: 13 };
        let op = Op::Requantise { input: TensorId(0), window, pool: Some(pool), activation: Activation::Relu };
        bad.steps.push(Step { name: "pool".to_owned(), op, output: TensorId(output) });
    }
    let error = bad.validate().unwrap_err();
    assert!(matches!(error, ProgramError::Size { what: "positions read by all poolings", .. }), "{error}");
}

#[test]
fn convolutions_of_a_step_have_one_number_of_groups() {
    let mut bad = program();
    let Op::Linear { terms, .. } = &mut bad.steps[0].op else { panic!("the first step is linear") };
    let mut grouped = terms[0];
    grouped.geometry.out_channels = 3;
    grouped.geometry.groups = 2;
    terms.push(grouped);
    let error = bad.validate().unwrap_err();
    assert!(matches!(error, ProgramError::Step { step: 0, fault: StepFault::Range { what: "groups", .. }, .. }), "{error}");
}
