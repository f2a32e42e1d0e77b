//! Images to classify and public samples with known answers: where they come from and in which
//! order.
//!
//! The order of a folder is the order of its file names, on every machine, so that an answer's
//! index means the same image in a report read elsewhere. A [`Sample`] is read only when its tensor
//! is asked for: a pool of thousands of photos costs memory for the names alone.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use fusion_model::preprocess::Preprocess;
use fusion_ring::symmetric::digest::{Digest, Hasher};
use image::{DynamicImage, GrayImage, RgbImage};

use super::decode;
use super::error::{ImageError, MAX_FILE_BYTES, MAX_SIDE};

/// One image, with its true label if that is known.
#[derive(Debug, Clone)]
pub struct Sample {
    /// File name, or position on a contact sheet; unique within its source.
    pub name: String,
    /// Index of the true class.
    pub label: Option<u32>,
    /// Where the label stands.
    pub(super) listed: Option<Listed>,
    source: Source,
}

/// A place in a list of labels.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// The list.
    pub(super) list: Arc<str>,
    /// Counted from one.
    pub(super) line: u64,
}

/// Bytes of a file that are hashed at a time.
const CHUNK: usize = 64 << 10;

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Pixels(DynamicImage),
    /// The content of a file, in memory.
    Bytes(Arc<[u8]>),
}

/// Names a file, and says nothing of what an image shows.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Pixels(image) => write!(f, "Pixels({} x {})", image.width(), image.height()),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
        }
    }
}

impl Sample {
    pub(super) fn of_file(name: String, path: PathBuf) -> Self {
        Self { name, label: None, listed: None, source: Source::File(path) }
    }

    pub(super) fn of_pixels(name: String, label: u32, listed: Listed, pixels: DynamicImage) -> Self {
        Self { name, label: Some(label), listed: Some(listed), source: Source::Pixels(pixels) }
    }

    /// An image in memory: `height` rows of `width` bytes, each the luma of a pixel.
    ///
    /// # Errors
    /// [`ImageError::Pixels`] if that is not what `pixels` are, or a side is 0 or above
    /// [`MAX_SIDE`].
    pub fn from_gray(name: impl Into<String>, (width, height): (u32, u32), pixels: Vec<u8>) -> Result<Self, ImageError> {
        in_memory(name.into(), (width, height), 1, pixels, |pixels| GrayImage::from_raw(width, height, pixels).map(Into::into))
    }

    /// An image in memory: `height` rows of `width` pixels of three bytes, red, green and blue.
    ///
    /// # Errors
    /// As [`from_gray`](Self::from_gray).
    pub fn from_rgb(name: impl Into<String>, (width, height): (u32, u32), pixels: Vec<u8>) -> Result<Self, ImageError> {
        in_memory(name.into(), (width, height), 3, pixels, |pixels| RgbImage::from_raw(width, height, pixels).map(Into::into))
    }

    /// The image whose file has this content; `name` is for reports and errors. Nothing is decoded
    /// yet.
    #[must_use]
    pub fn of_bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), label: None, listed: None, source: Source::Bytes(bytes.into()) }
    }

    /// The network's input for this image, ordered `[channel][row][column]`.
    ///
    /// # Errors
    /// The file is gone or no image, or does not fit the recipe.
    pub fn tensor(&self, spec: &Preprocess) -> Result<Vec<f32>, ImageError> {
        match &self.source {
            Source::File(path) => decode::load(path, spec),
            Source::Pixels(image) => decode::preprocess(image.clone(), &self.name, spec),
            Source::Bytes(bytes) => decode::preprocess(decode::decode(bytes, &self.name)?, &self.name, spec),
        }
    }

    /// Width and height in pixels, as stored, without decoding the rest.
    ///
    /// # Errors
    /// The file is gone or no image.
    pub fn size(&self) -> Result<(u32, u32), ImageError> {
        match &self.source {
            Source::Pixels(image) => Ok((image.width(), image.height())),
            Source::File(path) => decode::size(path),
            Source::Bytes(bytes) => decode::size_of(bytes, &self.name),
        }
    }

    /// A small picture for people, at most `side` pixels wide and high, as a PNG file.
    ///
    /// # Errors
    /// The file is gone or no image.
    pub fn thumbnail(&self, side: u32) -> Result<Vec<u8>, ImageError> {
        let whole = match &self.source {
            Source::File(path) => decode::open(path)?,
            Source::Pixels(image) => image.clone(),
            Source::Bytes(bytes) => decode::decode(bytes, &self.name)?,
        };
        let small = if whole.width().max(whole.height()) > side { whole.thumbnail(side, side) } else { whole };
        let mut png = Cursor::new(Vec::new());
        let encoded = DynamicImage::from(small.to_rgb8()).write_to(&mut png, image::ImageFormat::Png);
        encoded.map_err(|source| ImageError::NotAnImage { name: self.name.clone(), source })?;
        Ok(png.into_inner())
    }

    /// SHA3-256 of the file, or of the decoded pixels, without decoding anything: tells whether the
    /// image is still the same.
    ///
    /// # Errors
    /// The file is gone, or larger than an image file may be.
    pub fn digest(&self) -> Result<Digest, ImageError> {
        let mut hash = Hasher::default();
        match &self.source {
            Source::File(path) => {
                let read = |source| ImageError::Read { path: path.clone(), source };
                let mut file = File::open(path).map_err(read)?.take(MAX_FILE_BYTES + 1);
                let mut chunk = vec![0; CHUNK];
                let mut total = 0;
                loop {
                    let n = file.read(&mut chunk).map_err(read)?;
                    if n == 0 {
                        break;
                    }
                    total += n as u64;
                    hash.update(&chunk[..n]);
                }
                if total > MAX_FILE_BYTES {
                    return Err(ImageError::FileTooLarge { path: path.clone() });
                }
            }
            Source::Pixels(image) => {
                hash.update(&image.width().to_le_bytes());
                // Six gray pixels are not two coloured ones. Gray ones are hashed as ever: tallies
                // know the digits of contact sheets by it.
                let planes = image.color().channel_count();
                if planes > 1 {
                    hash.update(&[planes]);
                }
                hash.update(image.as_bytes());
            }
            Source::Bytes(bytes) => hash.update(bytes),
        }
        Ok(hash.finish())
    }
}

/// A sample of pixels of `planes` bytes each, of which `image` makes a picture.
fn in_memory(
    name: String,
    (width, height): (u32, u32),
    planes: u64,
    pixels: Vec<u8>,
    image: impl FnOnce(Vec<u8>) -> Option<DynamicImage>,
) -> Result<Sample, ImageError> {
    let expected = u64::from(width) * u64::from(height) * planes;
    let (given, sides) = (pixels.len() as u64, 1..=MAX_SIDE);
    let fits = sides.contains(&width) && sides.contains(&height) && given == expected;
    match fits.then(|| image(pixels)).flatten() {
        Some(image) => Ok(Sample { name, label: None, listed: None, source: Source::Pixels(image) }),
        None => Err(ImageError::Pixels { name, width, height, expected, given }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_in_memory_are_read_as_those_of_a_file() {
        let spec = Preprocess { crop: 2, ..Preprocess::none() };
        let rgb: Vec<u8> = (1..=18).collect();
        let sample = Sample::from_rgb("array", (3, 2), rgb.clone()).unwrap();
        let mut png = Cursor::new(Vec::new());
        RgbImage::from_raw(3, 2, rgb.clone()).unwrap().write_to(&mut png, image::ImageFormat::Png).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), png.into_inner()).unwrap();
        let stored = Sample::of_file("file".to_owned(), file.path().to_owned());
        assert_eq!(sample.tensor(&spec).unwrap(), stored.tensor(&spec).unwrap());
        assert_eq!((sample.size().unwrap(), sample.label), ((3, 2), None));
        // Gray pixels are equal in all planes.
        let gray = Sample::from_gray("array", (2, 2), vec![1, 2, 3, 4]).unwrap();
        assert_eq!(gray.tensor(&spec).unwrap(), [1., 2., 3., 4.].repeat(3));
        let (wide, tall) = (Sample::from_rgb("a", (2, 1), vec![7; 6]).unwrap(), Sample::from_gray("a", (2, 3), vec![7; 6]).unwrap());
        assert_ne!(wide.digest().unwrap(), tall.digest().unwrap(), "the same bytes");
    }

    #[test]
    fn other_pixels_than_announced_are_refused() {
        let refused = |sides, bytes| Sample::from_gray("array", sides, vec![0; bytes]).unwrap_err().to_string();
        assert!(refused((3, 2), 5).contains("6 bytes") && refused((3, 2), 7).contains("given are 7"));
        assert!(refused((0, 2), 0).contains("0 x 2"));
        assert!(refused((MAX_SIDE + 1, 1), MAX_SIDE as usize + 1).contains("16385 x 1"));
        assert!(Sample::from_rgb("array", (2, 1), vec![0; 2]).is_err());
    }
}
