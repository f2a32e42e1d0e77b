use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::parts::{ANSWERS, CARD, HINT, WEIGHTS};
use super::*;
use crate::answer_sheet::AnswerSheet;
use crate::card::{Digest, HintFacts};
use crate::program::{Weights, WeightsError};
use crate::testing::small_model;

fn written(directory: &Path, seed: u64) -> PathBuf {
    let (card, private) = small_model(seed);
    let target = directory.join(format!("model{seed}.fusion"));
    let mut writer = PackageWriter::create(&target, card, &private, None).unwrap();
    for chunk in [seed as u8; 5000].chunks(1234) {
        writer.write_all(chunk).unwrap();
    }
    let card = writer.finish().unwrap();
    assert_eq!(Package::read_card(&target).unwrap(), card);
    target
}

#[test]
fn what_is_written_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    let target = written(scratch.path(), 1);
    let package = Package::open(&target).unwrap();
    let (card, private) = small_model(1);
    assert_eq!(package.card().program, card.program);
    let plain = |w: &Weights| w.linear.iter().map(|l| (l.terms.clone(), l.bias.clone())).collect::<Vec<_>>();
    assert_eq!(plain(&package.private().weights), plain(&private.weights));
    assert_eq!(package.private().key.as_bytes(), private.key.as_bytes());
    assert_eq!(fs::read(package.hint_path()).unwrap(), [1; 5000]);
    assert_eq!(package.card().hint, Some(HintFacts { digest: Digest::of(&[1; 5000]), bytes: 5000 }));
    assert_eq!(Package::read_card(&target.join(CARD)).unwrap(), *package.card());
    assert!(matches!(PackageWriter::create(&target, card, &private, None), Err(PackageError::Exists(_))));
    // The temporary name is gone.
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[test]
fn published_answers_are_a_part_like_the_others() {
    let scratch = tempfile::tempdir().unwrap();
    let target = scratch.path().join("model.fusion");
    let (card, private) = small_model(1);
    let sheet = AnswerSheet::new([(Digest::of(b"one"), Some(1)), (Digest::of(b"two"), None)], card.classes()).unwrap();
    let mut writer = PackageWriter::create(&target, card, &private, Some(&sheet)).unwrap();
    writer.write_all(&[1; 100]).unwrap();
    let card = writer.finish().unwrap();
    let path = Package::open(&target).unwrap().answers_path().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(AnswerSheet::decode(&bytes, card.classes()).unwrap(), sheet);
    fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
    assert!(matches!(Package::open(&target).err(), Some(PackageError::Length { part: ANSWERS, .. })));
    let mut other = bytes.clone();
    other[20] ^= 1;
    fs::write(&path, other).unwrap();
    assert!(matches!(Package::open(&target).err(), Some(PackageError::Digest { part: ANSWERS, .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(Package::open(&target).err(), Some(PackageError::MissingPart { part: ANSWERS, .. })));
}

/// Also where an interrupted run left files that everybody may read, or a link.
#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_weights() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    fs::write(&elsewhere, "mine").unwrap();
    for seed in 1..=3 {
        let left = scratch.path().join(format!("model{seed}.fusion.partial"));
        if seed > 1 {
            fs::create_dir(&left).unwrap();
        }
        match seed {
            2 => fs::write(left.join(WEIGHTS), "left").unwrap(),
            3 => std::os::unix::fs::symlink(&elsewhere, left.join(WEIGHTS)).unwrap(),
            _ => {}
        }
        let target = written(scratch.path(), seed);
        assert!(Package::open(&target).is_ok() && !left.exists());
        assert_eq!(fs::metadata(target.join(WEIGHTS)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
}

#[test]
fn missing_parts_are_named() {
    for name in [CARD, WEIGHTS, HINT] {
        let scratch = tempfile::tempdir().unwrap();
        let target = written(scratch.path(), 1);
        fs::remove_file(target.join(name)).unwrap();
        let expected = PackageError::MissingPart { package: target.clone(), part: name };
        assert_eq!(Package::open(&target).err(), Some(expected));
    }
}

#[test]
fn truncated_parts_are_refused() {
    for name in [CARD, WEIGHTS, HINT] {
        let scratch = tempfile::tempdir().unwrap();
        let target = written(scratch.path(), 1);
        let path = target.join(name);
        let bytes = fs::read(&path).unwrap();
        for keep in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..keep]).unwrap();
            let error = Package::open(&target).err();
            match name {
                CARD => assert!(matches!(error, Some(PackageError::Card(_))), "{error:?}"),
                WEIGHTS => assert!(matches!(error, Some(PackageError::Digest { part: WEIGHTS, .. })), "{error:?}"),
                _ => assert_eq!(error, Some(PackageError::Length { part: HINT, expected: 5000, actual: keep as u64 })),
            }
        }
    }
}

#[test]
fn parts_of_another_model_are_refused() {
    for name in [CARD, WEIGHTS, HINT] {
        let scratch = tempfile::tempdir().unwrap();
        let (one, two) = (written(scratch.path(), 1), written(scratch.path(), 2));
        fs::copy(two.join(name), one.join(name)).unwrap();
        let expected_part = if name == CARD { WEIGHTS } else { name };
        match Package::open(&one).err() {
            Some(PackageError::Digest { part, .. }) => assert_eq!(part, expected_part),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn weights_beyond_the_stated_bounds_are_not_written() {
    let scratch = tempfile::tempdir().unwrap();
    let (card, mut private) = small_model(1);
    private.weights.linear[0].terms[0][0] = i16::MAX;
    let error = PackageWriter::create(&scratch.path().join("x"), card, &private, None).err();
    assert!(matches!(error, Some(PackageError::Weights(WeightsError::Bound { .. }))), "{error:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}
