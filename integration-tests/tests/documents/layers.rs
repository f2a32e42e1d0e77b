//! A crate uses the crates below it only, as docs/architecture.md draws them.

use crate::tree;

/// Each crate with those of ours that it may use.
const BELOW: &[(&str, &[&str])] = &[
    ("fusion-ring", &[]),
    ("fusion-ot", &["fusion-ring"]),
    ("fusion-rlwe", &["fusion-ring"]),
    ("fusion-model", &["fusion-ring", "fusion-rlwe"]),
    ("fusion-nn", &["fusion-model", "fusion-ot", "fusion-ring", "fusion-rlwe"]),
    ("fusion-mix", &[]),
    ("fusion-net", &["fusion-ring"]),
    ("fusion", &["fusion-mix", "fusion-model", "fusion-net", "fusion-nn", "fusion-ot", "fusion-ring", "fusion-rlwe"]),
    ("fusion-cli", &["fusion"]),
];

/// Crates of others that one crate keeps to itself, or that some never use.
const KEPT: &[(&str, &[&str])] = &[
    ("tonic", &["fusion-net"]),
    ("tokio", &["fusion-net", "fusion"]),
    ("clap", &["fusion-cli"]),
    ("prost", &["fusion-model", "fusion-net"]),
];

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
    section
        .lines()
        .skip(1)
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[test]
fn crates_use_those_below_them() {
    let mut faults = Vec::new();
    let manifests = tree::files(&["toml"]);
    let of_crates = manifests.iter().filter_map(|file| Some((file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?, &file.text)));
    for (name, text) in of_crates {
        let Some((_, below)) = BELOW.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("{name} has no layer: say what it may use, here and in docs/architecture.md"));
            continue;
        };
        for used in dependencies(text) {
            if used.starts_with("fusion") && !below.contains(&used) {
                faults.push(format!("{name} uses {used}, which is not below it"));
            }
            if KEPT.iter().any(|(kept, by)| *kept == used && !by.contains(&name)) {
                faults.push(format!("{name} uses {used}, which other crates keep to themselves"));
            }
        }
    }
    tree::none(faults);
}

#[test]
fn dependencies_are_found() {
    assert_eq!(
        dependencies("[package]\nname = 1\n\n[dependencies]\na.workspace = true\n# b\nc = \"1\"\n\n[dev-dependencies]\nd = 1\n"),
        ["a", "c"]
    );
}
