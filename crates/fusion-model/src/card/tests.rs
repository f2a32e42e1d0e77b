use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::preprocess::{Filter, Preprocess, Resize};
use crate::program::{Activation, Op, ProgramError};
use crate::testing::small_model;

fn card() -> ModelCard {
    ModelCard { hint: Some(HintFacts { digest: Digest::of(b"hint"), bytes: 1000 }), ..small_model(1).0 }
}

#[test]
fn a_card_survives_its_encoding() {
    let card = card();
    let bytes = card.encode().unwrap();
    assert_eq!(ModelCard::decode(&bytes).unwrap(), card);
    assert_eq!(card.digest().unwrap(), Digest::of(&bytes));
    let mut coarse = card.clone();
    for step in &mut coarse.program.steps {
        if let Op::Requantise { activation, .. } = &mut step.op {
            *activation = Activation::CoarseRelu { left_out: 3 };
        }
    }
    let decoded = ModelCard::decode(&coarse.encode().unwrap()).unwrap();
    assert!(decoded == coarse && decoded != card);
    let bare = ModelCard { claim: None, labels: Vec::new(), hint: None, ..card };
    assert_eq!(ModelCard::decode(&bare.encode().unwrap()).unwrap(), bare);
}

/// Steps of every kind, as networks have them.
#[test]
fn programs_of_all_kinds_survive_their_encoding() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..80 {
        let (file, images) = crate::testing::random_network(seed, 4);
        let graph = crate::onnx::import(&file).unwrap();
        let shape = graph.input_shape();
        let recipe = if shape.channels == 1 { Preprocess::mnist() } else { Preprocess::none() };
        if shape.height != shape.width || shape.channels == 2 {
            continue;
        }
        let ranges = crate::calibrate::calibrate(&graph, &images).unwrap();
        let (program, _) = crate::plan::plan(&graph, &ranges, &crate::plan::PlanOptions::default()).unwrap();
        kinds.extend(program.steps.iter().map(|step| match &step.op {
            Op::Requantise { activation: Activation::Clip { .. }, .. } => "clip",
            Op::Piecewise { .. } => "piecewise",
            Op::Multiply { .. } => "multiply",
            Op::Select { channels, .. } if channels.contains(&None) => "zeros",
            Op::Select { .. } => "select",
            Op::Linear { .. } | Op::Requantise { .. } | Op::Add { .. } | Op::SumPool { .. } | Op::Concat { .. } | Op::Flatten { .. } => {
                "other"
            }
        }));
        let preprocess = Preprocess { crop: shape.height as u32, ..recipe };
        let card = ModelCard { program, preprocess, labels: Vec::new(), ..card() };
        assert_eq!(ModelCard::decode(&card.encode().unwrap()).unwrap(), card);
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["clip", "multiply", "other", "piecewise", "select", "zeros"]);
}

#[test]
fn digests_name_what_they_should() {
    let card = card();
    let other_hint = ModelCard { hint: Some(HintFacts { digest: Digest::of(b"another"), bytes: 1000 }), ..card.clone() };
    assert_ne!(card.digest().unwrap(), other_hint.digest().unwrap());
    assert_eq!(card.seed().unwrap(), other_hint.seed().unwrap());
    let renamed = ModelCard { name: "other".to_owned(), ..card.clone() };
    assert_ne!(card.seed().unwrap(), renamed.seed().unwrap());
}

#[test]
fn other_encodings_of_the_same_card_are_refused() {
    let bytes = card().encode().unwrap();
    // An unknown field (15, a zero varint), and a repeated version field.
    assert_eq!(ModelCard::decode(&[&bytes[..], &[0x78, 0]].concat()), Err(CardError::NotCanonical));
    assert_eq!(ModelCard::decode(&[&[0x08, 2], &bytes[..]].concat()), Err(CardError::NotCanonical));
    assert_eq!(ModelCard::decode(&vec![0; MAX_CARD_BYTES + 1]), Err(CardError::TooLong(MAX_CARD_BYTES + 1)));
}

#[test]
fn invalid_cards_are_neither_read_nor_written() {
    let good = card();
    let field = |card: ModelCard| match card.encode() {
        Err(CardError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(ModelCard { name: "x".repeat(300), ..good.clone() }), "name");
    assert_eq!(field(ModelCard { name: "\u{1b}[2J".to_owned(), ..good.clone() }), "name");
    assert_eq!(field(ModelCard { labels: vec!["a".to_owned()], ..good.clone() }), "labels");
    assert_eq!(field(ModelCard { preprocess: Preprocess::mnist(), ..good.clone() }), "preprocessing");
    let claim = Some(Claim { top1: f64::NAN, dataset: String::new() });
    assert_eq!(field(ModelCard { claim, ..good.clone() }), "claim");
    let hint = Some(HintFacts { digest: Digest::default(), bytes: u64::MAX });
    assert_eq!(field(ModelCard { hint, ..good.clone() }), "hint");
    for resize in [Resize::Keep, Resize::Exact { width: 9, height: 7 }] {
        let preprocess = Preprocess { resize, filter: Filter::Bicubic, ..good.preprocess.clone() };
        let card = ModelCard { preprocess, ..good.clone() };
        assert_eq!(ModelCard::decode(&card.encode().unwrap()).unwrap(), card);
    }
    let answers = |bytes| Some(AnswerFacts { digest: Digest::of(b"answers"), bytes });
    assert_eq!(field(ModelCard { answers: answers(0), ..good.clone() }), "answers");
    assert_eq!(field(ModelCard { answers: answers(u64::MAX), ..good.clone() }), "answers");
    let flips = |rate, images| Some(Flips { rate, group: 0.1, images });
    for bad in [flips(1.5, 10), flips(f64::NAN, 10), flips(0.1, 0)] {
        assert_eq!(field(ModelCard { flips: bad, ..good.clone() }), "flips");
    }
    let full = ModelCard { answers: answers(400), flips: flips(0.0025, 200), ..good.clone() };
    assert_eq!(ModelCard::decode(&full.encode().unwrap()).unwrap(), full);
    assert_ne!(full.seed().unwrap(), good.seed().unwrap(), "the hint is bound to the published answers");
    assert_eq!(field(ModelCard { logits_bits: 11, ..good.clone() }), "logits");
    assert!(ModelCard { logits_bits: 10, ..good.clone() }.encode().is_ok());
    let mut noisy = good;
    for step in &mut noisy.program.steps {
        if let Op::Linear { row_norm, .. } = &mut step.op {
            *row_norm = 1 << 31;
        }
    }
    assert!(matches!(noisy.encode(), Err(CardError::Program(ProgramError::Noise { .. }))));
}

#[test]
fn cards_of_other_versions_and_parameters_are_refused() {
    let bytes = card().encode().unwrap();
    assert_eq!(bytes[..2], [0x08, 3], "the version comes first");
    for version in [1, 2] {
        let old = ModelCard::decode(&[&[0x08, version], &bytes[2..]].concat()).unwrap_err();
        assert_eq!(old, CardError::Version(version.into()));
        assert!(old.to_string().contains("prepare the model again"), "{old}");
    }
    // The parameters as their message has them: N = 2048, q = 2^32, 21 bits.
    let parameters = [0x08, 0x80, 0x10, 0x10, 32, 0x18, 21];
    let at = bytes.windows(parameters.len()).position(|w| w == parameters).unwrap();
    for (offset, value) in [(2, 0x20), (4, 31), (6, 20)] {
        let mut bad = bytes.clone();
        bad[at + offset] = value;
        assert!(matches!(ModelCard::decode(&bad), Err(CardError::Invalid { field: "encryption parameters", .. })));
    }
}

#[test]
fn decoding_survives_damage() {
    let bytes = card().encode().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for n in 0..bytes.len() {
        // A cut just before the hint leaves the card that the seed is made of.
        let cut = ModelCard::decode(&bytes[..n]);
        assert!(cut.is_err() || cut.is_ok_and(|c| c.hint.is_none()), "{n} bytes");
    }
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bad = bytes.clone();
        for _ in 0..=rng.next_u32() % 3 {
            let at = rng.next_u32() as usize % bad.len();
            bad[at] = rng.next_u32() as u8;
        }
        // What is accepted is a valid card with exactly this encoding.
        if let Ok(card) = ModelCard::decode(&bad) {
            assert_eq!(card.encode().unwrap(), bad);
            accepted += 1;
        }
    }
    assert!(accepted > 0, "some damage only changes a name or a digest");
}
