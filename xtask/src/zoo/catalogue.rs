//! The networks of the zoo, who exports them, and how they want their photos.

use fusion_model::preprocess::{Channels, Filter, Preprocess, Resize};

/// Networks of torchvision, each exported by both exporters of PyTorch.
const TORCHVISION: [&str; 15] = [
    "alexnet",
    "vgg11",
    "vgg11_bn",
    "resnet18",
    "resnet50",
    "squeezenet1_1",
    "densenet121",
    "googlenet",
    "inception_v3",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mnasnet1_0",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "regnet_y_400mf",
];

/// Networks of Keras, with the photos that each wants.
const KERAS: [(&str, Recipe); 5] = [
    ("mobilenet", Recipe::Tf),
    ("mobilenet_v2", Recipe::Tf),
    ("resnet50_v2", Recipe::Tf),
    ("vgg16", Recipe::Caffe),
    ("lenet", Recipe::Gray),
];

/// Who wrote the ONNX file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exporter {
    /// `torch.onnx.export` with its defaults: weights in a file beside it.
    Dynamo,
    /// The TorchScript exporter of PyTorch, with a batch axis of any length.
    TorchScript,
    /// tf2onnx, from Keras: images in NHWC.
    Keras,
    /// Nobody here: the file is given, with trained weights.
    Given,
}

impl Exporter {
    /// At the end of names of folders.
    fn suffix(self) -> &'static str {
        match self {
            Self::Dynamo => "-dynamo",
            Self::TorchScript => "-torchscript",
            Self::Keras => "-keras",
            Self::Given => "",
        }
    }

    /// In the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Dynamo => "PyTorch, default",
            Self::TorchScript => "PyTorch, TorchScript, dynamic batch",
            Self::Keras => "Keras, tf2onnx, NHWC",
            Self::Given => "real weights",
        }
    }
}

/// From a photo to what a network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    /// `imagenet-torch`.
    Torch,
    /// `imagenet-torch` for 299 pixels.
    Torch299,
    /// `imagenet-tf`.
    Tf,
    /// `imagenet-caffe`.
    Caffe,
    /// The whole height or width of the photo on 28 pixels, grey, in 0..1.
    Gray,
    /// That of EfficientNet-Lite0.
    Lite0,
}

impl Recipe {
    /// In names of files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Torch => "torch-224",
            Self::Torch299 => "torch-299",
            Self::Tf => "tf-224",
            Self::Caffe => "caffe-224",
            Self::Gray => "gray-28",
            Self::Lite0 => "lite0-224",
        }
    }

    /// The recipe itself.
    pub(super) fn preprocess(self) -> Preprocess {
        match self {
            Self::Torch => Preprocess::imagenet_torch(),
            Self::Torch299 => Preprocess::imagenet_torch().for_side(299),
            Self::Tf => Preprocess::imagenet_tf(),
            Self::Caffe => Preprocess::imagenet_caffe(),
            Self::Gray => Preprocess { resize: Resize::ShortSide(28), channels: Channels::Gray, ..Preprocess::mnist() },
            Self::Lite0 => {
                let (mean, scale) = (vec![127.0; 3], vec![1.0 / 128.0; 3]);
                Preprocess { mean, scale, filter: Filter::Bicubic, ..Preprocess::imagenet_torch() }
            }
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// As its library calls it.
    pub(super) network: &'static str,
    /// Who writes the file.
    pub(super) exporter: Exporter,
    /// What it reads.
    pub(super) recipe: Recipe,
}

impl Entry {
    /// Name of its folder: the network and who exported it.
    pub(super) fn folder(&self) -> String {
        format!("{}{}", self.network, self.exporter.suffix())
    }
}

/// Every row, in the order of the table.
pub(super) fn all() -> Vec<Entry> {
    let mut entries = Vec::new();
    for network in TORCHVISION {
        let recipe = if network == "inception_v3" { Recipe::Torch299 } else { Recipe::Torch };
        entries.extend([Exporter::Dynamo, Exporter::TorchScript].map(|exporter| Entry { network, exporter, recipe }));
    }
    entries.extend(KERAS.map(|(network, recipe)| Entry { network, exporter: Exporter::Keras, recipe }));
    entries.push(Entry { network: "efficientnet_lite0", exporter: Exporter::Given, recipe: Recipe::Lite0 });
    entries
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rows_have_folders_of_their_own_and_recipes_are_valid() {
        let entries = all();
        assert_eq!(entries.len(), 36);
        assert_eq!(entries.iter().map(Entry::folder).collect::<HashSet<_>>().len(), entries.len());
        for entry in entries {
            entry.recipe.preprocess().validate().unwrap();
        }
    }
}
