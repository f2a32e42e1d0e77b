//! Image files to input tensors: decode, resize, crop, then the model's [`Preprocess`] arithmetic.
//!
//! PNG and JPEG, recognised by their content and not by their name. Resizing is bilinear with antialiasing, as Pillow's `resize(...,
//! BILINEAR)` does it (bit for bit: a test holds us to it), because that is what most models' published accuracy was measured
//! with. An alpha channel is dropped, deeper pixels are reduced to 8 bits, an orientation tag is ignored.
//!
//! Images come from the user's own disk, but a folder may hold anything: dimensions and memory are bounded before pixels are decoded, and every
//! error names the file.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use fusion_model::preprocess::{Channels, Preprocess, PreprocessError};
use image::{DynamicImage, ImageReader};

use crate::resize::Pixels;

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Largest width and height that are decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Largest number of bytes that a decoder may allocate.
pub const MAX_DECODED_BYTES: u64 = 512 << 20;
/// Longest permitted image relative to its short side: resizing keeps proportions, so a thin strip would grow without bound.
pub const MAX_ASPECT: usize = 16;

/// Why an image, or a set of labelled images, cannot be used. Every message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("{}: more bytes than an image file may have ({MAX_FILE_BYTES})", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not a PNG or JPEG image, or a damaged one.
    #[error("{name} is not a readable PNG or JPEG image")]
    NotAnImage {
        /// The file.
        name: String,
        /// The decoder's reason.
        source: image::ImageError,
    },
    /// The image is too thin to resize.
    #[error("{name}: {width} x {height} pixels is too thin (the long side may be {MAX_ASPECT} times the short side)")]
    TooThin {
        /// The file.
        name: String,
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
    },
    /// The image is smaller than the crop and the recipe does not resize.
    #[error("{name}: {width} x {height} pixels, but the model reads {crop} x {crop}")]
    TooSmall {
        /// The file.
        name: String,
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
        /// Side of the model's input.
        crop: usize,
    },
    /// The model card's recipe is unusable.
    #[error("the model's preprocessing is invalid: {0}")]
    Preprocess(#[from] PreprocessError),
    /// A folder without images.
    #[error("{}: no .png, .jpg or .jpeg file in this folder", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// A label list that cannot be read.
    #[error("{name}, line {line}: {reason}")]
    Labels {
        /// The list.
        name: String,
        /// Line, counted from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A contact sheet and its labels do not fit together.
    #[error("{name}: {reason}")]
    Sheet {
        /// The sheet.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads an image file and returns the network's input, ordered `[channel][row][column]`.
///
/// # Errors
/// The file cannot be read, is no image, does not fit the recipe, or the recipe is invalid.
pub fn load(path: &Path, spec: &Preprocess) -> Result<Vec<f32>, ImageError> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    let mut content = Vec::new();
    File::open(path).map_err(read)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(read)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(ImageError::FileTooLarge { path: path.to_owned() });
    }
    let name = path.display().to_string();
    preprocess(decode(&content, &name)?, &name, spec)
}

/// Decodes a PNG or JPEG image held in memory; `name` is for the error message.
///
/// # Errors
/// [`ImageError::NotAnImage`], also when a bound of this module is exceeded.
pub fn decode(content: &[u8], name: &str) -> Result<DynamicImage, ImageError> {
    let not_an_image = |source| ImageError::NotAnImage { name: name.to_owned(), source };
    let mut reader = ImageReader::new(Cursor::new(content)).with_guessed_format().map_err(|e| not_an_image(e.into()))?;
    let mut limits = image::Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    reader.decode().map_err(not_an_image)
}

/// Resizes, crops and normalises a decoded image as the recipe says; `name` is for the error message.
///
/// The long side after resizing is rounded down; an odd margin leaves its extra pixel at the right or bottom.
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
    let pixels = match spec.short_side {
        Some(side) if side as usize != short => pixels.resized(width * side as usize / short, height * side as usize / short),
        _ => pixels,
    };
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
