//! Files that a command was given and does not use.

use std::fmt::Write as _;

use crate::diagnostics::note;
use crate::report::plain;

/// Files that are named, and not only counted: macOS writes one more beside every photo.
const NAMED: usize = 20;

/// Says on standard error which files of a source are left out and why.
pub(crate) fn say_left_out<'a>(source: &str, files: impl Iterator<Item = (&'a str, &'a str)>) {
    let text = lines(source, files);
    if !text.is_empty() {
        note(text.trim_end());
    }
}

fn lines<'a>(source: &str, files: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let (mut text, mut all) = (String::new(), 0);
    for (file, reason) in files {
        all += 1;
        if all <= NAMED {
            let _ = writeln!(text, "Left out: {}: {}", plain(file), plain(reason));
        }
    }
    if all > NAMED {
        let _ = writeln!(text, "Left out: {} more, {all} {} in all", all - NAMED, plain(source));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_and_many_are_counted() {
        let one = lines("of the queries", std::iter::once(("a.gif", "no type")));
        assert_eq!(one, "Left out: a.gif: no type\n");
        let many: Vec<String> = (0..5000).map(|i| format!("._{i}.jpg")).collect();
        let text = lines("of the queries", many.iter().map(|name| (name.as_str(), "hidden")));
        assert_eq!(text.lines().count(), NAMED + 1);
        assert!(text.ends_with("Left out: 4980 more, 5000 of the queries in all\n"), "{text}");
    }
}
