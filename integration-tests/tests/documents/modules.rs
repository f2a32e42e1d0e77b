//! The modules of a crate, as `mod` declarations make them, and what each one uses.

use std::collections::BTreeMap;

use crate::source;
use crate::tree::File;

/// A module that is a file: its path in the crate (empty: the root) and its code without tests.
pub(crate) struct Module {
    pub(crate) file: String,
    /// What `use` declarations and paths name, as absolute paths in the crate, with the line.
    pub(crate) uses: Vec<Use>,
    /// What `pub use` hands on: the name here, and the absolute path. A glob has the name `*`.
    pub(crate) exports: Vec<(String, Path)>,
    /// Children declared `pub mod`.
    pub(crate) public: Vec<String>,
}

/// Names from the root of the crate on.
pub(crate) type Path = Vec<String>;

pub(crate) struct Use {
    pub(crate) path: Path,
    pub(crate) line: usize,
}

/// The modules of the crate whose root is the file `root`, without those for tests only.
pub(crate) fn of(root: &str, files: &[File]) -> BTreeMap<Path, Module> {
    let mut modules = BTreeMap::new();
    let mut open = vec![(Path::new(), root.to_owned())];
    while let Some((path, name)) = open.pop() {
        let Some(file) = files.iter().find(|file| file.path == name) else { continue };
        let tokens = tokens(&source::without_tests(&source::code(&file.text)));
        let children = children(&tokens);
        for (child, _) in &children {
            let folder = name
                .strip_suffix("/lib.rs")
                .or(name.strip_suffix("/main.rs"))
                .or(name.strip_suffix("/mod.rs"))
                .or(name.strip_suffix(".rs"))
                .unwrap_or(&name);
            let at: Path = path.iter().chain([child]).cloned().collect();
            let place = [format!("{folder}/{child}.rs"), format!("{folder}/{child}/mod.rs")];
            open.extend(place.into_iter().filter(|place| files.iter().any(|file| file.path == *place)).map(|place| (at.clone(), place)));
        }
        let (uses, exports) = paths(&tokens, &path, &children);
        let public = children.into_iter().filter(|(_, public)| *public).map(|(name, _)| name).collect();
        modules.insert(path, Module { file: name, uses, exports, public });
    }
    modules
}

/// Words and punctuation, each with its line.
struct Token {
    text: String,
    line: usize,
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|char: char| !(char.is_alphanumeric() || char == '_')).unwrap_or(rest.len());
            let length = if word > 0 {
                word
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { text: rest[..length].to_owned(), line: number + 1 });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// `mod name;`, and whether it is `pub`.
fn children(tokens: &[Token]) -> Vec<(String, bool)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    (0..tokens.len())
        .filter(|&at| text(at) == "mod" && text(at + 2) == ";")
        .map(|at| (text(at + 1).to_owned(), at > 0 && text(at - 1) == "pub"))
        .collect()
}

/// All paths that name something of a crate, and those that are handed on.
fn paths(tokens: &[Token], module: &Path, children: &[(String, bool)]) -> (Vec<Use>, Vec<(String, Path)>) {
    let (mut uses, mut exports) = (Vec::new(), Vec::new());
    // The file's module and the modules inside the file that surround a token.
    let mut here = module.clone();
    let (mut depth, mut opened) = (0usize, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let line = tokens[at].line;
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if opened.last() == Some(&depth) {
                    opened.pop();
                    here.pop();
                }
            }
            // `mod name {`, or `mod $name {` in a macro.
            "mod" => {
                let brace = (at + 2..tokens.len().min(at + 4)).find(|&brace| tokens[brace].text == "{");
                if let Some(brace) = brace {
                    opened.push(depth);
                    here.push(tokens[brace - 1].text.clone());
                }
            }
            _ => {}
        }
        if tokens[at].text == "use" {
            let exported = at > 0 && matches!(tokens[at - 1].text.as_str(), "pub" | ")");
            let mut found = Vec::new();
            at = tree(tokens, at + 1, &Vec::new(), &mut found);
            for (path, name) in found {
                let Some(path) = absolute(&path, &here, children) else { continue };
                if exported && opened.is_empty() {
                    exports.push((name, path));
                } else {
                    uses.push(Use { path, line });
                }
            }
        } else {
            // Neither the rest of a path, nor the module of `pub(in module)`.
            let follows = at > 0 && (tokens[at - 1].text == "::" || tokens[at - 1].text == "in" && at > 1 && tokens[at - 2].text == "(");
            let mut path = vec![tokens[at].text.clone()];
            at += 1;
            while !follows
                && tokens.get(at).is_some_and(|token| token.text == "::")
                && tokens.get(at + 1).is_some_and(|token| is_word(&token.text))
            {
                path.push(tokens[at + 1].text.clone());
                at += 2;
            }
            if path.len() > 1 && is_word(&path[0]) {
                uses.extend(absolute(&path, &here, children).map(|path| Use { path, line }));
            }
        }
    }
    (uses, exports)
}

fn is_word(text: &str) -> bool {
    text.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

/// Reads a use tree from `at`, appends its paths with the names they get, and says where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &Path, found: &mut Vec<(Path, String)>) -> usize {
    let mut path = prefix.clone();
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                }
                return at + 1;
            }
            "as" => {
                let name = tokens.get(at + 1).map_or(String::new(), |token| token.text.clone());
                found.push((path, name));
                return at + 2;
            }
            word if is_word(word) || word == "*" => {
                // `self` at the end of a group names the group's own module.
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                at += 1;
            }
            _ => break,
        }
    }
    if path.len() > prefix.len() || !path.is_empty() {
        let name = path.last().cloned().unwrap_or_default();
        found.push((path, name));
    }
    at
}

/// The path from the root of its crate on; nothing if it is not of this crate, or an item of the
/// same file.
fn absolute(path: &Path, module: &Path, children: &[(String, bool)]) -> Option<Path> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let base: &[String] = match path.first()?.as_str() {
        "crate" => &[],
        "super" => module.get(..module.len().checked_sub(ups)?)?,
        "self" => module,
        first if children.iter().any(|(child, _)| child == first) => module,
        _ => return None,
    };
    let skip = match path[0].as_str() {
        "crate" | "self" => 1,
        "super" => ups,
        _ => 0,
    };
    Some(base.iter().chain(&path[skip..]).cloned().collect())
}

#[test]
fn uses_are_read() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let files = [
        file("c/src/lib.rs", "mod a;\npub mod b;\npub use a::{A as B, *};\nfn f() { a::g(); crate::b::h(); }\n"),
        file(
            "c/src/a.rs",
            "use super::b::{self, X, y::Z};\n#[cfg(test)]\nmod tests { use crate::b::W; }\nmod x { use super::V; pub(in crate::a) fn f() { if true {} } }\nuse super::U;\n",
        ),
        file("c/src/b/mod.rs", "use fusion_ring::simd;\nuse self::y::V;\n"),
    ];
    let modules = of("c/src/lib.rs", &files);
    let uses = |path: &[&str]| {
        let path: Path = path.iter().map(|&part| part.to_owned()).collect();
        modules[&path].uses.iter().map(|found| found.path.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(modules.len(), 3);
    assert_eq!(uses(&[]), ["a::g", "b::h"]);
    assert_eq!(uses(&["a"]), ["b", "b::X", "b::y::Z", "a::V", "U"]);
    assert_eq!(uses(&["b"]), ["b::y::V"]);
    assert_eq!(modules[&Path::new()].public, ["b"]);
    assert_eq!(
        modules[&Path::new()].exports,
        [("B".to_owned(), vec!["a".to_owned(), "A".to_owned()]), ("*".to_owned(), vec!["a".to_owned(), "*".to_owned()])]
    );
}
