//! Which crate may use which. The table is the law; a crate that is not in it fails the test.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every crate and the crates of this workspace that it may use, lower layers first: a row names
/// only crates of rows above it, so that there can be no circle.
const MAY_USE: &[(&str, &[&str])] = &[
    ("fusion-ring", &[]),
    ("fusion-ot", &["fusion-ring"]),
    ("fusion-rlwe", &["fusion-ring"]),
    ("fusion-model", &["fusion-ring", "fusion-rlwe"]),
    ("fusion-nn", &["fusion-ring", "fusion-ot", "fusion-rlwe", "fusion-model"]),
    ("fusion-mix", &[]),
    ("fusion-net", &["fusion-ring"]),
    ("fusion", &["fusion-ring", "fusion-ot", "fusion-rlwe", "fusion-model", "fusion-nn", "fusion-mix", "fusion-net"]),
    ("fusion-gateway", &["fusion"]),
    // Mixing and models only to print what `fusion` returns.
    ("fusion-cli", &["fusion", "fusion-gateway", "fusion-mix", "fusion-model"]),
    // The words and pages of reports, and the readers of flags, are those of the command.
    ("fusion-py", &["fusion", "fusion-cli"]),
];

/// What whoever only wants a private ReLU must not have to build.
const HEAVY: [&str; 5] = ["prost", "safetensors", "ndarray", "tonic", "tokio"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Dependencies of a manifest that are crates of this workspace, for whatever target and optional
/// or not, but not those of tests.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut relevant = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            relevant = section == "dependencies" || section.ends_with(".dependencies") || section == "build-dependencies";
        } else if relevant && line.starts_with("fusion") {
            found.insert(line.split(['.', ' ', '=']).next().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn manifests_are_read() {
    let manifest = "[package]\nname = \"fusion-x\"\n[dependencies]\nfusion-a.workspace = true\nfusion-b = { path = \"b\" }\nother = \"1\"\n\
        [target.'cfg(unix)'.dependencies]\nfusion-c=\"1\"\n[dev-dependencies]\nfusion-d.workspace = true\n";
    assert_eq!(dependencies(manifest), ["fusion-a", "fusion-b", "fusion-c"].map(str::to_owned).into());
}

#[test]
fn the_table_has_no_circle() {
    for (row, (name, uses)) in MAY_USE.iter().enumerate() {
        for used in *uses {
            assert!(MAY_USE[..row].iter().any(|(above, _)| above == used), "{name} may use {used}, which is not above it");
        }
    }
}

#[test]
fn every_crate_uses_only_what_the_table_says() {
    let mut crates = 0;
    for entry in std::fs::read_dir(workspace().join("crates")).unwrap() {
        let directory = entry.unwrap();
        let name = directory.file_name().into_string().unwrap();
        let (_, allowed) = MAY_USE.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let manifest = std::fs::read_to_string(directory.path().join("Cargo.toml")).unwrap();
        for used in dependencies(&manifest) {
            assert!(allowed.contains(&used.as_str()), "{name} uses {used}, which is not below it");
        }
        crates += 1;
    }
    assert_eq!(crates, MAY_USE.len(), "the table has crates that do not exist");
}

/// The features of `fusion-model` keep files and formats out of the layer protocols.
#[test]
fn a_private_relu_needs_no_file_formats() {
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "-p", "fusion-nn", "-e", "normal", "--prefix", "none", "--offline", "--locked"]);
    let output = tree.current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("fusion-model") && names.contains("fusion-ot"), "{text}");
    for heavy in HEAVY {
        assert!(!names.contains(heavy), "fusion-nn needs {heavy}");
    }
}
