//! What documents name must exist: links, headings, paths, examples, tests, modules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::tree::File;
use crate::{source, tree};

/// The documents for readers: everything in Markdown, but for texts of fuzzing tools and caches.
fn documents() -> Vec<File> {
    let files = tree::files(&["md"]);
    for expected in ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/architecture.md"] {
        assert!(files.iter().any(|file| file.path == expected), "{expected} is missing");
    }
    files
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for file in documents() {
        for (number, line) in file.text.lines().enumerate() {
            for link in links(line) {
                if let Some(fault) = broken(&file, link) {
                    faults.push(format!("{}:{}: {link}: {fault}", file.path, number + 1));
                }
            }
        }
    }
    tree::none(faults);
}

/// The targets of `[text](target)`, but for those on the Web.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
}

fn broken(file: &File, link: &str) -> Option<&'static str> {
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let target = if path.is_empty() { tree::root().join(&file.path) } else { beside(file).join(path) };
    if !target.exists() {
        return Some("no such file");
    }
    let readme = if target.is_dir() { target.join("README.md") } else { target };
    let heading = heading?;
    let text = fs::read_to_string(readme).ok()?;
    let known = text.lines().filter(|line| line.starts_with('#')).map(slug).any(|slug| slug == heading);
    (!known).then_some("no such heading")
}

fn beside(file: &File) -> PathBuf {
    tree::root().join(&file.path).parent().unwrap().to_path_buf()
}

/// What hosts make of a heading.
fn slug(heading: &str) -> String {
    let kept = |char: &char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_');
    heading.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).map(|char| if char == ' ' { '-' } else { char }).collect()
}

#[test]
fn paths_exist() {
    let top: BTreeSet<String> = fs::read_dir(tree::root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir() && entry.file_name() != "target")
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let mut faults = Vec::new();
    for file in documents() {
        for (number, line) in file.text.lines().enumerate() {
            for word in paths(line) {
                let first = word.split('/').next().unwrap_or_default();
                let is_crate = tree::root().join("crates").join(first).is_dir();
                let known = top.contains(first) || is_crate || first == "..";
                let exists = is_crate && tree::root().join("crates").join(word).exists()
                    || tree::root().join(word).exists()
                    || beside(&file).join(word).exists()
                    || resolves_from_the_crate(&file, word);
                if known && !exists {
                    faults.push(format!("{}:{}: there is no {word}", file.path, number + 1));
                }
            }
        }
    }
    tree::none(faults);
}

/// The words of a line that look like paths: at least one slash, no characters of a pattern or URL.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let ends = |char: char| char.is_whitespace() || "`()[]|,;\"'<>*:{}#".contains(char);
    line.split(ends).map(|word| word.trim_end_matches(['.', '/'])).filter(|word| word.contains('/') && !word.starts_with('/'))
}

/// READMEs of crates may name files of their crate, and commands write `../` from there.
fn resolves_from_the_crate(file: &File, word: &str) -> bool {
    let mut folder = Path::new(&file.path).components();
    matches!(folder.next(), Some(Component::Normal(first)) if first == "crates")
        && folder.next().is_some_and(|name| tree::root().join("crates").join(name).join(word).exists())
}

#[test]
fn named_examples_and_tests_exist() {
    let mut faults = Vec::new();
    let sources = tree::rust();
    let known = |folder: &str, name: &str| {
        let (file, main) = (format!("/{folder}/{name}.rs"), format!("/{folder}/{name}/main.rs"));
        sources.iter().any(|source| format!("/{}", source.path).ends_with(&file) || format!("/{}", source.path).ends_with(&main))
    };
    for file in tree::files(&["md", "rs"]) {
        for (number, line) in file.text.lines().enumerate() {
            for (flag, folder) in [("--example ", "examples"), ("--test ", "tests"), ("--bench ", "benches")] {
                let names =
                    line.split(flag).skip(1).filter_map(|rest| rest.split(|char: char| !(char.is_alphanumeric() || char == '_')).next());
                for name in names.filter(|name| !known(folder, name) && name.starts_with(|char: char| char.is_ascii_lowercase())) {
                    faults.push(format!("{}:{}: there is no {flag}{name}", file.path, number + 1));
                }
            }
        }
    }
    tree::none(faults);
}

#[test]
fn named_modules_and_items_exist() {
    let mut faults = Vec::new();
    // The changelog may name what is gone.
    for file in documents().iter().filter(|file| file.path != "CHANGELOG.md") {
        for (number, line) in file.text.lines().enumerate() {
            for path in rust_paths(line) {
                if let Some(fault) = unknown(&path) {
                    faults.push(format!("{}:{}: {}: {fault}", file.path, number + 1, path.join("::")));
                }
            }
        }
    }
    tree::none(faults);
}

/// Paths such as `fusion_mix::soundness` in a line; of `a::{b, c}` both `a::b` and `a::c`.
fn rust_paths(line: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    for (at, _) in
        line.match_indices("fusion").filter(|(at, _)| !line[..*at].ends_with(|char: char| char.is_alphanumeric() || "_-/:".contains(char)))
    {
        let end = line[at..].find(|char: char| !(char.is_alphanumeric() || char == '_' || char == ':')).map_or(line.len(), |end| at + end);
        let path: Vec<&str> = line[at..end].split("::").filter(|part| !part.is_empty()).collect();
        if path.len() < 2 && !line[at..end].ends_with("::") {
            continue;
        }
        if line[at..end].ends_with("::") && line[end..].starts_with('{') {
            let group = line[end + 1..].split('}').next().unwrap_or_default();
            found.extend(
                group
                    .split(',')
                    .filter(|last| !last.contains('{'))
                    .map(|last| path.iter().copied().chain(last.trim().split("::")).collect()),
            );
        } else {
            found.push(path);
        }
    }
    found
}

/// What is wrong with a path: each part must stand as a word in the file of the module before it.
fn unknown(path: &[&str]) -> Option<String> {
    let mut folder = tree::root().join("crates").join(path[0].replace('_', "-")).join("src");
    let mut file = folder.join("lib.rs");
    for part in &path[1..] {
        let Ok(text) = fs::read_to_string(&file) else { return Some(format!("no {}", file.display())) };
        if !source::identifiers(&source::code(&text)).any(|word| word == *part) {
            return Some(format!("no {part} in {}", file.strip_prefix(tree::root()).unwrap_or(&file).display()));
        }
        folder = folder.join(part);
        file = [folder.with_extension("rs"), folder.join("mod.rs")].into_iter().find(|file| file.exists())?;
    }
    None
}

#[test]
fn finders_find() {
    assert_eq!(links("see [a](b.md#c), [d](https://e.f) and [g](h)").collect::<Vec<_>>(), ["b.md#c", "h"]);
    assert_eq!(paths("`crates/a/b.rs`, or docs/c.md. Not /d or e").collect::<Vec<_>>(), ["crates/a/b.rs", "docs/c.md"]);
    assert_eq!(
        rust_paths("`fusion_a::b` and `fusion::{c, d::E}`, not fusion_f"),
        [vec!["fusion_a", "b"], vec!["fusion", "c"], vec!["fusion", "d", "E"]]
    );
    assert_eq!(slug("## Who is trusted, with `what`?"), "who-is-trusted-with-what");
}
