//! Images: from files of all kinds to the tensors that a network reads.
//!
//! ```text
//!   file or folder --samples--> Sample --decode, resize, crop--> pixels --Preprocess--> tensor
//! ```

mod decode;
mod error;
mod resize;
mod samples;

pub use decode::{decode, load, preprocess};
pub use error::{ImageError, MAX_ASPECT, MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_SIDE};
pub use samples::{Listing, Sample, folder, labelled_folder, listing, sheet};
