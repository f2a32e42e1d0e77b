//! Image files to input tensors: decode, resize, crop, then the model's [`Preprocess`] arithmetic.
//!
//! PNG, JPEG, WebP, BMP and TIFF, recognised by their content and not by their name. Resizing is
//! bilinear or bicubic with antialiasing, as Pillow's `resize` does it (bit for bit: a test holds
//! us to it), because that is what most models' published accuracy was measured with. An alpha
//! channel is dropped, deeper pixels are reduced to 8 bits, and a photo is turned as its
//! orientation tag (Exif) says. Of files with several pictures the first one is read.
//!
//! Images come from the user's own disk, but a folder may hold anything: dimensions and memory are
//! bounded before pixels are decoded, and every error names the file.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read as _};
use std::path::Path;

use fusion_model::preprocess::{Channels, Preprocess, Resize};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::error::{ImageError, MAX_ASPECT, MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_SIDE};
use super::resize::Pixels;
use super::whole::has_its_end;

/// Reads an image file and returns the network's input, ordered `[channel][row][column]`.
///
/// # Errors
/// The file cannot be read, is no image, does not fit the recipe, or the recipe is invalid.
pub fn load(path: &Path, spec: &Preprocess) -> Result<Vec<f32>, ImageError> {
    preprocess(open(path)?, &path.display().to_string(), spec)
}

/// Reads an image file.
pub(super) fn open(path: &Path) -> Result<DynamicImage, ImageError> {
    decode(&read(path)?, &path.display().to_string())
}

/// Reads a file that is small enough.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    let mut content = Vec::new();
    File::open(path).map_err(read)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(read)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(ImageError::FileTooLarge { path: path.to_owned() });
    }
    Ok(content)
}

/// Decodes an image held in memory; `name` is for the error message.
///
/// # Errors
/// [`ImageError::NotAnImage`], also when a bound of this module is exceeded, and
/// [`ImageError::Truncated`].
pub fn decode(content: &[u8], name: &str) -> Result<DynamicImage, ImageError> {
    let not_an_image = |source| ImageError::NotAnImage { name: name.to_owned(), source };
    let (mut decoder, format) = decoder(content, name)?;
    if !has_its_end(content, format) {
        return Err(ImageError::Truncated { name: name.to_owned() });
    }
    // A tag that cannot be read turns nothing.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|source| {
        let ended = matches!(&source, image::ImageError::IoError(cause) if cause.kind() == ErrorKind::UnexpectedEof);
        if ended { ImageError::Truncated { name: name.to_owned() } } else { not_an_image(source) }
    })?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Width and height in pixels, as stored.
pub(super) fn size(path: &Path) -> Result<(u32, u32), ImageError> {
    size_of(&read(path)?, &path.display().to_string())
}

/// Width and height in pixels of an image held in memory, as stored.
pub(super) fn size_of(content: &[u8], name: &str) -> Result<(u32, u32), ImageError> {
    Ok(decoder(content, name)?.0.dimensions())
}

/// A decoder that has read the head of the file, and keeps within the bounds.
fn decoder<'a>(content: &'a [u8], name: &str) -> Result<(impl ImageDecoder + 'a, ImageFormat), ImageError> {
    let not_an_image = |source| ImageError::NotAnImage { name: name.to_owned(), source };
    let mut reader = ImageReader::new(Cursor::new(content)).with_guessed_format().map_err(|e| not_an_image(e.into()))?;
    let format = reader.format().ok_or_else(|| ImageError::UnknownType { name: name.to_owned() })?;
    let mut limits = image::Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder().map_err(not_an_image)?;
    // Not every decoder counts the pixels that it hands out among what it allocates.
    limits.reserve(decoder.total_bytes()).map_err(not_an_image)?;
    Ok((decoder, format))
}

/// Resizes, crops and normalises a decoded image as the recipe says; `name` is for the error
/// message.
///
/// The long side after resizing is rounded down; an odd margin leaves its extra pixel at the right
/// or bottom.
///
/// # Errors
/// The image does not fit the recipe, or the recipe is invalid.
pub fn preprocess(image: DynamicImage, name: &str, spec: &Preprocess) -> Result<Vec<f32>, ImageError> {
    spec.validate()?;
    let pixels = match spec.channels {
        Channels::Gray => interleaved(image.width(), image.height(), image.into_luma8().into_raw()),
        Channels::Rgb | Channels::Bgr => interleaved(image.width(), image.height(), image.into_rgb8().into_raw()),
    };
    let (width, height, crop) = (pixels.width, pixels.height, spec.crop as usize);
    let short = width.min(height);
    if short == 0 || width.max(height) > short.saturating_mul(MAX_ASPECT) {
        return Err(ImageError::TooThin { name: name.to_owned(), width, height });
    }
    let target = match spec.resize {
        Resize::Keep => (width, height),
        Resize::ShortSide(side) => (width * side as usize / short, height * side as usize / short),
        Resize::Exact { width, height } => (width as usize, height as usize),
    };
    let pixels = if target == (width, height) { pixels } else { pixels.resized(target.0, target.1, spec.filter) };
    if pixels.width < crop || pixels.height < crop {
        return Err(ImageError::TooSmall { name: name.to_owned(), width: pixels.width, height: pixels.height, crop });
    }
    Ok(spec.tensor(&centre(&pixels, crop))?)
}

fn interleaved(width: u32, height: u32, bytes: Vec<u8>) -> Pixels {
    let (width, height) = (width as usize, height as usize);
    Pixels { width, height, planes: bytes.len() / (width * height).max(1), bytes }
}

/// The centre square; `side` is at most either side of the image.
fn centre(pixels: &Pixels, side: usize) -> Vec<u8> {
    let (left, top) = ((pixels.width - side) / 2, (pixels.height - side) / 2);
    let (row, kept) = (pixels.width * pixels.planes, side * pixels.planes);
    pixels.bytes.chunks_exact(row).skip(top).take(side).flat_map(|r| &r[left * pixels.planes..][..kept]).copied().collect()
}
