//! What the client puts into a lane: its images, in the network's numbers and the lane's layout.

use std::borrow::Borrow;

use fusion_model::program::{Program, TensorSpec};
use fusion_ring::secret::Wiped;

use super::error::LaneError;
use crate::layers::{AdditiveShares, ClearNumbers, TensorWords};

/// One image as the network reads it: `[channel][row][column]`, modulo the ring of the input
/// tensor.
pub struct EncodedImage(ClearNumbers);

impl EncodedImage {
    /// The image of these integers, as `Program::encode` of `fusion-model` makes them.
    ///
    /// # Errors
    /// [`LaneError::ImageSize`].
    pub fn new(program: &Program, integers: &[i64]) -> Result<Self, LaneError> {
        let TensorSpec { shape, ring, .. } = input_of(program)?;
        check_size(shape.len(), integers.len())?;
        // Two's complement modulo the ring: truncation to 32 bits is reduction.
        let words = Wiped::filled(integers.len(), integers.iter().map(|&v| v as u32));
        Ok(Self(ClearNumbers::from_words(words, ring)))
    }

    /// The image's numbers.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.0
    }
}

/// The images of one lane, `[channel][sample][row][column]`.
pub struct LaneInput {
    numbers: ClearNumbers,
    samples: usize,
}

impl LaneInput {
    /// The input of a lane that runs `images`, in their order.
    ///
    /// # Errors
    /// [`LaneError::ImageSize`] for the image of another network.
    pub fn new(program: &Program, images: &[impl Borrow<EncodedImage>]) -> Result<Self, LaneError> {
        let TensorSpec { shape, ring, .. } = input_of(program)?;
        images.iter().try_for_each(|image| check_size(shape.len(), image.borrow().words().len()))?;
        let area = shape.area();
        let planes = (0..shape.channels).flat_map(|c| images.iter().map(move |image| &image.borrow().words()[c * area..(c + 1) * area]));
        let numbers = Wiped::filled(shape.len() * images.len(), planes.flatten().copied());
        Ok(Self { numbers: ClearNumbers::from_words(numbers, ring), samples: images.len() })
    }

    /// Samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The client's words of the input: the images as they are. The server's are zero.
    pub(super) fn into_tensor(self, program: &Program, samples: usize) -> Result<TensorWords, LaneError> {
        let TensorSpec { shape, ring, .. } = input_of(program)?;
        if self.samples != samples || self.numbers.len() != samples * shape.len() || self.numbers.ring() != ring {
            return Err(LaneError::Misuse("the images do not fill the lane's samples"));
        }
        Ok(TensorWords::from_shares(AdditiveShares::of_own(self.numbers)))
    }
}

/// The server's words of the input of a lane of `samples` samples.
pub(super) fn server_tensor(program: &Program, samples: usize) -> Result<TensorWords, LaneError> {
    let TensorSpec { shape, ring, .. } = input_of(program)?;
    Ok(TensorWords::from_shares(AdditiveShares::zeros(shape.len() * samples, ring)))
}

fn input_of(program: &Program) -> Result<TensorSpec, LaneError> {
    program.tensors.get(program.input.0).copied().ok_or(LaneError::Misuse("the program has no input"))
}

fn check_size(expected: usize, got: usize) -> Result<(), LaneError> {
    if got == expected { Ok(()) } else { Err(LaneError::ImageSize { expected, got }) }
}

fusion_ring::opaque!(EncodedImage, LaneInput);
