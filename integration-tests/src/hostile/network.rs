//! A network so small that a lane takes milliseconds, and that has every kind of step with
//! messages: its class is the quarter of the image with the brightest pixel.

use fusion_model::program::{
    Activation, Knot, LinearTerm, LinearWeights, Op, Piecewise, PoolGeometry, Program, RingBits, Step, TensorId, TensorSpec, Weights,
    Window,
};
use fusion_nn::exec::{EncodedImage, Hint, PublicModel, ServerModel};
use fusion_rlwe::{ConvGeometry, Padding, PublicSeed, ServerKey, Shape};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::problem::Problem;

pub(super) const CLASSES: usize = 4;
/// Rows and columns of an image.
pub(super) const SIDE: usize = 4;

/// Names of the first and of the last step.
pub(super) const FIRST: &str = "convolution";
pub(super) const LAST: &str = "logits";
/// Bits of the ring of the logits.
pub(super) const LOGITS_RING: u32 = 20;

/// Labels of the classes under the honest weights.
pub(super) const HONEST: [usize; CLASSES] = [0, 1, 2, 3];

/// Convolution, ReLU with maximum pooling, dense layer, function, product, dense layer.
pub(super) fn program() -> Program {
    let spec = |shape, ring, frac| TensorSpec { shape, ring: RingBits(ring), frac };
    let flat = Shape::flat(CLASSES);
    let image = Shape::new(1, SIDE, SIDE);
    let linear = |input, geometry| Op::Linear {
        terms: vec![LinearTerm { input: TensorId(input), geometry }],
        weight_bits: 10,
        row_norm: 512,
        upload_bits: 28,
        hint_bits: 26,
    };
    let one = ConvGeometry { input: image, ..ConvGeometry::dense(1, 1) };
    let dense = ConvGeometry::dense(CLASSES, CLASSES);
    let window = Window { shift: 9, bits: 13 };
    let pool = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding::default() };
    let relu = Op::Requantise { input: TensorId(1), window, pool: Some(pool), activation: Activation::Relu };
    let knots = vec![Knot { at: 0, change: 1 }, Knot { at: 20, change: -1 }];
    let function = Piecewise { fraction: 0, slope: 0, offset: 0, knots, left_out: 1 };
    let curve = Op::Piecewise { input: TensorId(4), window, function };
    let product = Op::Multiply { input: TensorId(3), factor: TensorId(5), factor_bits: 8 };
    let steps = [
        (FIRST, linear(0, one)),
        ("relu and pooling", relu),
        ("flatten", Op::Flatten { input: TensorId(2) }),
        ("dense", linear(3, dense)),
        ("function", curve),
        ("product", product),
        (LAST, linear(6, dense)),
    ];
    let steps: Vec<Step> =
        (1..).zip(steps).map(|(output, (name, op))| Step { name: name.to_owned(), op, output: TensorId(output) }).collect();
    let tensors = vec![
        spec(image, 22, 4),
        spec(image, 22, 13),
        spec(Shape::new(1, SIDE / 2, SIDE / 2), 22, 4),
        spec(flat, 22, 4),
        spec(flat, 22, 13),
        spec(flat, 20, 4),
        spec(flat, LOGITS_RING, 8),
        spec(flat, LOGITS_RING, 18),
    ];
    Program { tensors, input: TensorId(0), steps, logits: TensorId(7), logits_window: Window { shift: 4, bits: 16 } }
}

/// Weights under which an image of class `c` gets the label `labels[c]`.
pub(super) fn weights(labels: [usize; CLASSES]) -> Weights {
    let layer = |one: &dyn Fn(usize, usize) -> bool| {
        let matrix = (0..CLASSES * CLASSES).map(|i| if one(i / CLASSES, i % CLASSES) { 200 } else { 0 }).collect();
        LinearWeights { terms: vec![matrix], bias: vec![0; CLASSES] }
    };
    let same = layer(&|row, column| row == column);
    let single = LinearWeights { terms: vec![vec![200]], bias: vec![0] };
    Weights { linear: vec![single, same, layer(&|label, class| labels[class] == label)] }
}

/// An image of a class: one pixel of its quarter is bright, all others are noise.
pub(super) fn image(program: &Program, class: usize, rng: &mut ChaCha20Rng) -> Result<EncodedImage, Problem> {
    let half = SIDE / 2;
    let (row, column) = (class / half * half + rng.random_range(0..half), class % half * half + rng.random_range(0..half));
    let pixels: Vec<i64> = (0..SIDE * SIDE)
        .map(|pixel| if pixel == row * SIDE + column { rng.random_range(50..70) } else { rng.random_range(0..10) })
        .collect();
    Ok(EncodedImage::new(program, &pixels)?)
}

/// What both parties of a lane have of a model.
pub(super) struct Model {
    pub(super) public: PublicModel,
    pub(super) hint: Hint,
    pub(super) served: ServerModel,
}

impl Model {
    /// The hint is of `published`, lanes are served with `served`, under the same key.
    pub(super) fn new(published: &Weights, served: &Weights, seed: u64) -> Result<Self, Problem> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let public = PublicModel::new(program(), PublicSeed([3; 32]))?;
        let key = ServerKey::random(&mut rng);
        let hint = ServerModel::new(public.clone(), published, &key)?.hint(&mut rng, |_| ());
        let hint = Hint::from_bytes(&public, hint)?;
        Ok(Self { served: ServerModel::new(public.clone(), served, &key)?, public, hint })
    }

    pub(super) fn program(&self) -> &Program {
        self.public.program()
    }
}
