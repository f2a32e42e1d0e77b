//! The networks of the literature's tables.

use anyhow::Result;
use fusion::QuantiseSettings;
use fusion::model::preprocess::Preprocess;
use fusion_cli::assets;

use super::layers::{Layer, onnx_of};

/// Names the random weights.
const SEED: u64 = 2026;

/// Where a network's weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The digit classifier that comes with the program.
    Trained,
    /// Random weights, which cost what trained ones do.
    Random { image: [usize; 3], layers: &'static [Layer] },
}

/// Images of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    /// Held-out digits of MNIST.
    Digits,
    /// Made-up pictures of 32 x 32 pixels.
    Pictures,
}

/// A network to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    /// Its place in the tables.
    pub(crate) letter: char,
    /// Its name in `benches/peers.json`.
    pub(crate) name: &'static str,
    /// What it is, and what of it is our choice.
    pub(crate) about: &'static str,
    pub(crate) images: Images,
    source: Source,
    /// The accuracy that the mix of a verified query assumes, and where it comes from.
    pub(crate) accuracy: (f64, &'static str),
    /// Most samples of a run.
    pub(crate) most_samples: u32,
}

impl Network {
    /// Its ONNX file.
    ///
    /// # Errors
    /// Layers that do not fit together.
    pub(crate) fn file(&self) -> Result<Vec<u8>> {
        match self.source {
            Source::Trained => Ok(assets::MNIST_MODEL.to_vec()),
            Source::Random { image, layers } => onnx_of(self.name, image, layers, SEED),
        }
    }

    /// What a row says of its weights.
    pub(crate) fn weights(&self) -> String {
        match self.source {
            Source::Trained => "trained (the demo's network)".to_owned(),
            Source::Random { .. } => format!("random weights, seed {SEED}"),
        }
    }

    /// How it is quantised: as the demo does for digits, else by the defaults.
    pub(crate) fn quantise(&self) -> QuantiseSettings {
        match self.images {
            Images::Digits => assets::mnist_quantise(),
            Images::Pictures => QuantiseSettings::new(Preprocess::cifar10()),
        }
    }
}

const fn conv(kernel: usize, pad: usize, outputs: usize) -> Layer {
    Layer::Conv { kernel, pad, outputs }
}

/// Enough for all samples of 512 queries.
const WHOLE_BATCHES: u32 = 3000;

const DIGIT: [usize; 3] = [1, 28, 28];

/// SecureML's dense network with one more hidden layer.
const DENSE: &[Layer] = &[Layer::Dense(128), Layer::Dense(128), Layer::Dense(128), Layer::Dense(10)];

/// MiniONN, figure 13.
const CIFAR: &[Layer] = &[
    conv(3, 1, 64),
    conv(3, 1, 64),
    Layer::AveragePool,
    conv(3, 1, 64),
    conv(3, 1, 64),
    Layer::AveragePool,
    conv(3, 1, 64),
    conv(1, 0, 64),
    conv(1, 0, 16),
    Layer::Dense(10),
];

/// MiniONN's network for MNIST, with averages where it has maxima.
const SMALL: &[Layer] = &[conv(5, 0, 16), Layer::AveragePool, conv(5, 0, 16), Layer::AveragePool, Layer::Dense(100), Layer::Dense(10)];

/// All networks.
pub(crate) const NETWORKS: [Network; 4] = [
    Network {
        letter: 'a',
        name: "mnist-conv-4",
        about: "four-layer network for MNIST, two convolutions and two dense layers: the one of `fusion demo`",
        images: Images::Digits,
        source: Source::Trained,
        accuracy: (assets::MNIST_ACCURACY, "measured on held-out digits"),
        most_samples: WHOLE_BATCHES,
    },
    Network {
        letter: 'b',
        name: "mnist-dense-4",
        about: "four dense layers for MNIST: SecureML's 784-128-128-10 with one more hidden layer of 128 (our choice)",
        images: Images::Digits,
        source: Source::Random { image: DIGIT, layers: DENSE },
        accuracy: (0.976, "assumed: what MiniONN reports of its dense network"),
        most_samples: WHOLE_BATCHES,
    },
    Network {
        letter: 'c',
        name: "cifar-conv-7",
        about: "seven-layer network for CIFAR-10 of 173 K ReLUs: MiniONN's figure 13, seven convolutions and a dense layer at the end",
        images: Images::Pictures,
        source: Source::Random { image: [3, 32, 32], layers: CIFAR },
        accuracy: (0.816, "assumed: what MiniONN reports of this network"),
        // Those of sixteen queries at lambda = 40: half a minute.
        most_samples: 168,
    },
    Network {
        letter: 'd',
        name: "mnist-conv-2",
        about: "two-layer network for MNIST as Muse counts layers: MiniONN's two convolutions of 16 channels, averages for maxima, and two \
                dense layers; that Conan ran this one is our reading, since its paper was not at hand",
        images: Images::Digits,
        source: Source::Random { image: DIGIT, layers: SMALL },
        accuracy: (0.99, "assumed: MiniONN reports 99.3% with maxima"),
        most_samples: WHOLE_BATCHES,
    },
];

#[cfg(test)]
mod tests {
    use super::super::layers::Contents;
    use super::*;

    fn contents(letter: char) -> Contents {
        let network = NETWORKS.iter().find(|network| network.letter == letter).unwrap();
        Contents::of(&network.file().unwrap()).unwrap()
    }

    #[test]
    fn networks_have_the_layers_and_relus_of_the_literature() {
        let a = contents('a');
        assert_eq!((a.convolutions, a.dense, a.maximum_pools, a.relus), (2, 2, 2, 8 * 24 * 24 + 16 * 8 * 8 + 64));
        let b = contents('b');
        assert_eq!((b.convolutions, b.dense, b.relus), (0, 4, 3 * 128));
        assert_eq!(b.layers, ["dense 784 -> 128", "dense 128 -> 128", "dense 128 -> 128", "dense 128 -> 10"]);
        let c = contents('c');
        assert_eq!((c.convolutions, c.dense, c.average_pools, c.relus), (7, 1, 2, 173_056));
        assert!((172_500..173_500).contains(&c.relus), "173 K");
        let d = contents('d');
        assert_eq!((d.convolutions, d.dense, d.average_pools, d.relus), (2, 2, 2, 16 * 24 * 24 + 16 * 8 * 8 + 100));
    }

    #[test]
    fn random_weights_are_said_to_be_random_and_give_varied_logits() {
        for network in NETWORKS.iter().filter(|network| network.source != Source::Trained) {
            assert!(network.weights().contains("random"));
            let graph = fusion_model::onnx::import(&network.file().unwrap()).unwrap();
            let image: Vec<f32> = (0..graph.input_shape().len()).map(|i| (i * 7919 % 255) as f32 / 255.0).collect();
            let logits = fusion_model::float::evaluate(&graph, &image).unwrap();
            let largest = logits.iter().fold(0.0f32, |m, l| m.max(l.abs()));
            assert!(logits.len() == 10 && (0.05..100.0).contains(&largest), "{}: {logits:?}", network.name);
        }
    }
}
