//! Resizing with antialiasing, equal to Pillow's `resize(size, Image.Resampling.BILINEAR)` and
//! `BICUBIC` on 8-bit images, bit for bit.
//!
//! Each output pixel is a weighted mean of the input pixels under a kernel, a triangle or a cubic,
//! that is as wide as the reduction (or two or four pixels, when enlarging). Rows first, then
//! columns, each pass rounded to 8 bits. Fixed-point weights make the result the same on every
//! machine, so a client and the server's calibration see the same tensors.

use fusion_model::preprocess::Filter;

/// Fraction bits of a weight. A pixel's weights sum to about 2^22, times 255 stays below 2^31.
const WEIGHT_BITS: u32 = 22;

/// Interleaved 8-bit pixels, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Pixels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Bytes per pixel.
    pub(crate) planes: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Pixels {
    /// Resizes to `width` x `height`, all sides positive.
    pub(crate) fn resized(&self, width: usize, height: usize, filter: Filter) -> Self {
        self.with_rows_of(width, filter).with_columns_of(height, filter)
    }

    fn with_rows_of(&self, width: usize, filter: Filter) -> Self {
        let mixes = Mix::all(self.width, width, filter);
        let mut bytes = Vec::with_capacity(width * self.height * self.planes);
        for row in self.bytes.chunks_exact(self.width * self.planes) {
            for mix in &mixes {
                bytes.extend((0..self.planes).map(|plane| mix.of(|x| row[x * self.planes + plane])));
            }
        }
        Self { width, height: self.height, planes: self.planes, bytes }
    }

    fn with_columns_of(&self, height: usize, filter: Filter) -> Self {
        let row = self.width * self.planes;
        let mut bytes = Vec::with_capacity(row * height);
        for mix in Mix::all(self.height, height, filter) {
            bytes.extend((0..row).map(|at| mix.of(|y| self.bytes[y * row + at])));
        }
        Self { width: self.width, height, planes: self.planes, bytes }
    }
}

/// How far from its centre a kernel reaches, in pixels of the coarser image.
fn support(filter: Filter) -> f64 {
    match filter {
        Filter::Bilinear => 1.0,
        Filter::Bicubic => 2.0,
    }
}

/// The height of a kernel at a distance from its centre.
fn kernel(filter: Filter, distance: f64) -> f64 {
    let x = distance.abs();
    match filter {
        Filter::Bilinear => (1.0 - x).max(0.0),
        // Keys's with a = -1/2.
        Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        Filter::Bicubic if x < 2.0 => -0.5 * (((x - 5.0) * x + 8.0) * x - 4.0),
        Filter::Bicubic => 0.0,
    }
}

/// The input positions that make up one output position, and their weights.
struct Mix {
    first: usize,
    weights: Vec<i32>,
}

impl Mix {
    /// One mix per output position of a line of `from` pixels resized to `to`.
    fn all(from: usize, to: usize, filter: Filter) -> Vec<Self> {
        let scale = from as f64 / to as f64;
        let unit = scale.max(1.0);
        let reach = support(filter) * unit;
        let position = |at: f64| (at.max(0.0) as usize).min(from);
        (0..to)
            .map(|out| {
                let centre = (out as f64 + 0.5) * scale;
                let (first, end) = (position(centre - reach + 0.5), position(centre + reach + 0.5));
                let height = |x: usize| kernel(filter, (x as f64 + 0.5 - centre) / unit);
                let total: f64 = (first..end).map(height).sum();
                let fixed = |x: usize| (height(x) / total * f64::from(1 << WEIGHT_BITS)).round() as i32;
                Self { first, weights: (first..end).map(fixed).collect() }
            })
            .collect()
    }

    fn of(&self, pixel: impl Fn(usize) -> u8) -> u8 {
        let half = 1 << (WEIGHT_BITS - 1);
        let sum = self.weights.iter().zip(self.first..).fold(half, |sum, (w, x)| sum + w * i32::from(pixel(x)));
        (sum >> WEIGHT_BITS).clamp(0, 255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_image_stays_flat_at_every_size() {
        for (from, to) in [(1, 1), (1, 9), (2, 3), (7, 7), (9, 1), (64, 63), (500, 3)] {
            let flat = Pixels { width: from, height: from, planes: 3, bytes: [0, 128, 255].repeat(from * from) };
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                assert_eq!(flat.resized(to, to, filter).bytes, [0, 128, 255].repeat(to * to), "{from} to {to} {filter:?}");
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let image = Pixels { width: 5, height: 3, planes: 1, bytes: (0..15).map(|v| v * 17).collect() };
        assert_eq!(image.resized(5, 3, Filter::Bilinear).bytes, image.bytes);
        assert_eq!(image.resized(5, 3, Filter::Bicubic).bytes, image.bytes);
    }
}
