//! From pixels to the network's input tensor: the public recipe that a model card carries.
//!
//! A model whose images are prepared otherwise than in its training answers worse, and nobody sees
//! why. So the recipe is data, published with the model, and whatever reads an image (calibration,
//! evaluation, the client) applies it. This module defines the recipe and its arithmetic on pixels
//! that have the right size already; decoding and resizing image files is left to the caller.
//!
//! ```
//! use fusion_model::preprocess::Preprocess;
//!
//! let spec = Preprocess::mnist();
//! let pixels = vec![255u8; 28 * 28];
//! let tensor = spec.tensor(&pixels)?;
//! assert_eq!(tensor.len(), 28 * 28);
//! assert_eq!(tensor[0], 1.0);
//! # Ok::<(), fusion_model::preprocess::PreprocessError>(())
//! ```

/// Largest [`Preprocess::crop`] and side of a [`Resize`], in pixels. A card comes from a
/// server that nobody trusts: a larger one is refused before anything is allocated for it.
pub const MAX_SIDE: u32 = 4096;

/// Which planes the network reads, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One plane of luma.
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red (networks trained with Caffe).
    Bgr,
}

impl Channels {
    /// Number of planes.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb | Self::Bgr => 3,
        }
    }
}

/// How an image is scaled before the crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resize {
    /// Not at all.
    Keep,
    /// So that its shorter side has this many pixels, keeping its proportions.
    ShortSide(u32),
    /// To these sides, whatever its proportions are.
    Exact {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
}

impl Resize {
    /// The shorter side of what it makes; `None` if that depends on the image.
    #[must_use]
    pub fn short_side(self) -> Option<u32> {
        match self {
            Self::Keep => None,
            Self::ShortSide(side) => Some(side),
            Self::Exact { width, height } => Some(width.min(height)),
        }
    }
}

/// The kernel of a resize. Both are antialiased: as wide as the reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Filter {
    /// A triangle.
    #[default]
    Bilinear,
    /// Keys's cubic with a = -1/2 (Cubic convolution interpolation for digital image processing,
    /// IEEE TASSP 1981).
    Bicubic,
}

/// The recipe: resize, crop, order of channels, then `(pixel - mean) * scale` per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// How the image is scaled.
    pub resize: Resize,
    /// By which kernel.
    pub filter: Filter,
    /// Side of the square cut from the centre, in pixels.
    pub crop: u32,
    /// Planes of the tensor.
    pub channels: Channels,
    /// Subtracted from each pixel (0..=255), one per plane in the tensor's order.
    pub mean: Vec<f32>,
    /// Multiplied after the subtraction, one per plane in the tensor's order.
    pub scale: Vec<f32>,
}

/// Why a recipe, or the pixels given to it, cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// A side is zero or above [`MAX_SIDE`].
    #[error("preprocessing asks for {what} = {side} pixels, which is outside 1..={MAX_SIDE}")]
    Side {
        /// The crop, or what is resized.
        what: &'static str,
        /// What was asked for.
        side: u32,
    },
    /// The square does not fit into the resized image.
    #[error("preprocessing crops {crop} pixels from an image whose short side is {short_side}")]
    CropExceedsShortSide {
        /// The square's side.
        crop: u32,
        /// The resized image's shorter side.
        short_side: u32,
    },
    /// There must be one mean and one scale per plane.
    #[error("preprocessing has {means} means and {scales} scales for {planes} channels")]
    Planes {
        /// Means given.
        means: usize,
        /// Scales given.
        scales: usize,
        /// Planes of the tensor.
        planes: usize,
    },
    /// A mean is not finite, or a scale is not a finite positive number.
    #[error("preprocessing has a mean or a scale that is not a finite number (scales must be positive)")]
    NotFinite,
    /// The pixel buffer has the wrong length.
    #[error("expected {expected} pixel bytes, got {actual}")]
    Pixels {
        /// `crop * crop * planes`.
        expected: usize,
        /// Length given.
        actual: usize,
    },
}

impl Preprocess {
    /// Networks of torchvision, trained on ImageNet: short side 256, centre 224, RGB in 0..1,
    /// normalised by the training set's mean and deviation.
    #[must_use]
    pub fn imagenet_torch() -> Self {
        let (mean, scale) = normalised([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        Self { mean, scale, channels: Channels::Rgb, ..Self::imagenet_caffe() }
    }

    /// Networks of Keras and TensorFlow, trained on ImageNet in the way of Inception: short side
    /// 256, centre 224, RGB in -1..1.
    #[must_use]
    pub fn imagenet_tf() -> Self {
        Self { mean: vec![127.5; 3], scale: vec![1.0 / 127.5; 3], channels: Channels::Rgb, ..Self::imagenet_caffe() }
    }

    /// Pixels as they are: RGB in 0..255, 224 from the centre, not resized.
    #[must_use]
    pub fn none() -> Self {
        let (mean, scale) = (vec![0.0; 3], vec![1.0; 3]);
        Self { resize: Resize::Keep, filter: Filter::Bilinear, crop: 224, channels: Channels::Rgb, mean, scale }
    }

    /// The He et al. ImageNet networks (Caffe heritage): short side 256, centre 224, BGR in 0..255
    /// minus the training set's mean.
    #[must_use]
    pub fn imagenet_caffe() -> Self {
        let mean = vec![103.939, 116.779, 123.68];
        Self { resize: Resize::ShortSide(256), channels: Channels::Bgr, mean, ..Self::none() }
    }

    /// MNIST digits: 28 x 28, white ink on black, in 0..1.
    #[must_use]
    pub fn mnist() -> Self {
        Self { crop: 28, channels: Channels::Gray, mean: vec![0.0], scale: vec![1.0 / 255.0], ..Self::none() }
    }

    /// CIFAR-10 as most published networks read it: 32 x 32, RGB, each plane normalised by the
    /// training set's mean and deviation.
    #[must_use]
    pub fn cifar10() -> Self {
        let (mean, scale) = normalised([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
        Self { crop: 32, mean, scale, ..Self::none() }
    }

    /// The recipe called `name` on the command line: one of [`Preprocess::PRESETS`].
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "imagenet-caffe" => Some(Self::imagenet_caffe()),
            "imagenet-torch" => Some(Self::imagenet_torch()),
            "imagenet-tf" => Some(Self::imagenet_tf()),
            "none" => Some(Self::none()),
            "cifar10" => Some(Self::cifar10()),
            "mnist" => Some(Self::mnist()),
            _ => None,
        }
    }

    /// Names that [`Preprocess::preset`] knows.
    pub const PRESETS: [&'static str; 6] = ["imagenet-caffe", "imagenet-torch", "imagenet-tf", "cifar10", "mnist", "none"];

    /// The same for a network that reads squares of `side` pixels: the crop is that square, and a
    /// short side keeps its proportion to the crop.
    #[must_use]
    pub fn for_side(self, side: u32) -> Self {
        let scaled = |short: u32| (u64::from(short) * u64::from(side)).div_ceil(u64::from(self.crop.max(1)));
        let resize = match self.resize {
            Resize::ShortSide(short) => Resize::ShortSide(u32::try_from(scaled(short)).unwrap_or(u32::MAX)),
            other @ (Resize::Keep | Resize::Exact { .. }) => other,
        };
        Self { resize, crop: side, ..self }
    }

    /// Checks a recipe that came from elsewhere; everything below assumes that it passed.
    ///
    /// # Errors
    /// A [`PreprocessError`] naming the field.
    pub fn validate(&self) -> Result<(), PreprocessError> {
        let (short, width, height) = match self.resize {
            Resize::Keep => (None, None, None),
            Resize::ShortSide(side) => (Some(side), None, None),
            Resize::Exact { width, height } => (None, Some(width), Some(height)),
        };
        for (what, side) in [("crop", Some(self.crop)), ("short side", short), ("width", width), ("height", height)] {
            if let Some(side) = side.filter(|s| !(1..=MAX_SIDE).contains(s)) {
                return Err(PreprocessError::Side { what, side });
            }
        }
        if let Some(short_side) = self.resize.short_side().filter(|&s| s < self.crop) {
            return Err(PreprocessError::CropExceedsShortSide { crop: self.crop, short_side });
        }
        let (means, scales, planes) = (self.mean.len(), self.scale.len(), self.channels.count());
        if (means, scales) != (planes, planes) {
            return Err(PreprocessError::Planes { means, scales, planes });
        }
        if self.mean.iter().any(|m| !m.is_finite()) || self.scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(PreprocessError::NotFinite);
        }
        Ok(())
    }

    /// Number of values of the tensor, `planes * crop * crop`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels.count() * self.crop as usize * self.crop as usize
    }

    /// Never true of a recipe that passed [`Preprocess::validate`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Turns cropped pixels into the network's input.
    ///
    /// `pixels` are `crop` rows of `crop` pixels; a pixel is one luma byte for [`Channels::Gray`]
    /// and the bytes red, green, blue otherwise. The tensor is ordered `[channel][row][column]`.
    ///
    /// # Errors
    /// The recipe is invalid or the buffer's length is not [`Preprocess::len`].
    pub fn tensor(&self, pixels: &[u8]) -> Result<Vec<f32>, PreprocessError> {
        self.validate()?;
        if pixels.len() != self.len() {
            return Err(PreprocessError::Pixels { expected: self.len(), actual: pixels.len() });
        }
        let source: &[usize] = match self.channels {
            Channels::Gray => &[0],
            Channels::Rgb => &[0, 1, 2],
            Channels::Bgr => &[2, 1, 0],
        };
        let mut tensor = Vec::with_capacity(self.len());
        for ((&byte, &mean), &scale) in source.iter().zip(&self.mean).zip(&self.scale) {
            tensor.extend(pixels.chunks_exact(source.len()).map(|p| (f32::from(p[byte]) - mean) * scale));
        }
        Ok(tensor)
    }
}

/// Mean and scale of pixels in 0..255 for a mean and a deviation of pixels in 0..1.
fn normalised(mean: [f32; 3], deviation: [f32; 3]) -> (Vec<f32>, Vec<f32>) {
    (mean.map(|m| m * 255.0).to_vec(), deviation.map(|d| 1.0 / (d * 255.0)).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_fits_the_network() {
        let inception = Preprocess::imagenet_torch().for_side(299);
        assert_eq!((inception.resize, inception.crop), (Resize::ShortSide(342), 299));
        assert_eq!(Preprocess::imagenet_caffe().for_side(224), Preprocess::imagenet_caffe());
        assert_eq!(Preprocess::none().for_side(64), Preprocess { crop: 64, ..Preprocess::none() });
        let white = Preprocess::imagenet_tf().for_side(1).tensor(&[255, 0, 255]).unwrap();
        assert_eq!(white, [1.0, -1.0, 1.0]);
    }

    #[test]
    fn presets_are_valid_and_listed() {
        for name in Preprocess::PRESETS {
            Preprocess::preset(name).expect("listed").validate().unwrap();
        }
        assert_eq!(Preprocess::preset("no such preset"), None);
    }

    #[test]
    fn planes_follow_the_channel_order() {
        let two = |channels: Channels, mean| Preprocess {
            crop: 2,
            channels,
            mean,
            scale: vec![2.0, 3.0, 4.0][..channels.count()].to_vec(),
            ..Preprocess::none()
        };
        let pixels: Vec<u8> = (1..=12).collect();
        let rgb = two(Channels::Rgb, vec![0.0; 3]).tensor(&pixels).unwrap();
        assert_eq!(rgb, [2., 8., 14., 20., 6., 15., 24., 33., 12., 24., 36., 48.]);
        let bgr = two(Channels::Bgr, vec![1.0, 0.0, 0.5]).tensor(&pixels).unwrap();
        assert_eq!(bgr, [4., 10., 16., 22., 6., 15., 24., 33., 2., 14., 26., 38.]);
        let gray = two(Channels::Gray, vec![1.0]).tensor(&pixels[..4]).unwrap();
        assert_eq!(gray, [0., 2., 4., 6.]);
    }

    #[test]
    fn hostile_recipes_are_refused() {
        let good = Preprocess::imagenet_caffe();
        let check = |spec: Preprocess| spec.validate().unwrap_err();
        assert_eq!(check(Preprocess { crop: 0, ..good.clone() }), PreprocessError::Side { what: "crop", side: 0 });
        assert_eq!(check(Preprocess { crop: u32::MAX, ..good.clone() }), PreprocessError::Side { what: "crop", side: u32::MAX });
        let resized = |resize| check(Preprocess { resize, ..good.clone() });
        assert_eq!(resized(Resize::ShortSide(5000)), PreprocessError::Side { what: "short side", side: 5000 });
        assert_eq!(resized(Resize::Exact { width: 300, height: 0 }), PreprocessError::Side { what: "height", side: 0 });
        let small = PreprocessError::CropExceedsShortSide { crop: 224, short_side: 100 };
        assert_eq!(resized(Resize::ShortSide(100)), small);
        assert_eq!(resized(Resize::Exact { width: 400, height: 100 }), small);
        assert_eq!(check(Preprocess { mean: vec![0.0], ..good.clone() }), PreprocessError::Planes { means: 1, scales: 3, planes: 3 });
        assert_eq!(check(Preprocess { scale: vec![1.0, f32::NAN, 1.0], ..good.clone() }), PreprocessError::NotFinite);
        assert_eq!(check(Preprocess { scale: vec![0.0; 3], ..good.clone() }), PreprocessError::NotFinite);
        assert_eq!(good.tensor(&[0; 7]), Err(PreprocessError::Pixels { expected: 224 * 224 * 3, actual: 7 }));
    }
}
