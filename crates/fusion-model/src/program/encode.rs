//! Between real numbers and a program's integers: images on the way in, logits on the way out.

use fusion_rlwe::Shape;

use super::Program;

/// An image that does not suit the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the network reads images of {expected:?}, {} values; got {actual} values", expected.len())]
pub struct ImageError {
    /// Shape that the network reads.
    pub expected: Shape,
    /// Values given.
    pub actual: usize,
}

impl Program {
    /// Rounds an image (`[channel][row][column]`, the numbers that the float network reads) to the
    /// input tensor's scale.
    ///
    /// # Errors
    /// The image has the wrong length.
    pub fn encode(&self, image: &[f32]) -> Result<Vec<i64>, ImageError> {
        let Some(spec) = self.tensors.get(self.input.0).filter(|spec| spec.shape.len() == image.len()) else {
            let expected = self.tensors.get(self.input.0).map_or(Shape::new(0, 0, 0), |spec| spec.shape);
            return Err(ImageError { expected, actual: image.len() });
        };
        let factor = 2f64.powi(spec.frac);
        let limit = 2f64.powi(spec.ring.0.cast_signed() - 1) - 1.0;
        Ok(image.iter().map(|&x| (f64::from(x) * factor).round().clamp(-limit, limit) as i64).collect())
    }

    /// The real numbers that logits at product scale stand for.
    #[must_use]
    pub fn decode_logits(&self, logits: &[i64]) -> Vec<f32> {
        let factor = self.tensors.get(self.logits.0).map_or(1.0, |spec| 2f64.powi(-spec.frac));
        logits.iter().map(|&v| (v as f64 * factor) as f32).collect()
    }
}
