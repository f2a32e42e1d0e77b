//! Tallies: what counts, once, and what is refused before it can.

use super::*;
use crate::{
    batch::{BatchAnswers, MixedBatch, PublicSample},
    mix::Mix,
    verify::verify,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// A batch of public samples alone but for one query, answered with label 1; those of `wrong`
/// expect another.
fn batch(ids: std::ops::Range<u32>, wrong: &[u32], tau: u32) -> Verification {
    let publics: Vec<_> = ids.map(|id| PublicSample { id, label: if wrong.contains(&id) { 0 } else { 1 } }).collect();
    let mix = Mix::new(1, 1, publics.len() as u32, tau, 0).unwrap();
    let batch = MixedBatch::assemble(mix, publics, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let mut sheet = BatchAnswers::new(&batch, 0);
    sheet.record(0..mix.samples(), &vec![1; mix.samples() as usize]).unwrap();
    verify(&batch, &sheet).unwrap()
}

const TRUTH: LabelSource = LabelSource::GroundTruth;
const SOUNDNESS: Soundness = Soundness { log2: -40.0, worst_m: 1, error_log2: 0.0 };

fn named(name: &str) -> BatchFacts<'_> {
    BatchFacts { name, labels: TRUTH, soundness: &SOUNDNESS }
}

/// Records a batch whose sample `id` is the image with digest `images[id]`.
fn record(log: &mut AuditLog, digest: &str, labels: LabelSource, batch: &Verification) {
    let images: Vec<String> = (0..64).map(|id| format!("b0{id:02x}")).collect();
    let name = log.models.values().map(|model| model.batches).sum::<u64>().to_string();
    let of = BatchFacts { name: &name, labels, soundness: &SOUNDNESS };
    let entry = AuditEntry::new(digest, &of, (0..).zip(images.iter().map(String::as_str))).unwrap();
    log.record(&entry, batch);
}

#[test]
fn accumulates_per_digest_and_counts_each_image_once() {
    let mut log = AuditLog::default();
    record(&mut log, "AA01", TRUTH, &batch(0..10, &[3], 1));
    record(&mut log, "aa01", TRUTH, &batch(5..15, &[], 0));
    record(&mut log, "aa02", TRUTH, &batch(0..50, &[], 0));
    let found = log.accuracy("aa01", TRUTH, 0.95).unwrap().unwrap();
    assert_eq!((found.correct, found.total, found.batches, found.rejected), (14, 15, 2, 0));
    assert_eq!(found.interval, clopper_pearson(14, 15, 0.95));
    assert_eq!(log.accuracy("aa03", TRUTH, 0.95).unwrap(), None, "another digest's tally does not count");
    assert_eq!(log.accuracy("aa01", LabelSource::Certified, 0.95).unwrap(), None);
    // Agreement with the model's own outputs is another rate.
    record(&mut log, "aa01", LabelSource::Certified, &batch(0..10, &[], 0));
    assert_eq!(log.accuracy("aa01", LabelSource::Certified, 0.95).unwrap().unwrap().total, 10);
    assert_eq!(log.accuracy("aa01", TRUTH, 0.95).unwrap().unwrap().total, 15);
    assert_eq!(log.tallies().map(|(digest, tally)| (digest, tally.images.len())).collect::<Vec<_>>(), [("aa01", 15), ("aa02", 50)]);
}

#[test]
fn an_image_counts_once_however_the_pool_is_cut() {
    let mut log = AuditLog::default();
    let batch = batch(0..10, &[], 0);
    // The same ten images, numbered from the other end in another pool.
    let images: Vec<String> = (0..10).map(|id| format!("c{id}")).collect();
    for turned in [false, true, true] {
        let image = |id: u32| (id, images[if turned { 9 - id } else { id } as usize].as_str());
        // The third time it is the second batch again, which a resumed run has finished before.
        let entry = AuditEntry::new("aa", &named(if turned { "two" } else { "one" }), (0..10).map(image)).unwrap();
        log.record(&entry, &batch);
    }
    assert_eq!(log.accuracy("aa", TRUTH, 0.95).unwrap().unwrap().total, 10);
    assert_eq!(log.batches("AA"), Some(BatchCount { batches: 2, log2: -39.0 }));
    log.record(&AuditEntry::new("bb", &named("one"), [(3, "c0")]).unwrap(), &batch);
    assert_eq!(log.accuracy("bb", TRUTH, 0.95).unwrap().unwrap().total, 1, "what does not count is left out");
}

#[test]
fn what_cannot_be_recorded_is_refused_before_there_are_answers() {
    for bad in ["", "not hex", &"a".repeat(129)] {
        assert!(AuditEntry::new(bad, &named("one"), []).is_err(), "{bad}");
        assert!(AuditEntry::new("aa", &named("one"), [(0, "b0"), (1, bad)]).is_err(), "{bad}");
    }
}

#[test]
fn rejected_batches_count_and_a_wrong_answer_stays_wrong() {
    let mut log = AuditLog::default();
    record(&mut log, "aa", TRUTH, &batch(0..10, &[], 0));
    record(&mut log, "aa", TRUTH, &batch(0..10, &[1, 2, 3], 0));
    record(&mut log, "aa", TRUTH, &batch(0..10, &[], 0));
    let found = log.accuracy("aa", TRUTH, 0.95).unwrap().unwrap();
    assert_eq!((found.correct, found.total, found.batches, found.rejected), (7, 10, 3, 1));
    assert!(log.accuracy("aa", TRUTH, 1.0).is_err());
}

#[test]
fn the_file_of_earlier_versions_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tally.json");
    assert_eq!(AuditLog::load(&path).unwrap(), AuditLog::default());
    let text = r#"{"version":2,"models":{"aa":{"batches":2,"rejected":1,"chances":0.5,"images":
        {"b0":{"truth":true},"b1":{"certified":false}},"names":["one"]},"bb":{"batches":1,"rejected":0,"chances":0.1,"images":{}}}}"#;
    std::fs::write(&path, text).unwrap();
    let log = AuditLog::load(&path).unwrap();
    let mut copy = AuditLog::default();
    log.tallies().for_each(|(digest, tally)| copy.insert(digest, tally.clone()).unwrap());
    assert_eq!(copy, log);
    let tally = log.tallies().next().unwrap().1;
    assert_eq!((tally.batches, tally.rejected, tally.chances, tally.names.len()), (2, 1, 0.5, 1));
    assert_eq!((tally.images["b0"].truth, tally.images["b1"].certified, tally.images["b1"].truth), (Some(true), Some(false), None));
    assert!(copy.insert("XX", ModelTally::default()).is_err());
    let tally = "{\"version\":2,\"models\":{\"XX\":{\"batches\":0,\"rejected\":0,\"chances\":0,\"images\":{}}}}";
    for bad in ["", "{}", "{\"version\":1,\"models\":{}}", tally] {
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(AuditLog::load(&path), Err(MixError::BadFile { .. })), "{bad}");
    }
}
