//! The bytes of every linear layer of ResNet50 against the formula, written down here from the
//! shapes alone: as many bits per needed input coefficient as the plan says, nothing per output.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fusion_rlwe::{ConvGeometry, Layer, Padding, Precision, PublicSeed, Shape};

const SAMPLES: usize = 8;

fn conv(channels: usize, size: usize, outputs: usize, kernel: usize, stride: usize) -> ConvGeometry {
    let pad = kernel / 2;
    ConvGeometry {
        input: Shape::new(channels, size, size),
        kernel: (kernel, kernel),
        stride: (stride, stride),
        padding: Padding { top: pad, left: pad, bottom: pad, right: pad },
        ..ConvGeometry::dense(channels, outputs)
    }
}

/// The layers of ResNet50 v1 (stride in the first 1x1 convolution of a stage), a projection
/// shortcut in one layer with the convolution that it is added to.
fn layers() -> Vec<Vec<ConvGeometry>> {
    let mut layers = vec![vec![conv(3, 224, 64, 7, 2)]];
    let mut channels = 64;
    for (stage, (blocks, width)) in [(3, 64), (4, 128), (6, 256), (3, 512)].into_iter().enumerate() {
        for block in 0..blocks {
            let size = 56 >> stage;
            let (from, stride) = if block == 0 && stage > 0 { (2 * size, 2) } else { (size, 1) };
            layers.push(vec![conv(channels, from, width, 1, stride)]);
            layers.push(vec![conv(width, size, width, 3, 1)]);
            let mut last = vec![conv(width, size, 4 * width, 1, 1)];
            if block == 0 {
                last.push(conv(channels, from, 4 * width, 1, stride));
            }
            layers.push(last);
            channels = 4 * width;
        }
    }
    layers.push(vec![ConvGeometry::dense(2048, 1000)]);
    layers
}

/// Coefficients of one channel that valid outputs read: the positions of all stride phases with the
/// padding that neighbouring lines and samples share, and what consecutive blocks of 2048 have in
/// common.
fn needed(conv: &ConvGeometry) -> usize {
    let outputs = conv.output().unwrap();
    let (stride, kernel) = (conv.stride.0, conv.kernel.0);
    // Taps of one stride phase reach over `shift` further positions, half of which (rounded up) is
    // padding that lines share.
    let shift = (kernel - 1) / stride;
    let (line, lines) = (outputs.width + shift.div_ceil(2), outputs.height + shift.div_ceil(2));
    let phases = stride.min(kernel);
    let reach = shift * line + shift;
    // From the first output to the last: behind that no padding is needed.
    let stream = SAMPLES * lines * line - (lines - outputs.height) * line - (line - outputs.width);
    let blocks = stream.div_ceil(2048 - reach);
    (0..phases * phases)
        .map(|phase| {
            let taps = |first: usize| (kernel - first).div_ceil(stride) - 1;
            stream + blocks * (taps(phase / phases) * line + taps(phase % phases))
        })
        .sum()
}

#[test]
fn every_layer_of_resnet50_sends_what_the_formula_says() {
    let precision = Precision::new(25, 24, 19).unwrap();
    let layers = layers();
    assert_eq!(layers.len(), 50);
    let mut all_keys = 0;
    for (index, terms) in layers.iter().enumerate() {
        let layer = Layer::new(PublicSeed([1; 32]), index as u32, terms, precision, 4096).unwrap();
        let inputs = terms.iter().map(|t| t.input.channels * needed(t)).sum::<usize>();
        let formula = 3 * inputs;
        let keys = layer.layout().blocks(SAMPLES) * layer.key_bytes();
        all_keys += keys;
        let up = (layer.bytes_up(SAMPLES) - keys as u64) as f64;
        assert!((up / formula as f64 - 1.0).abs() < 0.01, "layer {index}: {up} bytes to the server, {formula} by the formula");
        assert_eq!(layer.hint_bytes(), layer.outputs() * 2048 * 19 / 8);
    }
    assert_eq!(all_keys / SAMPLES, 172_704, "bytes a sample of the keys");
}
