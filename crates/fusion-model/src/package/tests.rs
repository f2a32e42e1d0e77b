use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::parts::{ANSWERS, CARD, HINT, SEAL, WEIGHTS};
use super::*;
use crate::answer_sheet::AnswerSheet;
use crate::card::{Claim, Digest, Flips, HintFacts, ModelCard};
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
        for private in [WEIGHTS, SEAL] {
            assert_eq!(fs::metadata(target.join(private)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
}

#[test]
fn missing_parts_are_named() {
    for name in [CARD, WEIGHTS, SEAL, HINT] {
        let scratch = tempfile::tempdir().unwrap();
        let target = written(scratch.path(), 1);
        fs::remove_file(target.join(name)).unwrap();
        let expected = PackageError::MissingPart { package: target.clone(), part: name };
        assert_eq!(Package::open(&target).err(), Some(expected));
    }
}

#[test]
fn truncated_parts_are_refused() {
    for name in [CARD, WEIGHTS, SEAL, HINT] {
        let scratch = tempfile::tempdir().unwrap();
        let target = written(scratch.path(), 1);
        let path = target.join(name);
        let bytes = fs::read(&path).unwrap();
        for keep in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..keep]).unwrap();
            let error = Package::open(&target).err();
            match name {
                CARD => assert!(matches!(error, Some(PackageError::Edited { .. })), "{error:?}"),
                SEAL => assert_eq!(error, Some(PackageError::Seal)),
                WEIGHTS => assert!(matches!(error, Some(PackageError::Digest { part: WEIGHTS, .. })), "{error:?}"),
                _ => assert_eq!(error, Some(PackageError::Length { part: HINT, expected: 5000, actual: keep as u64 })),
            }
        }
    }
}

#[test]
fn parts_of_another_model_are_refused() {
    for name in [CARD, WEIGHTS, SEAL, HINT] {
        let scratch = tempfile::tempdir().unwrap();
        let (one, two) = (written(scratch.path(), 1), written(scratch.path(), 2));
        fs::copy(two.join(name), one.join(name)).unwrap();
        match (name, Package::open(&one).err()) {
            (CARD | SEAL, Some(PackageError::Edited { .. })) => {}
            (WEIGHTS | HINT, Some(PackageError::Digest { part, .. })) => assert_eq!(part, name),
            (_, other) => panic!("{name}: {other:?}"),
        }
        // Card and seal together are of another package than the weights.
        if name == CARD {
            fs::copy(two.join(SEAL), one.join(SEAL)).unwrap();
            assert!(matches!(Package::open(&one).err(), Some(PackageError::Digest { part: WEIGHTS, .. })));
        }
    }
}

/// Changes one field.
type Edit = fn(&mut ModelCard);

/// Each field of a valid card that says something to clients, changed as an owner might, who knows
/// the digests of the other parts and how a card is encoded.
#[test]
fn an_edited_card_is_refused_and_named() {
    let edits: [(&str, Edit); 8] = [
        ("name", |card| card.name.push('x')),
        ("claim", |card| card.claim = Some(Claim { top1: 0.5, dataset: "noise".to_owned() })),
        ("flips", |card| card.flips = Some(Flips { rate: 0.005, group: 0.05, images: 64 })),
        ("labels", |card| card.labels.swap(0, 1)),
        ("preprocess", |card| card.preprocess.mean[0] += 0.5),
        ("logits", |card| card.logits_bits = 10),
        ("window", |card| card.program.logits_window.shift += 1),
        ("hint", |card| card.hint = card.hint.map(|hint| HintFacts { digest: Digest::of(b"other"), ..hint })),
    ];
    let scratch = tempfile::tempdir().unwrap();
    let target = written(scratch.path(), 1);
    let (path, whole) = (target.join(CARD), fs::read(target.join(CARD)).unwrap());
    for (what, edit) in edits {
        let mut card = Package::read_card(&target).unwrap();
        edit(&mut card);
        let edited = card.encode().unwrap();
        assert_ne!(edited, whole, "{what}");
        fs::write(&path, &edited).unwrap();
        let refused = Package::open(&target).err();
        assert_eq!(refused, Some(PackageError::Edited { sealed: Digest::of(&whole), actual: Digest::of(&edited) }), "{what}");
        // Whoever may write the seal too, but cannot read the key, is found out by its tag.
        let seal = fs::read(target.join(SEAL)).unwrap();
        let at = seal.windows(32).position(|bytes| bytes == Digest::of(&whole).as_bytes()).unwrap();
        let mut forged = seal.clone();
        forged[at..at + 32].copy_from_slice(Digest::of(&edited).as_bytes());
        fs::write(target.join(SEAL), forged).unwrap();
        let refused = Package::open(&target).err();
        assert!(matches!(refused, Some(PackageError::Seal | PackageError::Length { .. })) || what == "hint", "{what}: {refused:?}");
        fs::write(target.join(SEAL), seal).unwrap();
        fs::write(&path, &whole).unwrap();
        assert!(Package::open(&target).is_ok());
    }
}

#[test]
fn every_bit_of_a_card_counts() {
    let scratch = tempfile::tempdir().unwrap();
    let target = written(scratch.path(), 1);
    let whole = fs::read(target.join(CARD)).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(target.join(CARD), &damaged).unwrap();
        assert!(matches!(Package::open(&target).err(), Some(PackageError::Edited { .. })), "byte {at}");
    }
}

#[test]
fn a_package_of_an_older_version_is_told_to_be_prepared_again() {
    let scratch = tempfile::tempdir().unwrap();
    let target = written(scratch.path(), 1);
    fs::remove_file(target.join(SEAL)).unwrap();
    let refused = Package::open(&target).err().unwrap().to_string();
    assert!(refused.contains("fusion prepare") && refused.contains(SEAL), "{refused}");
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
