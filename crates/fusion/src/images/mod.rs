//! Images: from files of all kinds to the tensors that a network reads.
//!
//! ```text
//!   file or folder --samples--> Sample --decode, resize, crop--> pixels --Preprocess--> tensor
//! ```

mod decode;
mod error;
mod labels;
mod listing;
mod resize;
mod samples;
mod sheet;
mod whole;

pub use decode::{decode, load, preprocess};
pub use error::{ImageError, MAX_ASPECT, MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_SIDE};
pub use labels::check_labels;
pub use listing::{LeftOut, Listing, folder, labelled_folder, listing};
pub use samples::Sample;
pub use sheet::sheet;
