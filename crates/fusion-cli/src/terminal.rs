//! What commands print on standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

use crate::diagnostics::keep_order;

/// Prints `text` and a line end. A reader that has seen enough and went away, such as `head`, is no
/// error: what is left to do, such as writing a report, is done all the same.
///
/// # Errors
/// If standard output cannot be written for another reason, such as a full disk.
pub fn show(text: impl Display) -> Result<()> {
    keep_order();
    to(&mut io::stdout().lock(), text)
}

fn to(out: &mut impl Write, text: impl Display) -> Result<()> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that is gone, or a disk that is full.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        let mut text = Vec::new();
        to(&mut text, "line").unwrap();
        assert_eq!(text, b"line\n");
        to(&mut Broken(ErrorKind::BrokenPipe), "line").unwrap();
        assert!(to(&mut Broken(ErrorKind::StorageFull), "line").is_err());
    }
}
