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

/// Largest [`Preprocess::crop`] and [`Preprocess::short_side`], in pixels. A card comes from a
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

/// The recipe: resize, crop, order of channels, then `(pixel - mean) * scale` per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// Scale the image so that its shorter side has this many pixels (bilinear with antialiasing),
    /// keeping its proportions. `None`: do not resize.
    pub short_side: Option<u32>,
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
        /// `crop` or `short_side`.
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
    /// The He et al. ImageNet networks (Caffe heritage): short side 256, centre 224, BGR in 0..255
    /// minus the training set's mean.
    #[must_use]
    pub fn imagenet_caffe() -> Self {
        Self { short_side: Some(256), crop: 224, channels: Channels::Bgr, mean: vec![103.939, 116.779, 123.68], scale: vec![1.0; 3] }
    }

    /// MNIST digits: 28 x 28, white ink on black, in 0..1.
    #[must_use]
    pub fn mnist() -> Self {
        Self { short_side: None, crop: 28, channels: Channels::Gray, mean: vec![0.0], scale: vec![1.0 / 255.0] }
    }

    /// CIFAR-10 as most published networks read it: 32 x 32, RGB, each plane normalised by the
    /// training set's mean and deviation.
    #[must_use]
    pub fn cifar10() -> Self {
        let per_plane =
            |mean: [f32; 3], deviation: [f32; 3]| (mean.map(|m| m * 255.0).to_vec(), deviation.map(|d| 1.0 / (d * 255.0)).to_vec());
        let (mean, scale) = per_plane([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);
        Self { short_side: None, crop: 32, channels: Channels::Rgb, mean, scale }
    }

    /// The recipe called `name` on the command line: one of [`Preprocess::PRESETS`].
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "imagenet-caffe" => Some(Self::imagenet_caffe()),
            "cifar10" => Some(Self::cifar10()),
            "mnist" => Some(Self::mnist()),
            _ => None,
        }
    }

    /// Names that [`Preprocess::preset`] knows.
    pub const PRESETS: [&'static str; 3] = ["imagenet-caffe", "cifar10", "mnist"];

    /// Checks a recipe that came from elsewhere; everything below assumes that it passed.
    ///
    /// # Errors
    /// A [`PreprocessError`] naming the field.
    pub fn validate(&self) -> Result<(), PreprocessError> {
        for (what, side) in [("crop", Some(self.crop)), ("short_side", self.short_side)] {
            if let Some(side) = side.filter(|s| !(1..=MAX_SIDE).contains(s)) {
                return Err(PreprocessError::Side { what, side });
            }
        }
        if let Some(short_side) = self.short_side.filter(|&s| s < self.crop) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            short_side: None,
            crop: 2,
            channels,
            mean,
            scale: vec![2.0, 3.0, 4.0][..channels.count()].to_vec(),
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
        assert_eq!(check(Preprocess { short_side: Some(5000), ..good.clone() }), PreprocessError::Side { what: "short_side", side: 5000 });
        let small = Preprocess { short_side: Some(100), ..good.clone() };
        assert_eq!(check(small), PreprocessError::CropExceedsShortSide { crop: 224, short_side: 100 });
        assert_eq!(check(Preprocess { mean: vec![0.0], ..good.clone() }), PreprocessError::Planes { means: 1, scales: 3, planes: 3 });
        assert_eq!(check(Preprocess { scale: vec![1.0, f32::NAN, 1.0], ..good.clone() }), PreprocessError::NotFinite);
        assert_eq!(check(Preprocess { scale: vec![0.0; 3], ..good.clone() }), PreprocessError::NotFinite);
        assert_eq!(good.tensor(&[0; 7]), Err(PreprocessError::Pixels { expected: 224 * 224 * 3, actual: 7 }));
    }
}
