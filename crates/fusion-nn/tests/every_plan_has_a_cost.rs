//! Whatever the planner of `fusion-model` makes, the two parties can run.

use fusion_model::calibrate::calibrate;
use fusion_model::onnx;
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::testing::random_network;
use fusion_nn::cost::predict;
use fusion_nn::layers::LaneTerms;

#[test]
fn every_plan_has_a_cost() {
    for seed in 0..300 {
        let (file, images) = random_network(seed, 1 + seed as usize % 6);
        let graph = onnx::import(&file).unwrap();
        let ranges = calibrate(&graph, &images).unwrap();
        for options in [PlanOptions::default(), PlanOptions { window_bits: 11, weight_bits: 8, ..PlanOptions::default() }] {
            let (program, _) = plan(&graph, &ranges, &options).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let predicted = predict(&program, 3, LaneTerms::LONG_LINK).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert!(predicted.bytes() > 0, "seed {seed}");
        }
    }
}
