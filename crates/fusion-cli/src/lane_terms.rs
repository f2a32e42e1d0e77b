//! `--terms`.

use clap::ValueEnum;
use fusion::nn::layers::LaneTerms;

/// Terms of lanes, by what they suit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TermsArg {
    /// Few oblivious transfers and little memory: for links whose bytes cost little.
    ShortLink,
    /// Few bits: for links that are waited for.
    LongLink,
}

impl From<TermsArg> for LaneTerms {
    fn from(terms: TermsArg) -> Self {
        match terms {
            TermsArg::ShortLink => Self::SHORT_LINK,
            TermsArg::LongLink => Self::LONG_LINK,
        }
    }
}
