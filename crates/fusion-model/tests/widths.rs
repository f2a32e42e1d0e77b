//! Widths place by place: plans take them, and what rounding at a place is said to do is what the
//! twin finds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fusion_model::calibrate::{Ranges, calibrate};
use fusion_model::eval::evaluate;
use fusion_model::float;
use fusion_model::graph::{FloatOp, Graph};
use fusion_model::onnx;
use fusion_model::plan::{PlanBits, PlanError, plan_with, sensitivities};
use fusion_model::program::Op;
use fusion_model::testing::random_network;

const MARGIN: f64 = 1.5;

fn network(seed: u64) -> (Graph, Ranges, Vec<Vec<f32>>) {
    let (file, images) = random_network(seed, 1 + seed as usize % 4);
    let graph = onnx::import(&file).unwrap();
    let ranges = calibrate(&graph, &images).unwrap();
    (graph, ranges, images)
}

/// The variance of a logit's error that the twin finds.
fn measured((graph, ranges, images): &(Graph, Ranges, Vec<Vec<f32>>), bits: &PlanBits) -> f64 {
    let (program, weights) = plan_with(graph, ranges, MARGIN, bits).unwrap();
    evaluate(graph, &program, &weights, images, None, [7; 32], &|_| ()).unwrap().logit_deviation.powi(2)
}

/// Weights of every single layer at 6 bits, all else fine: the twin's variance grows by what the
/// layer's sensitivity says, over many networks. Not those with approximated functions: of a
/// coarser product their tolerance is larger, so that knots move as well.
#[test]
fn sensitivities_of_weights_are_what_the_twin_finds() {
    let (mut said, mut found, mut layers) = (0.0, 0.0, 0);
    for seed in 0..60 {
        let network = network(seed);
        let (graph, ranges, images) = &network;
        if graph.nodes.iter().any(|node| matches!(node.op, FloatOp::Curve(_))) {
            continue;
        }
        let fine = PlanBits::uniform(graph, 14, 13);
        let base = measured(&network, &fine);
        for place in sensitivities(graph, ranges, MARGIN, images).unwrap().weights {
            let mut bits = fine.clone();
            bits.weights[place.node.0] = 6;
            let (expected, more) = (place.at(6), measured(&network, &bits) - base);
            // Relative to the size of the logits, so that no network counts for all.
            let scale = base + expected;
            said += expected / scale;
            found += more / scale;
            layers += 1;
        }
    }
    assert!(layers > 60 && (0.5..2.0).contains(&(found / said)), "{said} said, {found} found, {layers} layers");
}

/// Comparisons of every ReLU without 5 bits of 9: the twin's variance grows by what the sign's
/// sensitivity says, over many networks.
#[test]
fn sensitivities_of_signs_are_what_the_twin_finds() {
    let (mut said, mut found, mut relus) = (0.0, 0.0, 0);
    for seed in 0..200 {
        let network = network(seed);
        let (graph, ranges, images) = &network;
        let fine = PlanBits::uniform(graph, 14, 13);
        let scale = images.iter().map(|image| float::variance(&float::evaluate(graph, image).unwrap())).sum::<f64>();
        let units = |bits: &PlanBits, left_out: u32| {
            let (program, _) = plan_with(graph, ranges, MARGIN, bits).unwrap();
            let of = |op: &Op| matches!(op, Op::Requantise { activation, .. } if activation.left_out() == left_out);
            let coarse = program.steps.iter().filter(|step| of(&step.op)).map(|step| program.tensors[step.output.0].frac);
            coarse.collect::<Vec<_>>()
        };
        for place in sensitivities(graph, ranges, MARGIN, images).unwrap().signs {
            let mut exact = fine.clone();
            exact.windows[place.node.0] = 9;
            let mut coarse = exact.clone();
            coarse.left_out[place.node.0] = 5;
            // Small tensors have finer units than was asked for, by a number of bits that differs.
            let mut probe = PlanBits::uniform(graph, 8, 8);
            probe.left_out[place.node.0] = 5;
            let (&[fine], &[rough]) = (&units(&coarse, 5)[..], &units(&probe, 5)[..]) else { panic!("one coarse ReLU") };
            // Relative to the size of the logits, so that no network counts for all. Not to the
            // errors: a few numbers near zero make all of them, or none does.
            said += place.at((8 + fine - rough).unsigned_abs(), 5) / scale;
            found += (measured(&network, &coarse) - measured(&network, &exact)) / scale;
            relus += 1;
        }
    }
    assert!(relus > 200 && (0.5..2.0).contains(&(found / said)), "{said} said, {found} found, {relus} ReLUs");
}

/// Widths are those of the node that they are asked for.
#[test]
fn a_plan_takes_the_weights_of_every_layer() {
    let (graph, ranges, _) = network(3);
    let mut bits = PlanBits::uniform(&graph, 12, 12);
    let linear: Vec<usize> = (0..graph.nodes.len()).filter(|&i| graph.nodes[i].op.as_linear().is_some()).collect();
    for (i, &node) in linear.iter().enumerate() {
        bits.weights[node] = 7 + i as u32 % 4;
    }
    let (program, _) = plan_with(&graph, &ranges, MARGIN, &bits).unwrap();
    let planned =
        program.steps.iter().filter_map(|step| if let Op::Linear { weight_bits, .. } = &step.op { Some(*weight_bits) } else { None });
    assert_eq!(planned.collect::<Vec<_>>(), (0..linear.len()).map(|i| 7 + i as u32 % 4).collect::<Vec<_>>());
    let left_out = |window: u32, left_out: u32| {
        let bits = PlanBits::uniform(&graph, window, 8);
        plan_with(&graph, &ranges, MARGIN, &PlanBits { left_out: vec![left_out; graph.nodes.len()], ..bits })
    };
    assert!(left_out(11, 8).is_ok() && left_out(6, 3).is_ok());
    for (window, bits) in [(8, 8), (6, 4), (10, 8), (20, 9), (12, 0)] {
        let refused = left_out(window, bits).err().unwrap();
        assert!(matches!(refused, PlanError::Option { option: "bits left out of a comparison", .. }), "{window} {bits}: {refused}");
    }
    bits.weights.pop();
    assert!(matches!(plan_with(&graph, &ranges, MARGIN, &bits), Err(PlanError::Bits { .. })));
}
