//! Many small images in one file.

use std::sync::Arc;

use super::decode;
use super::error::ImageError;
use super::labels::{self, Row};
use super::samples::{Listed, Sample};

/// Cuts a contact sheet of square cells, row by row, into labelled samples. The list is CSV, with
/// or without a heading: `index,label` for indices 0, 1, 2 and so on.
///
/// # Errors
/// The sheet is no image, is not made of whole cells or has fewer cells than labels, or the list is
/// malformed.
pub fn sheet(content: &[u8], list: &str, side: u32, name: &str) -> Result<Vec<Sample>, ImageError> {
    let image = decode::decode(content, name)?;
    let refuse = |reason: String| ImageError::Sheet { name: name.to_owned(), reason };
    if side == 0 || !image.width().is_multiple_of(side) || !image.height().is_multiple_of(side) {
        return Err(refuse(format!("{} x {} pixels is not a grid of {side}-pixel cells", image.width(), image.height())));
    }
    let (columns, cells) = (image.width() / side, (image.width() / side) * (image.height() / side));
    let place: Arc<str> = format!("labels of {name}").into();
    let mut samples = Vec::new();
    for (at, Row { line, key, label }) in (0..).zip(labels::rows(list.as_bytes(), &place, |key| key.parse::<u32>().is_ok())?) {
        if key != at.to_string() {
            return Err(ImageError::Labels { name: place.to_string(), line, reason: format!("expected index {at}, found {key}") });
        }
        if at >= cells {
            return Err(refuse(format!("{cells} cells, but more labels")));
        }
        let cell = image.crop_imm(at % columns * side, at / columns * side, side, side);
        let listed = Listed { list: Arc::clone(&place), line };
        samples.push(Sample::of_pixels(format!("{name}#{at}"), label, listed, cell));
    }
    Ok(samples)
}
