//! The rules about shape: lengths of lines, functions and files.

use crate::{source, tree};

const COLUMNS: usize = 100;
const FUNCTION_LINES: usize = 80;
const FILE_LINES: usize = 400;

/// Kernels: what one function does there for each instruction tier is one thing to a reader.
const KERNELS: &[&str] = &[
    "crates/fusion-ring/src/bits/",
    "crates/fusion-ring/src/gemm/",
    "crates/fusion-ring/src/ot/",
    "crates/fusion-ring/src/poly/",
    "crates/fusion-ring/src/symmetric/",
];

/// Files that may be longer, how long, and why.
const LONG_FILES: &[(&str, usize, &str)] = &[];

#[test]
fn comments_fit_into_100_columns() {
    let mut faults = Vec::new();
    for file in tree::rust() {
        for (number, line) in file.text.lines().enumerate() {
            let length = line.chars().count();
            if line.trim_start().starts_with("//") && length > COLUMNS {
                faults.push(format!("{}:{}: {length} columns", file.path, number + 1));
            }
        }
    }
    tree::none(faults);
}

#[test]
fn functions_fit_into_80_lines() {
    let mut faults = Vec::new();
    for file in tree::rust() {
        if file.is_test() || KERNELS.iter().any(|kernels| file.path.starts_with(kernels)) {
            continue;
        }
        let code = source::without_tests(&source::code(&file.text));
        for function in source::functions(&code) {
            if function.lines > FUNCTION_LINES {
                faults.push(format!("{}:{}: {} has {} lines", file.path, function.line, function.name, function.lines));
            }
        }
    }
    tree::none(faults);
}

#[test]
fn files_fit_into_400_lines() {
    let mut faults = Vec::new();
    let files = tree::rust();
    for file in &files {
        let limit = LONG_FILES.iter().find(|(path, ..)| *path == file.path).map_or(FILE_LINES, |(_, limit, _)| *limit);
        let lines = file.text.lines().count();
        if lines > limit {
            faults.push(format!("{}: {lines} lines, {limit} are allowed", file.path));
        }
    }
    for (path, _, reason) in LONG_FILES {
        if !files.iter().any(|file| file.path == *path && file.text.lines().count() > FILE_LINES) {
            faults.push(format!("{path}: needs no exception any more ({reason})"));
        }
    }
    tree::none(faults);
}
