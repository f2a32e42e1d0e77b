//! An independent float engine, the imported graph, the simplified graph and the twin agree on what
//! a network computes.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use fusion_model::plan::{PlanError, PlanOptions, plan};
use fusion_model::preprocess::Preprocess;
use fusion_model::program::Op;
use fusion_model::testing::random_network;
use fusion_model::twin::{TruncationCarry, Twin};
use fusion_model::{calibrate, eval, float, noise, onnx, passes};

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (x, y)| m.max((x - y).abs()))
}

fn size(logits: &[f32]) -> f32 {
    logits.iter().fold(0.5, |m, x| m.max(x.abs()))
}

/// Logits by `rten`, which shares no code with this crate.
fn independent(model: &rten::Model, shape: [usize; 3], image: &[f32]) -> Vec<f32> {
    let input = rten::ValueView::from_shape([1, shape[0], shape[1], shape[2]], image).unwrap();
    let output = model.run_one(input.into(), None).unwrap();
    output.into_shape_vec::<f32, 2>().unwrap().1
}

fn agrees_with_an_independent_engine(file: &[u8], images: &[Vec<f32>], what: &str) {
    let model = rten::Model::load(file.to_vec()).unwrap();
    let graph = onnx::import(file).unwrap();
    let shape = graph.input_shape();
    for image in images {
        let expected = independent(&model, [shape.channels, shape.height, shape.width], image);
        let actual = float::evaluate(&graph, image).unwrap();
        assert!(largest_difference(&expected, &actual) < 1e-4 * size(&expected), "{what}: {expected:?} {actual:?}");
    }
}

#[test]
fn random_networks_agree_with_an_independent_engine() {
    let mut compared = 0;
    for seed in 0..360 {
        let (file, images) = random_network(seed, 1 + seed as usize % 5);
        // rten 0.27 pads SAME_LOWER like SAME_UPPER: nothing to compare there.
        if !file.windows(10).any(|bytes| bytes == b"SAME_LOWER") {
            agrees_with_an_independent_engine(&file, &images[..1], &format!("seed {seed}"));
            compared += 1;
        }
    }
    assert!(compared >= 200, "only {compared} networks were compared");
}

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist").join(name)
}

fn noise_images(seed: u64, count: usize, len: usize) -> Vec<Vec<f32>> {
    use rand_core::Rng;
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..len).map(|_| rng.next_u32() as f32 / u32::MAX as f32).collect()).collect()
}

#[test]
fn the_mnist_networks_agree_with_an_independent_engine() {
    for name in ["mnist.onnx", "mnist-low.onnx"] {
        let file = std::fs::read(asset(name)).unwrap();
        agrees_with_an_independent_engine(&file, &noise_images(1, 4, 28 * 28), name);
    }
}

/// Models beside the repository, which a clone elsewhere does not have.
fn shared_model(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models").join(name);
    let file = std::fs::read(&path).ok();
    if file.is_none() {
        eprintln!("skipped: there is no {}", path.display());
    }
    file
}

#[test]
fn published_networks_agree_with_an_independent_engine() {
    for (name, images) in [("cifar10-resnet20.onnx", 4), ("resnet50.onnx", 1)] {
        let Some(file) = shared_model(name) else { continue };
        let recipe = if images == 4 { Preprocess::preset("cifar10") } else { Preprocess::preset("imagenet-caffe") };
        let recipe = recipe.unwrap();
        let pixels = noise_images(2, images, recipe.len());
        let tensors: Vec<Vec<f32>> =
            pixels.iter().map(|p| recipe.tensor(&p.iter().map(|x| (x * 255.0) as u8).collect::<Vec<u8>>()).unwrap()).collect();
        agrees_with_an_independent_engine(&file, &tensors, name);
    }
}

#[test]
fn passes_keep_the_function() {
    for seed in 0..300 {
        let (file, images) = random_network(seed, 1 + seed as usize % 5);
        let raw = onnx::import_raw(&file, &onnx::ImportOptions::default()).unwrap();
        let simple = passes::simplify(&raw).unwrap();
        for image in &images {
            let (a, b) = (float::evaluate(&raw, image).unwrap(), float::evaluate(&simple, image).unwrap());
            assert!(largest_difference(&a, &b) < 1e-4 * size(&a), "seed {seed}: {a:?} {b:?}");
        }
    }
}

#[test]
fn the_twin_is_near_the_float_network() {
    let options = PlanOptions { window_bits: 14, weight_bits: 12, margin: 1.5, ..PlanOptions::default() };
    for seed in 0..300 {
        let (file, images) = random_network(seed, 1 + seed as usize % 5);
        let graph = onnx::import(&file).unwrap();
        let ranges = calibrate::calibrate(&graph, &images).unwrap();
        let (program, weights) = plan(&graph, &ranges, &options).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let twin = Twin::new(&program, &weights).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        for image in &images {
            let expected = float::evaluate(&graph, image).unwrap();
            let run = twin.run(program.encode(image).unwrap(), &mut TruncationCarry::Random(&mut rng)).unwrap();
            let actual = program.decode_logits(&run.logits);
            let bound = 0.02 * size(&expected);
            assert_eq!(run.total_overflows(), 0, "seed {seed}");
            assert!(largest_difference(&expected, &actual) < bound, "seed {seed}: {expected:?} {actual:?}");
            let margin = expected[float::argmax(&expected)] - expected[run.label];
            assert!(margin < bound, "seed {seed}: label {} of {expected:?}", run.label);
        }
    }
}

#[test]
fn every_plan_is_valid_and_within_its_rings() {
    let wide = PlanOptions { window_bits: 14, weight_bits: 16, ..PlanOptions::default() };
    let narrow = PlanOptions { window_bits: 11, weight_bits: 8, ..PlanOptions::default() };
    for seed in 0..300 {
        let (file, images) = random_network(seed, 1 + seed as usize % 6);
        let graph = onnx::import(&file).unwrap();
        let ranges = calibrate::calibrate(&graph, &images).unwrap();
        for options in [PlanOptions::default(), narrow, wide] {
            let (program, weights) = plan(&graph, &ranges, &options).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            weights.validate(&program).unwrap();
            assert!(noise::window_noise(&program).iter().all(|reader| reader.used <= 1.0), "seed {seed}");
        }
    }
}

#[test]
fn noise_that_fits_no_window_is_refused_with_the_layer_and_its_terms() {
    // The smallest networks can be planned even with the finest windows.
    let refused = |seed: u64| {
        let (file, images) = random_network(seed, 4);
        let graph = onnx::import(&file).unwrap();
        let ranges = calibrate::calibrate(&graph, &images).unwrap();
        let error = plan(&graph, &ranges, &PlanOptions { window_bits: 24, ..PlanOptions::default() }).err()?;
        matches!(error, PlanError::Noise { .. }).then_some((graph, error))
    };
    let (graph, error) = (0..100).find_map(refused).unwrap();
    let PlanError::Noise { layer, reader, terms } = &error else { panic!("{error}") };
    assert!(graph.nodes.iter().any(|n| n.name == *layer) && *reader != *layer, "{error}");
    assert!(terms.0.len() == 3 && terms.0.iter().all(|t| t.layer == *layer) && terms.0[0].permille >= terms.0[1].permille);
    let message = error.to_string();
    assert!(message.contains(layer) && message.contains("masks") && message.contains("window"), "{message}");
}

/// What ResNet50 needs at the default settings, by layer.
#[test]
fn resnet50_has_a_plan() {
    let Some(file) = shared_model("resnet50.onnx") else { return };
    let graph = onnx::import(&file).unwrap();
    let recipe = Preprocess::preset("imagenet-caffe").unwrap();
    let pixels: Vec<u8> = noise_images(2, 1, recipe.len())[0].iter().map(|x| (x * 255.0) as u8).collect();
    let ranges = calibrate::calibrate(&graph, &[recipe.tensor(&pixels).unwrap()]).unwrap();
    for window_bits in [11, 13] {
        let (program, weights) = plan(&graph, &ranges, &PlanOptions { window_bits, ..PlanOptions::default() }).unwrap();
        weights.validate(&program).unwrap();
        for step in &program.steps {
            let Op::Linear { weight_bits, row_norm, upload_bits, hint_bits, .. } = &step.op else { continue };
            let (ring, norm) = (program.tensors[step.output.0].ring.0, f64::from(*row_norm).log2());
            println!(
                "h {window_bits} {}: ring {ring}, weights {weight_bits}, norm 2^{norm:.1}, upload {upload_bits}, hint {hint_bits}",
                step.name
            );
            assert!(*upload_bits <= 30 && *hint_bits <= 24, "{}: upload {upload_bits}, hint {hint_bits}", step.name);
        }
        println!("logits: {:?}", program.logits_window);
    }
}

/// Copies draw their carries independently: two classes that are nearly equal win in turn. With the
/// same carries nothing differs.
#[test]
fn copies_of_a_near_tie_differ() {
    let (mut differing, mut all) = (0, 0);
    for seed in 0..60 {
        let (file, images) = random_network(seed, 8);
        let graph = onnx::import(&file).unwrap();
        let ranges = calibrate::calibrate(&graph, &images).unwrap();
        let (program, weights) = plan(&graph, &ranges, &PlanOptions { window_bits: 6, weight_bits: 4, ..PlanOptions::default() }).unwrap();
        let report = eval::evaluate(&graph, &program, &weights, &images, None, [1; 32], &|_| ()).unwrap();
        let flips = |seed| eval::LabelFlips::measure(&program, &weights, &images, &report.twin_labels, seed).unwrap();
        assert_eq!(flips([1; 32]).differing, 0);
        for seed in 2..22 {
            let flips = flips([seed; 32]);
            assert_eq!(flips.rate(), flips.differing as f64 / 2.0 / flips.images as f64);
            (differing, all) = (differing + flips.differing, all + flips.images);
        }
    }
    assert!((all / 2000..all / 20).contains(&differing), "{differing} of {all}");
}

#[test]
fn values_beyond_the_calibrated_range_are_reported_by_layer() {
    let (file, images) = random_network(4, 4);
    let graph = onnx::import(&file).unwrap();
    let small: Vec<Vec<f32>> = images.iter().map(|i| i.iter().map(|x| x * 0.05).collect()).collect();
    let ranges = calibrate::calibrate(&graph, &small).unwrap();
    let (program, weights) = plan(&graph, &ranges, &PlanOptions::default()).unwrap();
    let of = |images: &[Vec<f32>]| eval::evaluate(&graph, &program, &weights, images, None, [1; 32], &|_| ()).unwrap();
    assert_eq!(of(&small).overflows, []);
    let report = of(&images);
    assert!(!report.overflows.is_empty());
    let names: Vec<&str> = program.steps.iter().map(|s| s.name.as_str()).chain(["logits"]).collect();
    for overflow in &report.overflows {
        assert!(names.contains(&overflow.layer.as_str()) && overflow.values > 0 && overflow.images > 0, "{overflow:?}");
    }
}

#[test]
fn the_mnist_plan_keeps_the_labels() {
    let file = std::fs::read(asset("mnist.onnx")).unwrap();
    let graph = onnx::import(&file).unwrap();
    let images = noise_images(3, 40, 28 * 28);
    let ranges = calibrate::calibrate(&graph, &images[..16]).unwrap();
    let (program, weights) = plan(&graph, &ranges, &PlanOptions::default()).unwrap();
    let float_labels: Vec<usize> = images.iter().map(|i| float::argmax(&float::evaluate(&graph, i).unwrap())).collect();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let progress = |n: usize| {
        done.fetch_max(n, std::sync::atomic::Ordering::Relaxed);
    };
    let report = eval::evaluate(&graph, &program, &weights, &images, Some(&float_labels), [2; 32], &progress).unwrap();
    assert_eq!(done.into_inner(), 40);
    assert_eq!(report.top1_float, Some(1.0));
    assert_eq!(report.top1_twin, Some(report.label_agreement));
    // On noise the logits are close together; what may differ is close to a tie.
    assert!(report.disagreements.iter().all(|d| d.float_margin < 2.0 * report.max_logit_error), "{report:?}");
    assert!(report.max_logit_error < 0.1, "{report:?}");
    assert!(matches!(
        eval::evaluate(&graph, &program, &weights, &images, Some(&[1]), [2; 32], &|_| ()),
        Err(eval::EvalError::Labels { images: 40, labels: 1 })
    ));
}
