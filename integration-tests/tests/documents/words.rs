//! The words that we gave up for the field's, and places that a reader does not have.

use crate::tree::File;
use crate::{source, tree};

/// An identifier that code no longer uses, where (a part of the path; empty: everywhere), and the
/// field's word for it.
const IDENTIFIERS: &[(&str, &str, &str)] = &[
    ("Stock", "", "OtBatch, OtQueue"),
    ("Shelf", "", "OtQueue"),
    ("Taken", "fusion-nn", "OtBatch"),
    ("Demand", "", "OtCount"),
    ("meet", "fusion-nn", "OtCount::generate"),
    ("RoundSize", "", "ExtensionSize"),
    ("Leader", "", "sender at the first digit"),
    ("Follower", "", "receiver at the first digit"),
    ("follower", "", "receiver at the first digit"),
    ("kappa", "", "max_inconclusive (kappa only as an alias of serde or clap, in a string)"),
    ("Halves", "", "residues"),
    ("halves", "fusion-ring/src/poly/", "residues"),
    ("planes", "crates/fusion-ring/src/", "bitslice"),
    ("lookups", "crates/fusion-ring/src/", "lookup::sender, lookup::receiver"),
    ("place", "/lpn", "index"),
    ("reach", "/lpn", "advance_to"),
    ("ask", "/lpn", "prefetch"),
    ("tilt", "", "exponential_tilting"),
    ("drift", "", "label_shift"),
    ("Spare", "", "Headroom"),
    ("Carries", "", "TruncationCarry"),
    ("window_drop", "", "shift"),
];

/// Phrases that no text uses, and what to say instead. A space stands for any white space.
const PHRASES: &[(&str, &str)] = &[
    (concat!("shared", "/design"), "a page that readers do not have: say what it says"),
    (concat!("design ", "page"), "a page that readers do not have: say what it says"),
    (concat!("share of ", "Delta"), "fraction: a share is a secret share"),
    (concat!("shares of ", "Delta"), "fraction: a share is a secret share"),
    (concat!("share of the ", "samples"), "fraction: a share is a secret share"),
    (concat!("share of ", "samples"), "fraction: a share is a secret share"),
    (concat!("round of ", "LPN"), "extension"),
    (concat!("LPN ", "round"), "extension"),
    (concat!("OT ", "round"), "extension"),
    (concat!("bit ", "plane"), "bitslice"),
    (concat!("Delta in ", "RLWE"), "scale"),
    (concat!("brought near ", "the processor"), "prefetched"),
    (concat!("window ", "drop"), "shift"),
];

/// File names that go with the words.
const FILES: &[&str] = &["stock.rs", "halves.rs", "planes.rs", "tilt.rs", "drift.rs", "terms.rs", "agreement.rs", "utils.rs"];

#[test]
fn code_uses_the_words_of_the_field() {
    let mut faults = Vec::new();
    for file in tree::rust() {
        for (number, line) in source::code(&file.text).lines().enumerate() {
            for word in source::identifiers(line) {
                for (_, _, instead) in IDENTIFIERS.iter().filter(|(ours, part, _)| *ours == word && file.path.contains(part)) {
                    faults.push(format!("{}:{}: {word}, rather {instead}", file.path, number + 1));
                }
            }
        }
        let in_src = file.path.contains("/src/");
        if in_src && FILES.iter().any(|name| file.path.ends_with(&format!("/{name}"))) {
            faults.push(format!("{}: the file has a name that we gave up", file.path));
        }
    }
    tree::none(faults);
}

#[test]
fn texts_use_the_words_of_the_field() {
    let mut faults = Vec::new();
    // The changelog may name what is gone.
    for file in tree::files(&["rs", "md", "toml", "proto", "py"]).iter().filter(|file| file.path != "CHANGELOG.md") {
        let text = flowing(file);
        for (phrase, instead) in PHRASES {
            for (at, _) in text.match_indices(phrase) {
                faults.push(format!("{}:{}: \"{phrase}\", rather {instead}", file.path, line_of(file, &text, at)));
            }
        }
    }
    tree::none(faults);
}

/// The text as one line, without the marks of comments, so that phrases are found across lines.
fn flowing(file: &File) -> String {
    let line = |line: &str| line.trim().trim_start_matches(['/', '!', '#']).trim_start().to_owned();
    file.text.lines().map(line).collect::<Vec<_>>().join(" ")
}

/// The line of `file` that holds byte `at` of its [`flowing`] text.
fn line_of(file: &File, text: &str, at: usize) -> usize {
    let mut end = 0;
    for (number, line) in file.text.lines().enumerate() {
        end += line.trim().trim_start_matches(['/', '!', '#']).trim_start().len() + 1;
        if at < end {
            return number + 1;
        }
    }
    text.len()
}
