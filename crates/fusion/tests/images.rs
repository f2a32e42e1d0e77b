//! Image input: equal to Pillow's resize, ordered by name, and clear about files that are no
//! images.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use fusion::images::{self, ImageError, Sample};
use fusion_model::preprocess::{Channels, Filter, Preprocess, Resize};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn raw(short_side: Option<u32>, crop: u32, channels: Channels) -> Preprocess {
    let resize = short_side.map_or(Resize::Keep, Resize::ShortSide);
    Preprocess { resize, crop, channels, mean: vec![0.0; channels.count()], scale: vec![1.0; channels.count()], ..Preprocess::none() }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn resizing_equals_pillow_exactly() {
    for (filter, name) in [(Filter::Bilinear, "bilinear"), (Filter::Bicubic, "bicubic")] {
        for side in [20, 64] {
            let reference = images::load(&data(&format!("pattern-{name}-{side}.png")), &raw(None, side, Channels::Rgb)).unwrap();
            let spec = Preprocess { filter, ..raw(Some(side), side, Channels::Rgb) };
            let ours = images::load(&data("pattern.png"), &spec).unwrap();
            assert_eq!(largest_difference(&ours, &reference), 0.0, "{name}, short side {side}");
        }
        let reference = images::load(&data(&format!("pattern-{name}-30x40.png")), &raw(None, 30, Channels::Rgb)).unwrap();
        let spec = Preprocess { filter, resize: Resize::Exact { width: 30, height: 40 }, ..raw(None, 30, Channels::Rgb) };
        let ours = images::load(&data("pattern.png"), &spec).unwrap();
        assert_eq!(largest_difference(&ours, &reference), 0.0, "{name}, 30 x 40");
    }
}

/// A camera that was held upright stores its photo lying, and says so: `turned.jpg` is
/// `pattern.jpg` with an Exif tag that turns it by a quarter.
#[test]
fn a_photo_is_turned_as_its_tag_says() {
    ["turned.jpg", "turned.webp"].into_iter().for_each(is_turned);
}

fn is_turned(name: &str) {
    // In gray: WebP keeps colours at half the resolution.
    let spec = raw(None, 40, Channels::Gray);
    let (lying, turned) = (images::load(&data("pattern.jpg"), &spec).unwrap(), images::load(&data(name), &spec).unwrap());
    // Clockwise: what stood at (row, column) stands at (column, 39 - row).
    let at = |image: &[f32], row: usize, column: usize| image[row * 40 + column];
    // The margins of 61 x 47 and of 47 x 61 are cut at the same pixels but for one, which the odd
    // sides leave at the right or at the bottom.
    let differences = (1..39).flat_map(|row| (1..39).map(move |column| (row, column)));
    let best = [-1i32, 0, 1]
        .map(|shift| {
            differences.clone().map(|(r, c)| (at(&lying, r, c) - at(&turned, c, (39 - r as i32 + shift) as usize % 40)).abs()).sum::<f32>()
        })
        .into_iter()
        .fold(f32::INFINITY, f32::min);
    let unturned: f32 = differences.map(|(r, c)| (at(&lying, r, c) - at(&turned, r, c)).abs()).sum();
    assert!(best < unturned / 5.0, "turned {best}, not turned {unturned}");
}

#[test]
fn crop_takes_the_centre_and_planes_follow_the_order() {
    let pixel = |x: u32, y: u32| image::Rgb([x as u8, y as u8, 200]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ramp.png");
    image::RgbImage::from_fn(10, 7, pixel).save(&file).unwrap();
    let tensor = images::load(&file, &raw(None, 4, Channels::Bgr)).unwrap();
    assert_eq!(&tensor[..16], &[200.0; 16], "blue first");
    assert_eq!(&tensor[16..20], &[1.0; 4], "rows 1..5 of 7");
    assert_eq!(&tensor[32..36], &[3.0, 4.0, 5.0, 6.0], "columns 3..7 of 10");
}

#[test]
fn jpeg_is_read_by_content_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let renamed = folder.path().join("photo.png");
    std::fs::copy(data("pattern.jpg"), &renamed).unwrap();
    let spec = raw(Some(20), 20, Channels::Rgb);
    let jpeg = images::load(&renamed, &spec).unwrap();
    let png = images::load(&data("pattern.png"), &spec).unwrap();
    assert!(largest_difference(&jpeg, &png) < 16.0, "only the compression differs");
}

#[test]
fn files_that_are_no_images_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Preprocess::mnist();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let full = std::fs::read(data("pattern.png")).unwrap();
    for (name, content) in [("text.png", b"hello".as_slice()), ("empty.jpg", b"")] {
        let error = images::load(&write(name, content), &spec).unwrap_err();
        assert!(matches!(error, ImageError::UnknownType { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = images::load(&write("moving.png", b"GIF89a\x01\0\x01\0\0\0\0"), &spec).unwrap_err();
    assert!(matches!(error, ImageError::NotAnImage { .. }) && error.to_string().contains("moving.png"), "{error:?}");
    let huge = write("huge.png", &full);
    std::fs::OpenOptions::new().write(true).open(&huge).unwrap().set_len(images::MAX_FILE_BYTES + 1).unwrap();
    let error = images::load(&huge, &spec).unwrap_err();
    assert!(matches!(&error, ImageError::FileTooLarge { path } if *path == huge), "{error:?}");
    let missing = folder.path().join("missing.png");
    let error = images::load(&missing, &spec).unwrap_err();
    assert!(matches!(&error, ImageError::Read { path, .. } if *path == missing), "{error:?}");
}

#[test]
fn claimed_dimensions_are_bounded_before_decoding() {
    // A PNG header that claims 2^31-1 x 2^31-1 pixels, followed by nothing.
    let mut bomb = std::fs::read(data("pattern.png")).unwrap();
    bomb[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let crc = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = images::decode(&bomb, "bomb.png").unwrap_err();
    let ImageError::NotAnImage { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, image::ImageError::Limits(_)), "{source:?}");
}

/// A few bytes that claim a picture whose sides are allowed, and whose pixels would fill memory.
#[test]
fn claimed_pixels_are_bounded_before_decoding() {
    let mut bomb = encoded(&image::RgbaImage::new(1, 1).into(), image::ImageFormat::Bmp);
    bomb[18..22].copy_from_slice(&16_000u32.to_le_bytes());
    bomb[22..26].copy_from_slice(&16_000u32.to_le_bytes());
    let error = images::decode(&bomb, "bomb.bmp").unwrap_err();
    let ImageError::NotAnImage { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, image::ImageError::Limits(_)), "{source:?}");
}

fn encoded(picture: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut content = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut content, format).unwrap();
    content.into_inner()
}

#[test]
fn every_type_without_losses_gives_the_same_pixels() {
    let pattern = image::open(data("pattern.png")).unwrap();
    for format in [image::ImageFormat::Png, image::ImageFormat::Bmp, image::ImageFormat::Tiff, image::ImageFormat::WebP] {
        assert_eq!(images::decode(&encoded(&pattern, format), "x").unwrap().to_rgb8(), pattern.to_rgb8(), "{format:?}");
    }
}

/// However much of a file's end is missing, it is refused by name, unless no pixel is missing: a
/// decoder that fills up with grey would have it classified.
#[test]
fn a_file_that_was_cut_short_is_never_half_a_picture() {
    let pattern = image::open(data("pattern.png")).unwrap();
    let read = |name: &str| std::fs::read(data(name)).unwrap();
    let stripe = encoded(&image::GrayImage::from_fn(24, 24, |x, y| image::Luma([(9 * x + 5 * y) as u8])).into(), image::ImageFormat::Jpeg);
    let mut files = vec![read("pattern.jpg"), read("turned.jpg"), read("turned.webp"), jpeg_in_tiff(&stripe, 24)];
    files.extend(
        [image::ImageFormat::Png, image::ImageFormat::Bmp, image::ImageFormat::Tiff, image::ImageFormat::WebP]
            .map(|format| encoded(&pattern, format)),
    );
    for (at, file) in files.iter().enumerate() {
        let whole = images::decode(file, "whole").unwrap();
        for length in (0..file.len()).step_by(7).chain(file.len() - 16..file.len()) {
            match images::decode(&file[..length], "cut.jpg") {
                Ok(image) => assert_eq!(image, whole, "file {at} cut to {length} of {}", file.len()),
                Err(error) => assert!(error.to_string().contains("cut.jpg"), "{error}"),
            }
        }
        let half = images::decode(&file[..file.len() / 2], "half").unwrap_err();
        assert!(matches!(half, ImageError::Truncated { .. } | ImageError::NotAnImage { .. }), "file {at}: {half:?}");
    }
    let jpeg = read("pattern.jpg");
    for length in [jpeg.len() / 2, jpeg.len() - 2] {
        let error = images::decode(&jpeg[..length], "cut.jpg").unwrap_err();
        assert!(matches!(error, ImageError::Truncated { .. }), "{error:?}");
    }
}

/// A preview inside a photo has an end of its own, which is not that of the photo; and what stands
/// behind the end is nobody's business.
#[test]
fn the_end_of_a_preview_is_not_that_of_the_photo() {
    let photo = std::fs::read(data("pattern.jpg")).unwrap();
    let preview = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9";
    let with_preview = [&photo[..2], preview, &photo[2..], b"more"].concat();
    assert_eq!(images::decode(&with_preview, "whole").unwrap(), images::decode(&photo, "plain").unwrap());
    let error = images::decode(&with_preview[..photo.len() / 2], "cut").unwrap_err();
    assert!(matches!(error, ImageError::Truncated { .. }), "{error:?}");
}

/// A TIFF of one gray JPEG, which stands behind the directory: its decoder does not miss the end.
fn jpeg_in_tiff(jpeg: &[u8], side: u16) -> Vec<u8> {
    let [side, length] = [u32::from(side), u32::try_from(jpeg.len()).unwrap()];
    let entries: [(u16, u32); 9] =
        [(256, side), (257, side), (258, 8), (259, 7), (262, 1), (273, 8 + 2 + 9 * 12 + 4), (277, 1), (278, side), (279, length)];
    let mut file = b"II*\0\x08\0\0\0\x09\0".to_vec();
    for (tag, value) in entries {
        // One unsigned 32-bit number each.
        file.extend([tag.to_le_bytes(), 4u16.to_le_bytes()].concat());
        file.extend([1u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file.extend(jpeg);
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 }))
}

#[test]
fn images_that_do_not_fit_the_recipe_are_refused() {
    let small = image::DynamicImage::new_luma8(27, 28);
    let error = images::preprocess(small, "small.png", &Preprocess::mnist()).unwrap_err();
    assert!(matches!(error, ImageError::TooSmall { width: 27, height: 28, crop: 28, .. }), "{error:?}");
    let strip = image::DynamicImage::new_luma8(1, 17);
    let error = images::preprocess(strip, "strip.png", &Preprocess::imagenet_caffe()).unwrap_err();
    assert!(matches!(error, ImageError::TooThin { width: 1, height: 17, .. }), "{error:?}");
    let hostile = Preprocess { crop: u32::MAX, ..Preprocess::mnist() };
    let error = images::preprocess(image::DynamicImage::new_luma8(28, 28), "digit.png", &hostile).unwrap_err();
    assert!(matches!(error, ImageError::Preprocess(_)), "{error:?}");
}

#[test]
fn a_sheet_must_be_a_grid_with_matching_labels() {
    let mut png = Vec::new();
    let grid = image::GrayImage::from_fn(6, 4, |x, y| image::Luma([(x / 2 + 3 * (y / 2)) as u8]));
    grid.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    let cells = images::sheet(&png, "index,label\n0,5\n1,6\n2,7\n3,8\n", 2, "sheet").unwrap();
    assert_eq!(cells.iter().map(|c| c.label).collect::<Vec<_>>(), [Some(5), Some(6), Some(7), Some(8)]);
    assert_eq!(cells[3].tensor(&raw(None, 2, Channels::Gray)).unwrap(), [3.0; 4], "second row, first column");
    assert!(matches!(images::sheet(&png, "h\n", 5, "sheet"), Err(ImageError::Sheet { .. })));
    assert!(matches!(images::sheet(&png, "h\n1,5\n", 2, "sheet"), Err(ImageError::Labels { line: 2, .. })));
    let too_many: String = std::iter::once("h\n".to_owned()).chain((0..7).map(|i| format!("{i},0\n"))).collect();
    assert!(matches!(images::sheet(&png, &too_many, 2, "sheet"), Err(ImageError::Sheet { .. })));
}

/// The digits that come with the command-line program.
fn mnist_pool() -> Vec<Sample> {
    let read = |name: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist").join(name)).unwrap();
    images::sheet(&read("pool.png"), &String::from_utf8(read("pool.csv")).unwrap(), 28, "pool").unwrap()
}

#[test]
fn the_committed_pool_and_queries_are_usable_digits() {
    let pool = mnist_pool();
    assert!(pool.len() >= 440, "{} digits", pool.len());
    let spec = Preprocess::mnist();
    for class in 0..10 {
        assert!(pool.iter().filter(|s| s.label == Some(class)).count() >= 20, "class {class} is rare");
    }
    let queries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist/queries");
    let queries = images::labelled_folder(&queries, &queries.with_extension("csv")).unwrap();
    assert!(queries.len() >= 16);
    let pool: Vec<_> = pool.iter().map(|s| s.tensor(&spec).unwrap()).collect();
    for query in &queries {
        let tensor = query.tensor(&spec).unwrap();
        let ink = tensor.iter().sum::<f32>() / tensor.len() as f32;
        assert!((0.01..0.5).contains(&ink), "{}: mean ink {ink}", query.name);
        assert!(!pool.contains(&tensor), "{} is in the public pool", query.name);
    }
}

#[test]
fn an_image_in_memory_is_what_its_file_is() {
    let path = data("pattern.png");
    let (file, bytes) = (images::listing(&path).unwrap().samples.remove(0), std::fs::read(&path).unwrap());
    let memory = Sample::of_bytes("pattern.png", bytes);
    let spec = raw(Some(20), 20, Channels::Rgb);
    assert_eq!(memory.tensor(&spec).unwrap(), file.tensor(&spec).unwrap());
    assert_eq!(memory.digest().unwrap(), file.digest().unwrap());
    assert_eq!((memory.size().unwrap(), memory.thumbnail(9).unwrap()), (file.size().unwrap(), file.thumbnail(9).unwrap()));
    assert!(!format!("{memory:?}").contains("PNG"), "what an image shows is not printed");
    assert!(matches!(Sample::of_bytes("x", *b"no image").tensor(&spec), Err(ImageError::UnknownType { .. })));
}
