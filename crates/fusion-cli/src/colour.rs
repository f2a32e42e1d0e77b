//! Colours, for those who see them: on a terminal, unless `NO_COLOR`, or wherever `CLICOLOR_FORCE`
//! asks for them. The help of the parser is decided by the same library.

use std::fmt::Display;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// What a word in colour tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// All is well, or help is at hand.
    Good,
    /// Something may be wrong.
    Doubtful,
    /// Something is wrong.
    Bad,
}

/// Whether what is written to `stream` may have colours.
pub(crate) fn wanted(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// The text in the colour of `mood`, if `colours` are wanted.
pub(crate) fn painted(text: impl Display, mood: Mood, colours: bool) -> String {
    if !colours {
        return text.to_string();
    }
    let colour = match mood {
        Mood::Good => AnsiColor::Green,
        Mood::Doubtful => AnsiColor::Yellow,
        Mood::Bad => AnsiColor::Red,
    };
    let style = Style::new().fg_color(Some(colour.into())).bold();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_a_word_is_itself() {
        assert_eq!(painted("error:", Mood::Bad, false), "error:");
        let red = painted("error:", Mood::Bad, true);
        assert!(red.starts_with("\u{1b}[") && red.contains("error:") && red.ends_with("\u{1b}[0m"), "{red:?}");
        assert_ne!(painted("x", Mood::Good, true), painted("x", Mood::Doubtful, true));
    }
}
