//! Flags that say how a network reads pixels.

use clap::{Args, ValueEnum};
use fusion::Fit;
use fusion::model::preprocess::{Channels, Filter, Preprocess, Resize};

/// From pixels to the input tensor: a preset, and what differs from it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pixels")]
pub struct PixelArgs {
    /// How the network was trained to read pixels: imagenet-caffe, imagenet-torch, imagenet-tf,
    /// cifar10, mnist, or none (RGB in 0..255, not resized). The size is the network's.
    #[arg(long, value_name = "PRESET", default_value = "imagenet-caffe")]
    pub preprocess: String,
    /// Scale images first: so that the shorter side has SHORT pixels, to W x H whatever their
    /// proportions, or not at all.
    #[arg(long, value_name = "SHORT|WxH|none", value_parser = parse_resize)]
    pub resize: Option<Resize>,
    /// The kernel by which they are scaled.
    #[arg(long, value_enum)]
    pub filter: Option<FilterArg>,
    /// Side of the square cut from the centre [default: what the network reads].
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<u32>,
    /// Order of the planes.
    #[arg(long, value_enum)]
    pub layout: Option<LayoutArg>,
    /// Values are (pixel x SCALE - MEAN) / STD, with pixels in 0..255 [default with --mean or
    /// --std: 1].
    #[arg(long)]
    pub scale: Option<f32>,
    /// One number, or one for each plane [default with --scale or --std: 0].
    #[arg(long, value_name = "MEAN[,..]", value_delimiter = ',', allow_negative_numbers = true)]
    pub mean: Vec<f32>,
    /// One number, or one for each plane [default with --scale or --mean: 1].
    #[arg(long, value_name = "STD[,..]", value_delimiter = ',')]
    pub std: Vec<f32>,
}

/// A kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FilterArg {
    /// A triangle, as torchvision and Pillow call it.
    Bilinear,
    /// A cubic.
    Bicubic,
}

/// Order of the planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Luma alone.
    Gray,
}

fn parse_resize(text: &str) -> Result<Resize, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text:?} is no number of pixels: give SHORT, WxH or none"));
    match text.split_once('x') {
        _ if text == "none" => Ok(Resize::Keep),
        Some((width, height)) => Ok(Resize::Exact { width: number(width)?, height: number(height)? }),
        None => Ok(Resize::ShortSide(number(text)?)),
    }
}

impl PixelArgs {
    /// The preset called `name`, as it is.
    #[must_use]
    pub fn preset(name: &str) -> Self {
        let (mean, std) = (Vec::new(), Vec::new());
        Self { preprocess: name.to_owned(), resize: None, filter: None, crop: None, layout: None, scale: None, mean, std }
    }

    /// The recipe, and what of it follows the network's input.
    ///
    /// # Errors
    /// An unknown preset; numbers that are not one, or one for each plane; what no recipe may be.
    pub fn recipe(&self) -> Result<(Preprocess, Fit), String> {
        let mut recipe = Preprocess::preset(&self.preprocess)
            .ok_or_else(|| format!("there is no preprocessing {}: choose one of {}", self.preprocess, Preprocess::PRESETS.join(", ")))?;
        if let Some(layout) = self.layout {
            relayout(&mut recipe, layout);
        }
        if self.scale.is_some() || !self.mean.is_empty() || !self.std.is_empty() {
            let scale = self.scale.unwrap_or(1.0);
            let (mean, std) = (per_plane("--mean", &self.mean, 0.0, &recipe)?, per_plane("--std", &self.std, 1.0, &recipe)?);
            // (p s - m) / d = (p - m / s) (s / d).
            recipe.mean = mean.iter().map(|mean| mean / scale).collect();
            recipe.scale = std.iter().map(|std| scale / std).collect();
        }
        recipe.resize = self.resize.unwrap_or(recipe.resize);
        recipe.filter = self.filter.map_or(recipe.filter, |filter| match filter {
            FilterArg::Bilinear => Filter::Bilinear,
            FilterArg::Bicubic => Filter::Bicubic,
        });
        if let Some(crop) = self.crop {
            recipe.crop = crop;
        }
        let fit = match (self.crop, self.resize) {
            (Some(_), _) => Fit::No,
            (None, Some(_)) => Fit::Crop,
            (None, None) => Fit::CropAndResize,
        };
        // With a crop that follows the network, a short side that was stated may do though it is
        // less than the preset's crop: that shows when the network is known.
        let tried = if fit == Fit::Crop { Preprocess { crop: 1, ..recipe.clone() } } else { recipe.clone() };
        tried.validate().map_err(|error| error.to_string())?;
        Ok((recipe, fit))
    }
}

/// Puts the planes in another order; of luma alone there is one mean and one scale.
fn relayout(recipe: &mut Preprocess, layout: LayoutArg) {
    let channels = match layout {
        LayoutArg::Rgb => Channels::Rgb,
        LayoutArg::Bgr => Channels::Bgr,
        LayoutArg::Gray => Channels::Gray,
    };
    match (recipe.channels.count(), channels.count()) {
        (3, 3) if recipe.channels != channels => {
            recipe.mean.reverse();
            recipe.scale.reverse();
        }
        (from, to) if from != to => {
            let mean = |values: &[f32]| vec![values.iter().sum::<f32>() / values.len().max(1) as f32; to];
            (recipe.mean, recipe.scale) = (mean(&recipe.mean), mean(&recipe.scale));
        }
        _ => {}
    }
    recipe.channels = channels;
}

fn per_plane(flag: &str, given: &[f32], default: f32, recipe: &Preprocess) -> Result<Vec<f32>, String> {
    let planes = recipe.channels.count();
    match given.len() {
        0 => Ok(vec![default; planes]),
        1 => Ok(vec![given[0]; planes]),
        count if count == planes => Ok(given.to_vec()),
        count => Err(format!("{flag} has {count} numbers for {planes} planes: give one, or one for each")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_change_a_preset() {
        let torch = PixelArgs {
            scale: Some(1.0 / 255.0),
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
            ..PixelArgs::preset("none")
        };
        let (recipe, fit) = torch.recipe().unwrap();
        let expected = Preprocess::imagenet_torch();
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs());
        assert!(fit == Fit::CropAndResize && close(&recipe.mean, &expected.mean) && close(&recipe.scale, &expected.scale), "{recipe:?}");
        let lite =
            PixelArgs { mean: vec![127.0], std: vec![128.0], layout: Some(LayoutArg::Gray), crop: Some(20), ..PixelArgs::preset("none") };
        let (recipe, fit) = lite.recipe().unwrap();
        assert_eq!((recipe.mean, recipe.scale, recipe.crop, fit), (vec![127.0], vec![1.0 / 128.0], 20, Fit::No));
        let turned = PixelArgs { layout: Some(LayoutArg::Rgb), ..PixelArgs::preset("imagenet-caffe") }.recipe().unwrap().0;
        assert_eq!(turned.mean, [123.68, 116.779, 103.939]);
        let small = PixelArgs { resize: Some(Resize::ShortSide(72)), ..PixelArgs::preset("none") }.recipe().unwrap();
        assert_eq!((small.0.resize, small.1), (Resize::ShortSide(72), Fit::Crop));
    }

    #[test]
    fn what_makes_no_recipe_is_refused() {
        let refused = |args: PixelArgs, word: &str| assert!(args.recipe().unwrap_err().contains(word));
        refused(PixelArgs::preset("imagenet"), "imagenet-torch");
        refused(PixelArgs { mean: vec![1.0, 2.0], ..PixelArgs::preset("none") }, "3 planes");
        refused(PixelArgs { std: vec![0.0], ..PixelArgs::preset("none") }, "finite");
        refused(PixelArgs { crop: Some(500), ..PixelArgs::preset("imagenet-torch") }, "crops 500");
        assert_eq!(parse_resize("320x200"), Ok(Resize::Exact { width: 320, height: 200 }));
        assert_eq!((parse_resize("none"), parse_resize("256")), (Ok(Resize::Keep), Ok(Resize::ShortSide(256))));
        assert!(parse_resize("big").unwrap_err().contains("SHORT"));
    }
}
