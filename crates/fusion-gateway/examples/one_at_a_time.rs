//! A gateway and its server in one process: a digit comes in over HTTP, gets a provisional label,
//! and a verified one with its batch. Every label that is shown says which it is.
use std::{sync::Arc, thread::sleep, time::Duration};

use fusion::mix::pool::KnownFrom;
use fusion::{ClientSettings, MixSettings, PackageSettings, PublicPool, QuantiseSettings};
use fusion::{Server, ServerSettings, SystemClock, images, model::preprocess::Preprocess, prepare, quantise_file, silent};
use fusion_gateway::{Gateway, GatewaySettings, PoolOf};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mnist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist");
    let digits = images::sheet(&std::fs::read(mnist.join("pool.png"))?, &std::fs::read_to_string(mnist.join("pool.csv"))?, 28, "pool")?;
    let scratch = tempfile::tempdir()?;

    // Somebody serves a model.
    let mut rng = ChaCha20Rng::try_from_rng(&mut rand::rngs::SysRng)?;
    let quantise = QuantiseSettings { margin: 1.5, ..QuantiseSettings::new(Preprocess::mnist()) };
    let quantised = quantise_file(&mnist.join("mnist.onnx"), &quantise, &digits)?;
    let package = scratch.path().join("mnist.fusion");
    prepare(&package, quantised, PackageSettings::default(), &SystemClock::new(), &mut rng, &mut silent)?;
    let server = Server::serve(&package, ServerSettings::new(([127, 0, 0, 1], 0).into()), ChaCha20Rng::from_rng(&mut rng))?;

    // We put a gateway before it. A batch of one is dear; this one is hardly tested.
    let pool: PoolOf = Arc::new(move |_| PublicPool::labelled(digits.clone(), KnownFrom::GroundTruth).map_err(|e| e.to_string()));
    let mix = MixSettings { claimed_accuracy: Some(0.98), ..MixSettings::at_lambda(6.6, None) };
    let client = ClientSettings::new(server.local_addr().to_string(), scratch.path());
    let settings = GatewaySettings { listen: ([127, 0, 0, 1], 0).into(), batch: 1, ..GatewaySettings::new(client, mix, pool) };
    let gateway = Gateway::start(settings)?;

    let images = format!("http://{}/v1/images", gateway.address());
    let digit = std::fs::read(mnist.join("queries/digit-07.png"))?;
    // Until the gateway has met the server it does not know which images fit.
    while ureq::post(&images).header("content-type", "image/png").send(&digit[..]).is_err() {
        sleep(Duration::from_millis(200));
    }
    loop {
        let all: serde_json::Value = ureq::get(&images).call()?.body_mut().read_json()?;
        let image = &all["images"][0];
        println!("{}: provisional {}, verified {}", image["state"], image["provisional"]["label"], image["verified"]["label"]);
        if image["state"] != "waiting" && image["state"] != "running" {
            return Ok(());
        }
        sleep(Duration::from_millis(500));
    }
}
