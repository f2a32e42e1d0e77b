//! Images to classify and public samples with known answers: where they come from and in which
//! order.
//!
//! The order of a folder is the order of its file names, on every machine, so that an answer's
//! index means the same image in a report read elsewhere. A [`Sample`] is read only when its tensor
//! is asked for: a pool of thousands of photos costs memory for the names alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use fusion_model::preprocess::Preprocess;
use fusion_ring::symmetric::digest::{Digest, Hasher};
use image::DynamicImage;

use super::decode;
use super::error::{ImageError, MAX_FILE_BYTES};

/// One image, with its true label if that is known.
#[derive(Debug, Clone)]
pub struct Sample {
    /// File name, or position on a contact sheet; unique within its source.
    pub name: String,
    /// Index of the true class.
    pub label: Option<u32>,
    source: Source,
}

/// Bytes of a file that are hashed at a time.
const CHUNK: usize = 64 << 10;

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Pixels(DynamicImage),
}

/// Names a file, and says nothing of what an image shows.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Pixels(image) => write!(f, "Pixels({} x {})", image.width(), image.height()),
        }
    }
}

impl Sample {
    /// The network's input for this image, ordered `[channel][row][column]`.
    ///
    /// # Errors
    /// The file is gone or no image, or does not fit the recipe.
    pub fn tensor(&self, spec: &Preprocess) -> Result<Vec<f32>, ImageError> {
        match &self.source {
            Source::File(path) => decode::load(path, spec),
            Source::Pixels(image) => decode::preprocess(image.clone(), &self.name, spec),
        }
    }

    /// Width and height in pixels, as stored, without decoding the rest.
    ///
    /// # Errors
    /// The file is gone or no image.
    pub fn size(&self) -> Result<(u32, u32), ImageError> {
        match &self.source {
            Source::Pixels(image) => Ok((image.width(), image.height())),
            Source::File(path) => {
                let read = |source| ImageError::Read { path: path.clone(), source };
                let not_an_image = |source| ImageError::NotAnImage { name: self.name.clone(), source };
                let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format).map_err(read)?;
                reader.into_dimensions().map_err(not_an_image)
            }
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
                hash.update(image.as_bytes());
            }
        }
        Ok(hash.finish())
    }
}

/// The images that a path names, and what else lies there.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The images, as [`folder`] finds them.
    pub samples: Vec<Sample>,
    /// Names of the other files and folders that are not hidden, and why they are left out.
    pub skipped: Vec<(String, &'static str)>,
}

/// As [`folder`], and lists what it leaves out.
///
/// # Errors
/// As there.
pub fn listing(path: &Path) -> Result<Listing, ImageError> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    let samples = folder(path)?;
    let mut skipped = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(read)? {
            let entry = entry.map_err(read)?;
            let (file, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') {
                continue;
            }
            if file.is_dir() {
                skipped.push((name, "a folder: name it, too, if its images are meant"));
            } else if !has_image_extension(&file) {
                skipped.push((name, "no .png, .jpg or .jpeg file"));
            }
        }
    }
    skipped.sort();
    Ok(Listing { samples, skipped })
}

/// The images of a folder (files ending in .png, .jpg or .jpeg, sorted by name, not those of its
/// subfolders), or the single image that `path` names.
///
/// # Errors
/// The folder cannot be read or has no image.
pub fn folder(path: &Path) -> Result<Vec<Sample>, ImageError> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(read)?.is_file() {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        return Ok(vec![Sample { name, label: None, source: Source::File(path.to_owned()) }]);
    }
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)? {
        let entry = entry.map_err(read)?;
        let file = entry.path();
        if has_image_extension(&file) && file.is_file() {
            samples.push(Sample { name: entry.file_name().to_string_lossy().into_owned(), label: None, source: Source::File(file) });
        }
    }
    if samples.is_empty() {
        return Err(ImageError::NoImages { path: path.to_owned() });
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(samples)
}

/// The images of `path` that the label list names, in the order of their names. The list is CSV: a
/// heading line, then `file,label`.
///
/// # Errors
/// As [`folder`]; the list cannot be read, or names a file that the folder does not have.
pub fn labelled_folder(path: &Path, labels: &Path) -> Result<Vec<Sample>, ImageError> {
    let text = std::fs::read_to_string(labels).map_err(|source| ImageError::Read { path: labels.to_owned(), source })?;
    let list = labels.display().to_string();
    let mut wanted = BTreeMap::new();
    for (line, name, label) in rows(&text, &list)? {
        if wanted.insert(name, (line, label)).is_some() {
            return Err(ImageError::Labels { name: list, line, reason: format!("{name} is listed twice") });
        }
    }
    let mut samples = folder(path)?;
    samples.retain_mut(|s| {
        s.label = wanted.remove(s.name.as_str()).map(|(_, label)| label);
        s.label.is_some()
    });
    if let Some((name, (line, _))) = wanted.pop_first() {
        return Err(ImageError::Labels { name: list, line, reason: format!("{} has no image {name}", path.display()) });
    }
    Ok(samples)
}

/// Cuts a contact sheet of square cells, row by row, into labelled samples. The list is CSV: a
/// heading line, then `index,label` for indices 0, 1, 2 and so on.
///
/// # Errors
/// The sheet is no image, is not made of whole cells or has fewer cells than labels, or the list is
/// malformed.
pub fn sheet(content: &[u8], labels: &str, side: u32, name: &str) -> Result<Vec<Sample>, ImageError> {
    let image = decode::decode(content, name)?;
    let refuse = |reason: String| ImageError::Sheet { name: name.to_owned(), reason };
    if side == 0 || !image.width().is_multiple_of(side) || !image.height().is_multiple_of(side) {
        return Err(refuse(format!("{} x {} pixels is not a grid of {side}-pixel cells", image.width(), image.height())));
    }
    let (columns, cells) = (image.width() / side, (image.width() / side) * (image.height() / side));
    let mut samples = Vec::new();
    for (line, index, label) in rows(labels, name)? {
        let at = u32::try_from(samples.len()).expect("fewer than the sheet's cells, checked below");
        if index != at.to_string() {
            return Err(ImageError::Labels { name: name.to_owned(), line, reason: format!("expected index {at}, found {index}") });
        }
        if at >= cells {
            return Err(refuse(format!("{cells} cells, but more labels")));
        }
        let cell = image.crop_imm(at % columns * side, at / columns * side, side, side);
        samples.push(Sample { name: format!("{name}#{at}"), label: Some(label), source: Source::Pixels(cell) });
    }
    Ok(samples)
}

fn has_image_extension(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["png", "jpg", "jpeg"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Line number, key and label of every row below the heading.
fn rows<'a>(text: &'a str, name: &str) -> Result<Vec<(usize, &'a str, u32)>, ImageError> {
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let row = line.split_once(',').and_then(|(key, label)| Some((at + 1, key.trim(), label.trim().parse().ok()?)));
            row.ok_or_else(|| ImageError::Labels {
                name: name.to_owned(),
                line: at + 1,
                reason: "expected a name, a comma and a class index".to_owned(),
            })
        })
        .collect()
}
