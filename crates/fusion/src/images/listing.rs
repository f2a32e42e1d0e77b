//! What lies in a folder: the images, and what is left out of it and why.

use std::fs::FileType;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decode;
use super::error::ImageError;
use super::labels;
use super::samples::{Listed, Sample};

/// Endings of the names of image files.
const ENDINGS: [&str; 9] = ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "tif", "tiff"];

/// Files that a message names before it only counts them.
const NAMED: usize = 3;

/// The images that a path names, and what else lies there.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The images, in the order of their names.
    pub samples: Vec<Sample>,
    /// Names of the other files and folders, and why they are left out.
    pub skipped: Vec<LeftOut>,
    path: PathBuf,
}

/// A name, and why it is left out.
pub type LeftOut = (String, &'static str);

/// The images of a folder, in the order of their names, or the single image that `path` names.
/// Images in subfolders and hidden files are left out: a name that begins with a dot is that of a
/// program's own file, such as the `._` files that macOS writes beside every photo.
///
/// # Errors
/// The folder cannot be read or has no image.
pub fn listing(path: &Path) -> Result<Listing, ImageError> {
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    let (mut samples, mut skipped) = (Vec::new(), Vec::new());
    if std::fs::metadata(path).map_err(read)?.is_file() {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        samples.push(Sample::of_file(name, path.to_owned()));
        return Ok(Listing { samples, skipped, path: path.to_owned() });
    }
    for entry in std::fs::read_dir(path).map_err(read)? {
        let entry = entry.map_err(read)?;
        let (file, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // Links count as what they lead to.
        match left_out(&name, std::fs::metadata(&file).ok().map(|found| found.file_type())) {
            Some(reason) => skipped.push((name, reason)),
            None => samples.push(Sample::of_file(name, file)),
        }
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    skipped.sort();
    if samples.is_empty() {
        return Err(ImageError::NoImages { path: path.to_owned(), instead: instead(&skipped) });
    }
    Ok(Listing { samples, skipped, path: path.to_owned() })
}

/// Why a file of a folder is left out, if it is.
fn left_out(name: &str, kind: Option<FileType>) -> Option<&'static str> {
    let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match kind {
        _ if name.starts_with('.') => Some("hidden: name the file itself if it is meant"),
        None => Some("it cannot be looked at: a link to nothing, or without permission"),
        Some(kind) if kind.is_dir() => Some("a folder: name it, too, if its images are meant"),
        Some(kind) if !kind.is_file() => Some("no file, but a device or a pipe"),
        Some(_) if !ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) => {
            Some("not named as an image that is read (PNG, JPEG, WebP, BMP, TIFF)")
        }
        Some(_) => None,
    }
}

fn instead(skipped: &[LeftOut]) -> String {
    let named: Vec<&str> = skipped.iter().take(NAMED).map(|(name, _)| name.as_str()).collect();
    match skipped.len() {
        0 => "it is empty".to_owned(),
        all if all > NAMED => format!("there are {} and {} more", named.join(", "), all - NAMED),
        _ => format!("there are {}", named.join(", ")),
    }
}

impl Listing {
    /// Gives the images the labels of a list. It is CSV, `name,class` with or without a heading;
    /// images that it does not name keep none.
    ///
    /// # Errors
    /// The list cannot be read, contradicts itself, or names what is no image of the folder.
    pub fn with_labels(mut self, list: &Path) -> Result<Self, ImageError> {
        let content = decode::read(list)?;
        let name: Arc<str> = list.display().to_string().into();
        let is_image = |key: &str| self.samples.binary_search_by(|sample| sample.name.as_str().cmp(key)).is_ok();
        let rows = labels::rows(&content, &name, is_image)?;
        let refuse = |line, reason| ImageError::Labels { name: name.to_string(), line, reason };
        if rows.is_empty() {
            return Err(refuse(1, "no row names an image: expected rows such as cat.png,3".to_owned()));
        }
        let mut rows = labels::by_name(rows, &name)?;
        for sample in &mut self.samples {
            if let Some(row) = rows.remove(&sample.name) {
                sample.label = Some(row.label);
                sample.listed = Some(Listed { list: Arc::clone(&name), line: row.line });
            }
        }
        if let Some(first) = rows.values().min_by_key(|row| row.line) {
            return Err(refuse(first.line, self.missing(&first.key, rows.len())));
        }
        self.skipped.retain(|(file, _)| self.path.join(file) != list);
        Ok(self)
    }

    /// Why a row is about no image.
    fn missing(&self, key: &str, rows: usize) -> String {
        let known = self.skipped.iter().find(|(name, _)| name == key).map_or(String::new(), |(_, reason)| format!(" ({reason})"));
        format!(
            "{} has no image {key}{known}; {rows} of the list's rows name no image: take them out, or name files as the folder does, without a path",
            self.path.display()
        )
    }

    /// Leaves out the images without a label.
    #[must_use]
    pub fn only_labelled(mut self) -> Self {
        let unlabelled = self.samples.extract_if(.., |sample| sample.label.is_none());
        self.skipped.extend(unlabelled.map(|sample| (sample.name, "no row of the list of labels names it")));
        self.skipped.sort();
        self
    }
}

/// The images that [`listing`] finds.
///
/// # Errors
/// As there.
pub fn folder(path: &Path) -> Result<Vec<Sample>, ImageError> {
    Ok(listing(path)?.samples)
}

/// The images of `path` that the label list names, in the order of their names.
///
/// # Errors
/// As [`listing`] and [`Listing::with_labels`].
pub fn labelled_folder(path: &Path, labels: &Path) -> Result<Vec<Sample>, ImageError> {
    Ok(listing(path)?.with_labels(labels)?.only_labelled().samples)
}
