//! A whole private query, server and client in one process: digits that the server never sees,
//! checked against public digits whose labels are known.
use fusion::mix::pool::KnownFrom;
use fusion::{Client, ClientSettings, Inputs, Journal, MixSettings, PackageSettings, PublicPool, QuantiseSettings};
use fusion::{Server, ServerSettings, SystemClock, images, model::preprocess::Preprocess, prepare, quantise_file, silent};
use rand::{SeedableRng, rngs::SysRng};
use rand_chacha::ChaCha20Rng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mnist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist");
    let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng)?;
    let scratch = tempfile::tempdir()?;
    let digits = images::sheet(&std::fs::read(mnist.join("pool.png"))?, &std::fs::read_to_string(mnist.join("pool.csv"))?, 28, "pool")?;

    // The server: an ONNX file becomes a package, and is served.
    let quantise = QuantiseSettings { margin: 1.5, ..QuantiseSettings::new(Preprocess::mnist()) };
    let quantised = quantise_file(&mnist.join("mnist.onnx"), &quantise, &digits)?;
    let package = scratch.path().join("mnist.fusion");
    prepare(&package, quantised, PackageSettings::default(), &SystemClock::new(), &mut rng, &mut silent)?;
    let server = Server::serve(&package, ServerSettings::new(([127, 0, 0, 1], 0).into()), ChaCha20Rng::from_rng(&mut rng))?;

    // The client: two digits, hidden among public ones.
    let client = Client::connect(ClientSettings::new(server.local_addr().to_string(), scratch.path()))?;
    let inputs = Inputs::from(images::folder(&mnist.join("queries"))?[..2].to_vec());
    let mix = MixSettings { claimed_accuracy: Some(0.98), ..MixSettings::at_lambda(20.0, None) };
    let publics = PublicPool::labelled(digits, KnownFrom::GroundTruth)?;
    let plan = client.plan(&mix, inputs.samples.len(), &publics)?;
    let outcome = client.query(&inputs, &publics, &plan, Journal::at(scratch.path().join("run")), &mut rng, &mut silent)?;
    println!("{:?} {:?}", outcome.report.verdict, outcome.report.answers);
    Ok(())
}
