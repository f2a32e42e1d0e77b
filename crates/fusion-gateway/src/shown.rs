//! Texts of others, for people.

/// A text without characters that steer what shows it: control characters, and those that change
/// the direction of what comes after them.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !steers(*c)).collect()
}

fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_steers() {
        assert_eq!(shown("a\u{202e}b\n\u{2066}c\u{1b}[31m\u{feff}"), "abc[31m");
        assert_eq!(shown("Zürich, 東京, עברית"), "Zürich, 東京, עברית");
    }
}
