//! The fixed-point twin of an ONNX classifier beside the float network, on noise.
//!
//! ```text
//! cargo run -p fusion-model --example twin -- [model.onnx]
//! ```

use fusion_model::calibrate::calibrate;
use fusion_model::plan::{PlanOptions, plan};
use fusion_model::twin::{TruncationCarry, Twin};
use fusion_model::{float, onnx};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

const MNIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/mnist/mnist.onnx");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| MNIST.to_owned());
    let graph = onnx::import(&std::fs::read(path)?)?;

    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut noise = |_| (0..graph.input_shape().len()).map(|_| rng.next_u32() as f32 / u32::MAX as f32).collect();
    let images: Vec<Vec<f32>> = (0..16).map(&mut noise).collect();

    let ranges = calibrate(&graph, &images)?; // in earnest: typical images
    let (program, weights) = plan(&graph, &ranges, &PlanOptions::default())?;
    let twin = Twin::new(&program, &weights)?;
    for image in &images[..4] {
        let logits = float::evaluate(&graph, image)?;
        let run = twin.run(program.encode(image)?, &mut TruncationCarry::Random(&mut rng))?;
        let label = float::argmax(&logits);
        println!("float label {label}, twin label {}, {} overflows", run.label, run.total_overflows());
        // Noise may be near a tie: the twin's label must be as good as the float network's, nearly.
        assert!(logits[label] - logits[run.label] < 0.1 * logits[label].abs().max(1.0), "the labels agree");
    }
    Ok(())
}
