//! What is said of a network before it is planned: whether it seems to read pixels as it was
//! trained to.

use anyhow::Result;
use fusion::images::Sample;
use fusion::model::preprocess::{Preprocess, Resize};
use fusion::{Preview, Quantised};

use crate::terminal::show;

/// Images whose size is looked at.
const LOOKED_AT: usize = 16;

/// Shows the float network's accuracy where labels are known, and warns of what looks wrong.
///
/// # Errors
/// If nothing can be shown.
pub(crate) fn show_preview(quantised: &Quantised, images: &[Sample]) -> Result<()> {
    let Preview { labelled, right, images: seen, most_frequent, .. } = quantised.preview;
    if labelled > 0 {
        show(format_args!(
            "Float:    right on {right} of {labelled} labelled calibration images ({:.1}%)",
            100.0 * right as f64 / labelled as f64
        ))?;
    }
    if quantised.preview.is_nearly_constant() {
        show(format_args!(
            "Warning:  {most_frequent} of {seen} calibration images get one and the same label: does the network read pixels in another way? See --preprocess, --mean, --std, --layout"
        ))?;
    }
    if let Some(warning) = crop_warning(&quantised.preprocess, images) {
        show(format_args!("Warning:  {warning}, see --resize"))?;
    }
    Ok(())
}

/// What is to be said of photos of which the network sees the middle only, if there are any:
/// presets for digits and icons do not scale.
pub(crate) fn crop_warning(recipe: &Preprocess, images: &[Sample]) -> Option<String> {
    let short = |sample: &Sample| sample.size().ok().map(|(width, height)| width.min(height));
    let cut = images.iter().take(LOOKED_AT).filter_map(short).filter(|&short| short >= 2 * recipe.crop).count();
    (recipe.resize == Resize::Keep && cut > 0).then(|| {
        format!(
            "{cut} of the images are at least twice as large as the {0} x {0} pixels that are cut from their centre: scale them before",
            recipe.crop
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_that_are_cut_instead_of_scaled_are_counted() {
        let digits = &crate::assets::mnist_pool().expect("digits")[..3];
        assert_eq!(crop_warning(&Preprocess::mnist(), digits), None);
        let small = Preprocess { crop: 14, ..Preprocess::mnist() };
        assert!(crop_warning(&small, digits).is_some_and(|text| text.starts_with("3 of the images") && text.contains("14 x 14")));
        assert_eq!(crop_warning(&Preprocess { resize: Resize::ShortSide(14), ..small }, digits), None);
    }
}
