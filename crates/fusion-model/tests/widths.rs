//! Widths place by place: plans take them, and what rounding at a place is said to do is what the
//! twin finds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fusion_model::calibrate::{Ranges, calibrate};
use fusion_model::eval::evaluate;
use fusion_model::graph::Graph;
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
/// layer's sensitivity says, over many networks.
#[test]
fn sensitivities_of_weights_are_what_the_twin_finds() {
    let (mut said, mut found, mut layers) = (0.0, 0.0, 0);
    for seed in 0..40 {
        let network = network(seed);
        let (graph, ranges, images) = &network;
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
    bits.weights.pop();
    assert!(matches!(plan_with(&graph, &ranges, MARGIN, &bits), Err(PlanError::Bits { .. })));
}
