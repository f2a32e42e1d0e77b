//! Every block of code in a document for readers runs in a test, or says why it does not.
//!
//! A block of shell commands or settings stands below a comment, which pages do not show:
//! `<!-- run by FILE -->`, where that file takes the block from the document or has its
//! commands, or `<!-- not run: REASON -->`. Rust is a doctest if the document is its crate's
//! README, Python is run by the tests of `fusion-py` from the two READMEs that they name.
//! Anything else is `text`.

use std::fs;

use crate::tree::{self, File};

/// What a block of `text`, or one without a language, may not begin a line with: it is a command.
const COMMANDS: [&str; 8] = ["fusion ", "cargo ", "python", "pip ", "curl ", "npm ", "git ", "PYTHONPATH"];

/// A block between fences.
struct Block<'a> {
    line: usize,
    language: &'a str,
    /// The line above.
    above: &'a str,
    lines: Vec<&'a str>,
}

fn blocks(file: &File) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let (mut above, mut open) = ("", false);
    for (at, line) in file.text.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => {
                found.push(Block { line: at + 1, language: language.trim(), above, lines: Vec::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => found.last_mut().unwrap().lines.push(line),
            (None, false) => {}
        }
        above = line;
    }
    assert!(!open, "{}: a block without an end", file.path);
    found
}

/// Lines that are joined at their ends, without comments.
fn commands(lines: &[&str]) -> Vec<String> {
    let text = lines.join("\n").replace("\\\n", " ");
    let bare = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
    bare.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Whether a file runs a command that it does not take from the document: it has the arguments, or
/// runs all examples.
fn runs(script: &str, command: &str) -> bool {
    if let Some(example) = command.split("--example ").nth(1).and_then(|rest| rest.split_whitespace().next()) {
        let is_there = fs::read_dir(tree::root().join("crates")).unwrap().any(|folder| {
            let examples = folder.unwrap().path().join("examples");
            examples.join(format!("{example}.rs")).exists() || examples.join(example).is_dir()
        });
        return is_there && script.contains("--example \"$name\"");
    }
    // Tests of `demo` name the server and take the rest for given.
    let arguments = command.split(" -- ").last().unwrap_or(command);
    script.contains(arguments)
        || arguments.strip_prefix("demo --server ").is_some_and(|server| script.contains(&format!("caught(\"{server}\"")))
}

fn fault(file: &File, block: &Block<'_>) -> Option<String> {
    let comment = block.above.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
    if let Some(reason) = comment.and_then(|comment| comment.strip_prefix("not run: ")) {
        return (reason.len() < 10).then(|| "says no reason".to_owned());
    }
    if let Some(path) = comment.and_then(|comment| comment.strip_prefix("run by ")) {
        let Ok(script) = fs::read_to_string(tree::root().join(path)) else { return Some(format!("is run by {path}, which is not there")) };
        // It takes the blocks from the document.
        if script.contains(&format!("\"{}\"", file.path)) {
            return None;
        }
        let missing = commands(&block.lines).into_iter().find(|command| !runs(&script, command));
        return missing.map(|command| format!("{path} does not run: {command}"));
    }
    let folder = file.path.strip_suffix("README.md");
    match block.language {
        "text" | "" => {
            let command = block.lines.iter().find(|line| COMMANDS.iter().any(|command| line.trim_start().starts_with(command)));
            command.map(|command| format!("is called text, but is a command: {command}"))
        }
        "rust" | "rust,no_run" if folder.is_some_and(|folder| folder.starts_with("crates/")) => {
            let library = fs::read_to_string(tree::root().join(folder.unwrap_or_default()).join("src/lib.rs")).unwrap_or_default();
            (!library.contains("include_str!(\"../README.md\")")).then(|| "is no doctest".to_owned())
        }
        "python" if matches!(&*file.path, "README.md" | "crates/fusion-py/README.md") => None,
        other => Some(format!("of {other:?}: say above it what runs it, or why nothing does")),
    }
}

#[test]
fn every_block_of_code_runs_or_says_why_not() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for file in tree::files(&["md"]) {
        for block in blocks(&file) {
            seen += 1;
            faults.extend(fault(&file, &block).map(|fault| format!("{}:{}: {fault}", file.path, block.line)));
        }
        // Blocks by four spaces have no language: commands in them would be seen by nobody.
        let mut above = "";
        for (at, line) in file.text.lines().enumerate() {
            if above.trim().is_empty() && line.starts_with("    ") && COMMANDS.iter().any(|command| line.trim_start().starts_with(command))
            {
                faults.push(format!("{}:{}: a command without a fence", file.path, at + 1));
            }
            above = line;
        }
    }
    assert!(seen > 30, "blocks are found");
    tree::none(faults);
}
