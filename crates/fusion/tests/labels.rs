//! Folders and lists of labels as people have them: what is read, and what is said of the rest.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use fusion::images::{self, ImageError, Listing, Sample, check_labels};

fn picture(path: &Path) {
    image::GrayImage::new(28, 28).save_with_format(path, image::ImageFormat::Png).unwrap();
}

/// A folder with these images and this list.
fn labelled(names: &[&str], list: impl AsRef<[u8]>) -> Result<Listing, ImageError> {
    let folder = tempfile::tempdir().unwrap();
    names.iter().for_each(|name| picture(&folder.path().join(name)));
    let file = folder.path().join("labels.csv");
    std::fs::write(&file, list).unwrap();
    images::listing(folder.path()).unwrap().with_labels(&file)
}

fn labels(samples: &[Sample]) -> Vec<(&str, Option<u32>)> {
    samples.iter().map(|sample| (sample.name.as_str(), sample.label)).collect()
}

/// The line and the message of a list that is refused.
fn refused(names: &[&str], list: impl AsRef<[u8]>) -> (u64, String) {
    let error = labelled(names, list).unwrap_err();
    let text = error.to_string();
    let ImageError::Labels { line, .. } = error else { panic!("{error:?}") };
    assert!(text.contains("labels.csv, line "), "{text}");
    (line, text)
}

#[test]
fn a_heading_is_optional_and_lists_are_read_as_programs_write_them() {
    let (names, wanted) = (["0800.png", "0801.png"], [("0800.png", Some(1)), ("0801.png", Some(5))]);
    for list in [
        "0800.png,1\n0801.png,5\n",
        "file,label\n0800.png,1\n0801.png,5\n",
        "\u{feff}0800.png,1\r\n0801.png,5\r\n",
        "\u{feff}\"file\",\"label\"\r\n\"0800.png\",\"1\"\r\n\"0801.png\",\"5\"",
        "\n\n./0800.png,1\n   \n,\n././0801.png,5\n\n",
        ".\\0800.png , 1\n 0801.png\t,\t5 ",
        "\"0800.png\", \"1\"\r0801.png,5,\r",
        "0801.png,5\n0800.png,1\n./0800.png,1\n",
    ] {
        let found = labelled(&names, list).unwrap_or_else(|error| panic!("{list:?}: {error}"));
        assert_eq!(labels(&found.samples), wanted, "{list:?}");
        assert!(found.skipped.is_empty(), "{:?}: the list is used, not left out", found.skipped);
    }
    let odd = ["a \"b\".png", "c, d.png"];
    let found = labelled(&odd, "\"c, d.png\",2\n\"a \"\"b\"\".png\",1\n").unwrap();
    assert_eq!(labels(&found.samples), [("a \"b\".png", Some(1)), ("c, d.png", Some(2))]);
}

/// The first row is a heading only where it cannot be an image with a mistake in its label.
#[test]
fn a_first_row_is_not_dropped_because_it_is_wrong() {
    let names = ["a.png", "b.png"];
    for list in
        ["a.png,cat\nb.png,1\n", "a.png\nb.png,1\n", "a.png,3.0\n", "z.png,-1\nb.png,1\n", "z.png,4294967296\nb.png,1\n", "a.png,1,2\n"]
    {
        assert_eq!(refused(&names, list).0, 1, "{list:?}");
    }
}

#[test]
fn every_fault_names_the_line_that_an_editor_shows() {
    let names = ["a.png", "b.png"];
    for (list, at, says) in [
        ("file,label\r\n\r\na.png,1\r\n\r\n\r\nb.png,x\r\n", 6, "class index"),
        ("file,label\n\n \na.png;1\n", 4, "a comma"),
        ("file,label\r\ra.png,\r", 3, "class index"),
        ("\"file\n(name)\",label\n\"a.png,1\nb.png,2\n", 3, "class index"),
        ("a.png,1\n./a.png,2\n", 2, "a.png has label 2 here, but 1 on line 1"),
        ("a.png,1\nz.png,1\ny.png,1\n", 2, "has no image z.png; 2 of the list's rows name no image"),
        ("file,label\n", 1, "no row names an image"),
        ("", 1, "no row names an image"),
    ] {
        let (line, text) = refused(&names, list);
        assert!(line == at && text.contains(says), "{list:?}: line {line}, {text}");
    }
    let (line, text) = refused(&names, b"a.png,1\nb\xe9.png,1\n");
    assert!(line == 2 && text.contains("UTF-8"), "{text}");
    let (_, text) = refused(&["a.png", ".h.png", "c.gif"], "a.png,1\n.h.png,1\n");
    assert!(text.contains("hidden"), "{text}");
}

#[test]
fn images_without_a_row_are_kept_or_left_out_by_name() {
    let found = labelled(&["a.png", "b.png"], "b.png,4\n").unwrap();
    assert_eq!(labels(&found.samples), [("a.png", None), ("b.png", Some(4))]);
    let found = found.only_labelled();
    assert_eq!(labels(&found.samples), [("b.png", Some(4))]);
    assert!(matches!(&found.skipped[..], [(name, reason)] if name == "a.png" && reason.contains("no row")), "{:?}", found.skipped);
}

#[test]
fn labels_beyond_the_classes_name_list_line_and_likely_cause() {
    let names = ["a.png", "b.png", "c.png"];
    let check = |list: &str, classes| check_labels(labelled(&names, list).unwrap().samples.iter(), classes);
    check("a.png,0\nb.png,9\n", 10).unwrap();
    check("a.png,1\nb.png,9\n", 10).unwrap();
    let text = |list: &str| check(list, 10).unwrap_err().to_string();
    let from_one = text("file,label\na.png,1\nb.png,10\nc.png,3\n");
    for part in ["labels.csv, line 3: b.png has label 10", "0 to 9", "seem to count from 1", "subtract 1"] {
        assert!(from_one.contains(part), "{from_one}");
    }
    for list in ["a.png,0\nb.png,10\n", "a.png,1\nb.png,11\nc.png,10\n"] {
        let other = text(list);
        assert!(other.contains("line 2: b.png") && !other.contains("count from 1"), "{list:?}: {other}");
    }
}

#[test]
fn what_is_left_out_of_a_folder_is_listed_and_why() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["d1.png", "b0.webp", "e.jfif", "f.TIF", "g.bmp", ".hidden.png", "._d1.png", "anim.gif", "photo.heic", "noending"] {
        picture(&folder.path().join(name));
    }
    std::fs::create_dir(folder.path().join("sub.png")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", folder.path().join("broken.png")).unwrap();
    let found = images::listing(folder.path()).unwrap();
    let names: Vec<&str> = found.samples.iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!(names, ["b0.webp", "d1.png", "e.jfif", "f.TIF", "g.bmp"]);
    let reason = |file: &str| found.skipped.iter().find(|(name, _)| name == file).unwrap_or_else(|| panic!("{file} is not listed")).1;
    for (file, says) in [
        ("._d1.png", "hidden"),
        (".hidden.png", "hidden"),
        ("anim.gif", "PNG, JPEG"),
        ("photo.heic", "PNG, JPEG"),
        ("noending", "PNG, JPEG"),
        ("sub.png", "folder"),
    ] {
        assert!(reason(file).contains(says), "{file}: {}", reason(file));
    }
    #[cfg(unix)]
    assert!(reason("broken.png").contains("link to nothing"));
    assert_eq!(images::folder(&folder.path().join(".hidden.png")).unwrap().len(), 1, "what is named itself is meant");
}

#[test]
fn a_folder_without_images_says_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    assert!(images::listing(folder.path()).unwrap_err().to_string().contains("it is empty"));
    for name in ["1.gif", "2.heic", "3.txt", "4.txt"] {
        picture(&folder.path().join(name));
    }
    let error = images::listing(folder.path()).unwrap_err().to_string();
    assert!(error.contains("1.gif, 2.heic, 3.txt and 1 more"), "{error}");
}
