//! Imports go one way: no circle between the files of a crate, no public module that nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{self, Module, Path};
use crate::tree::{self, File};

/// The roots of our crates: `crates/NAME/src/lib.rs`, and binaries and tools beside them.
fn roots(files: &[File]) -> impl Iterator<Item = &str> {
    let is_root = |path: &str| path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    files.iter().map(|file| file.path.as_str()).filter(move |path| is_root(path))
}

#[test]
fn files_of_a_crate_import_in_one_direction() {
    let files = tree::files(&["rs"]);
    let mut faults = Vec::new();
    for root in roots(&files) {
        let modules = modules::of(root, &files);
        let edges = edges(&modules);
        let near: BTreeMap<&Path, BTreeSet<&Path>> = edges.iter().map(|(from, to)| (*from, to.keys().copied().collect())).collect();
        for circle in circles(&near) {
            let mut fault = format!("{root}: a circle of {} files", circle.len());
            for from in &circle {
                for (to, line) in edges[from].iter().filter(|(to, _)| circle.contains(*to)) {
                    fault.push_str(&format!("\n    {}:{line} uses {}", modules[*from].file, modules[*to].file));
                }
            }
            faults.push(fault);
        }
    }
    tree::none(faults);
}

type Edges<'a> = BTreeMap<&'a Path, BTreeMap<&'a Path, usize>>;

/// For each module the others that it uses, with a line that does. Handing on by `pub use` is no
/// use.
fn edges(modules: &BTreeMap<Path, Module>) -> Edges<'_> {
    let mut edges = Edges::new();
    for (from, module) in modules {
        let to = edges.entry(from).or_default();
        for used in &module.uses {
            if let Some(target) = target(modules, &used.path, 8).filter(|target| *target != from) {
                to.entry(target).or_insert(used.line);
            }
        }
    }
    edges
}

/// The module in whose file `path` is defined, behind up to `hops` times `pub use`.
fn target<'a>(modules: &'a BTreeMap<Path, Module>, path: &[String], hops: usize) -> Option<&'a Path> {
    let length = (0..=path.len()).rev().find(|&length| modules.contains_key(&path[..length]))?;
    let (at, module) = modules.get_key_value(&path[..length])?;
    let Some(name) = path.get(length).filter(|_| hops > 0) else { return Some(at) };
    let rest = &path[length + 1..];
    let named = module.exports.iter().find(|(export, _)| export == name);
    if let Some((_, export)) = named {
        let path: Path = export.iter().chain(rest).cloned().collect();
        return target(modules, &path, hops - 1);
    }
    Some(at)
}

/// The strongly connected parts of more than one node.
fn circles<'a>(near: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> Vec<BTreeSet<&'a Path>> {
    let reach = |from: &'a Path| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(node) = open.pop() {
            for &next in near.get(node).into_iter().flatten() {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = near.keys().map(|&from| (from, reach(from))).collect();
    let circle =
        |node: &'a Path| reached[node].iter().copied().filter(|other| reached.get(other).is_some_and(|back| back.contains(node))).collect();
    let found: BTreeSet<BTreeSet<&Path>> = near.keys().map(|&node| circle(node)).filter(|circle: &BTreeSet<_>| circle.len() > 1).collect();
    found.into_iter().collect()
}

#[test]
fn every_public_module_has_a_user() {
    let files = tree::files(&["rs", "md"]);
    let mut faults = Vec::new();
    for root in roots(&files).filter(|root| root.starts_with("crates/") && root.ends_with("lib.rs")) {
        let name = root.split('/').nth(1).unwrap();
        let inside = format!("crates/{name}/src/");
        let modules = modules::of(root, &files);
        for (path, module) in &modules {
            for child in &module.public {
                let full: Path = path.iter().chain([child]).cloned().collect();
                // What cannot be reached from outside is for the compiler's lint.
                let open =
                    (0..full.len()).all(|length| modules.get(&full[..length]).is_some_and(|module| module.public.contains(&full[length])));
                let outside = |file: &&File| !file.path.starts_with(&inside);
                if open && !files.iter().filter(outside).any(|file| names(&file.text, name, &full)) {
                    faults.push(format!("{}: nobody outside uses `pub mod {child}`", module.file));
                }
            }
        }
    }
    tree::none(faults);
}

/// Whether `text` names the module at `path` of the crate, by a path or in a group of `use`.
fn names(text: &str, name: &str, path: &[String]) -> bool {
    let crate_name = name.replace('-', "_");
    let plain = format!("{crate_name}::{}", path.join("::"));
    let word_ends = |rest: &str| !rest.starts_with(|char: char| char.is_alphanumeric() || char == '_');
    if text.match_indices(&plain).any(|(at, _)| word_ends(&text[at + plain.len()..])) {
        return true;
    }
    // A group: `fusion_x::a::{b, c::d}` up to its closing brace or semicolon.
    (0..path.len()).any(|length| {
        let parts: Vec<&str> = [crate_name.as_str()].into_iter().chain(path[..length].iter().map(String::as_str)).collect();
        let group = format!("{}::{{", parts.join("::"));
        text.match_indices(&group).any(|(at, _)| {
            let group = text[at + group.len()..].split(';').next().unwrap_or_default();
            let rest = path[length..].join("::");
            group.match_indices(&rest).any(|(at, _)| {
                word_ends(&group[at + rest.len()..])
                    && !group[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == ':')
            })
        })
    })
}

#[test]
fn circles_are_found() {
    let paths: Vec<Path> = ["a", "b", "c", "d"].iter().map(|name| vec![(*name).to_owned()]).collect();
    let near = BTreeMap::from([
        (&paths[0], BTreeSet::from([&paths[1]])),
        (&paths[1], BTreeSet::from([&paths[2]])),
        (&paths[2], BTreeSet::from([&paths[0]])),
        (&paths[3], BTreeSet::from([&paths[0]])),
    ]);
    assert_eq!(circles(&near), [BTreeSet::from([&paths[0], &paths[1], &paths[2]])]);
}
