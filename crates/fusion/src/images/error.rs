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

/// What is read, in words.
pub(super) const TYPES: &str = "PNG, JPEG, WebP, BMP, TIFF";

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
    #[error("{}: more bytes than are read of a file ({MAX_FILE_BYTES})", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The content is of no type that is read.
    #[error("{name} is no image of a type that is read ({TYPES}): save it as one")]
    UnknownType {
        /// The file.
        name: String,
    },
    /// A part of the image is missing.
    #[error("{name} ends before the image does, as if it was not copied to its end: copy it again, or leave it out")]
    Truncated {
        /// The file.
        name: String,
    },
    /// An image of no type that is read, a damaged one, or one beyond the bounds.
    #[error("{name} is no readable image ({TYPES}): save it anew, or leave it out")]
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
    /// Pixels in memory that are not as many as announced, or too many.
    #[error("{name}: {width} x {height} pixels (each side from 1 to {MAX_SIDE}) are {expected} bytes, given are {given}")]
    Pixels {
        /// What the image is called.
        name: String,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes of so many pixels.
        expected: u64,
        /// Bytes given.
        given: u64,
    },
    /// The model card's recipe is unusable.
    #[error("the model's preprocessing is invalid: {0}")]
    Preprocess(#[from] PreprocessError),
    /// A folder without images.
    #[error("{}: no image ({TYPES}) in this folder, {instead}", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// What is there, in words.
        instead: String,
    },
    /// A label list that cannot be read.
    #[error("{name}, line {line}: {reason}")]
    Labels {
        /// The list.
        name: String,
        /// Line, counted from one.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A label that the model has no class for.
    #[error(
        "{place}{name} has label {label}, but the {classes} classes of the model are 0 to {}: {}",
        classes.saturating_sub(1),
        if *from_one { "the labels seem to count from 1, as none is 0 and the largest is the number of classes: subtract 1 from each" } else { "correct the label, or take the model that the labels are for" }
    )]
    NoSuchClass {
        /// List and line, if a list gave it.
        place: String,
        /// The image.
        name: String,
        /// Its label.
        label: u32,
        /// Classes of the model.
        classes: usize,
        /// Whether the labels are as those of a list that counts from one.
        from_one: bool,
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
