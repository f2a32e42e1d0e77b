//! Bounds on image files, and why one cannot be used.

use std::path::PathBuf;

use fusion_model::preprocess::PreprocessError;

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Largest width and height that are decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Largest number of bytes that a decoder may allocate.
pub const MAX_DECODED_BYTES: u64 = 512 << 20;
/// Longest permitted image relative to its short side: resizing keeps proportions, so a thin strip
/// would grow without bound.
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
