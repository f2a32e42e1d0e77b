//! A server of digits in this process, and what its clients need.

use std::path::{Path, PathBuf};

use fusion::images::{self, Sample};
use fusion::mix::pool::KnownFrom;
use fusion::model::preprocess::Preprocess;
use fusion::net::Limits;
use fusion::{
    ClientSettings, Event, GivenMix, MixSettings, PackageSettings, PublicPool, QuantiseSettings, Server, ServerSettings, SystemClock,
    Widths, prepare, quantise_file,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tempfile::TempDir;

pub(crate) fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist").join(name)
}

pub(crate) fn pool() -> Vec<Sample> {
    let text = std::fs::read_to_string(asset("pool.csv")).unwrap();
    images::sheet(&std::fs::read(asset("pool.png")).unwrap(), &text, 28, "pool").unwrap()
}

/// A served digit classifier, and a home for its client.
pub(crate) struct Served {
    pub(crate) scratch: TempDir,
    pub(crate) server: Server,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    /// A server with these limits.
    pub(crate) fn with(limits: Limits) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let settings = QuantiseSettings {
            widths: Widths::Uniform { window: 13, weight_bits: 10, left_out: 1 },
            margin: 1.5,
            ..QuantiseSettings::new(Preprocess::mnist())
        };
        let quantised = quantise_file(&asset("mnist.onnx"), &settings, &pool()[..16]).unwrap();
        let package = scratch.path().join("package");
        let mut made = 0;
        let mut events = |event: Event<'_>| {
            if let Event::Package { done, total } = event {
                assert!(done > made && done <= total);
                made = done;
            }
        };
        prepare(&package, quantised, PackageSettings::default(), &SystemClock::new(), &mut rng, &mut events).unwrap();
        assert!(made > 0, "progress is told");
        let settings = ServerSettings { limits, ..ServerSettings::new(([127, 0, 0, 1], 0).into()) };
        let server = Server::serve(&package, settings, ChaCha20Rng::from_rng(&mut rng)).unwrap();
        Self { scratch, server }
    }

    pub(crate) fn settings(&self) -> ClientSettings {
        let mut settings = ClientSettings::new(self.server.local_addr().to_string(), self.scratch.path().join("home"));
        settings.lanes = Some(2);
        // Small batches are quick, and prove little.
        settings.allow_unsound = true;
        settings
    }
}

/// Samples with true labels.
pub(crate) fn known(samples: Vec<Sample>) -> PublicPool {
    PublicPool::labelled(samples, KnownFrom::GroundTruth).unwrap()
}

/// Two queries in two copies among four public samples.
pub(crate) fn small_mix() -> MixSettings {
    MixSettings { given: Some(GivenMix { copies: 2, publics: 4, tau: 2, max_inconclusive: 1 }), ..MixSettings::at_lambda(2.0, None) }
}
