//! The protocol gives the float model's labels, and the twin's up to ties, on 200 digits in one
//! lane.

use fusion::{QuantiseSettings, Widths, quantise};
use fusion_cli::assets;
use fusion_model::float;
use fusion_model::preprocess::Preprocess;
use fusion_model::twin::{TruncationCarry, Twin};
use fusion_nn::cost;
use fusion_nn::exec::{Client, EncodedImage, Hint, Lane, LaneInput, Opened, PublicModel, Reveal, Server, ServerModel};
use fusion_nn::layers::{LaneTerms, Phase};
use fusion_ring::channel::memory_pair;
use fusion_rlwe::{PublicSeed, ServerKey};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const DIGITS: usize = 200;

#[test]
fn labels_equal_the_float_models_and_the_twins_up_to_ties() {
    let settings = QuantiseSettings {
        widths: Widths::Uniform { window: 13, weight_bits: 10, left_out: 1 },
        margin: 1.5,
        calibration_images: 64,
        ..QuantiseSettings::new(Preprocess::mnist())
    };
    let pool = assets::mnist_pool().unwrap();
    let (digits, rest) = pool.split_at(DIGITS);
    let quantised = quantise(assets::MNIST_MODEL, "mnist.onnx", &settings, rest).unwrap();
    let program = &quantised.program;
    let images: Vec<Vec<f32>> = digits.iter().map(|d| d.tensor(&quantised.preprocess).unwrap()).collect();
    let encoded: Vec<Vec<i64>> = images.iter().map(|image| program.encode(image).unwrap()).collect();

    let inputs: Vec<_> = encoded.iter().map(|image| EncodedImage::new(program, image).unwrap()).collect();
    let input = LaneInput::new(program, &inputs).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(200);
    let public = PublicModel::new(program.clone(), PublicSeed([9; 32])).unwrap();
    let model = ServerModel::new(public.clone(), &quantised.weights, &ServerKey::random(&mut rng)).unwrap();
    let hint = Hint::from_bytes(&public, model.hint(&mut rng, |_| ())).unwrap();
    let (client_end, server_end) = memory_pair();
    let (opened, costs) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = ChaCha20Rng::seed_from_u64(201);
            let lane =
                Lane::<Server>::connect(b"test", DIGITS, Reveal::Label, LaneTerms::SHORT_LINK, Box::new(server_end), &mut rng).unwrap();
            lane.run(&model, &mut rng, &mut |_| ()).unwrap();
        });
        let lane = Lane::<Client>::connect(b"test", DIGITS, Reveal::Label, LaneTerms::SHORT_LINK, Box::new(client_end), &mut rng).unwrap();
        let finished = lane.run(&public, &hint, input, &mut rng, &mut |_| ()).unwrap();
        (finished.opened, finished.costs)
    });
    let Opened::Labels(labels) = opened else { panic!("labels were asked for") };
    assert_eq!(labels.len(), DIGITS);

    let float_labels: Vec<usize> = images.iter().map(|i| float::argmax(&float::evaluate(&quantised.graph, i).unwrap())).collect();
    let equal = labels.iter().zip(&float_labels).filter(|(a, b)| **a as usize == **b).count();
    assert!(equal * 100 >= DIGITS * 99, "{equal} of {DIGITS} labels are the float model's");
    let right = labels.iter().zip(digits).filter(|(a, d)| d.label == Some(**a)).count();
    assert!(right * 100 >= DIGITS * 96, "{right} of {DIGITS} labels are true: the model's accuracy is 98.9%");

    // Rounding is random in the protocol. A digit whose twin gives the same label however it rounds
    // has no tie.
    let twin = Twin::new(program, &quantised.weights).unwrap();
    let mut firm = 0;
    for (image, &label) in encoded.iter().zip(&labels) {
        let mut draws = vec![
            twin.run(image.clone(), &mut TruncationCarry::Zero).unwrap(),
            twin.run(image.clone(), &mut TruncationCarry::Nearest).unwrap(),
        ];
        draws.extend((0..4).map(|_| twin.run(image.clone(), &mut TruncationCarry::Random(&mut rng)).unwrap()));
        assert_eq!(draws[1].total_overflows(), 0);
        if draws.iter().all(|d| d.label == draws[0].label) {
            firm += 1;
            assert_eq!(draws[0].label, label as usize, "logits of the twin: {:?}", draws[1].logits);
        }
    }
    assert!(firm * 100 >= DIGITS * 98, "only {firm} of {DIGITS} digits are clear of ties");

    // The silent extension makes OTs in large rounds, most of which a network this small does not
    // use: they are left out of the comparison.
    let measured = |phases: &[Phase]| -> u64 { costs.iter().flat_map(|c| phases.iter().map(|&p| c.ledger.get(p).traffic.total())).sum() };
    let predicted = cost::predict(program, DIGITS, LaneTerms::SHORT_LINK).unwrap().by_phase();
    for (what, measured, predicted) in [
        ("linear", measured(&[Phase::Linear]), predicted.linear),
        ("requantise", measured(&[Phase::Activation, Phase::Pooling]), predicted.requantise),
        ("argmax", measured(&[Phase::Argmax]), predicted.argmax),
    ] {
        let ratio = measured as f64 / predicted as f64;
        assert!((ratio - 1.0).abs() <= 0.02, "{what}: {measured} bytes measured, {predicted} predicted");
    }
}
