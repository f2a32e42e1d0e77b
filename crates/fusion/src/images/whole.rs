//! Whether a file is there to its last byte.
//!
//! Decoders of photos show what they have: half a JPEG becomes half a picture and half grey, which
//! a network classifies like any other. Formats whose decoder does not miss the end are looked at
//! here, by what the format itself says of where its file ends.

use std::io::Cursor;

use image::ImageFormat;
use tiff::decoder::Decoder;
use tiff::tags::Tag;

/// What remains of a file to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }
}

/// Whether the end of a file of this format is there. Formats that are not looked at are whole.
pub(super) fn has_its_end(content: &[u8], format: ImageFormat) -> bool {
    let rest = Rest(content);
    let found = if format == ImageFormat::Jpeg {
        end_of_jpeg(rest)
    } else if format == ImageFormat::Tiff {
        end_of_tiff(content)
    } else if format == ImageFormat::WebP {
        end_of_webp(rest)
    } else {
        Some(())
    };
    found.is_some()
}

/// Goes from marker to marker until that of the end. A segment is passed over by its length: the
/// small picture for previews that many cameras put into one has an end of its own.
fn end_of_jpeg(mut rest: Rest<'_>) -> Option<()> {
    loop {
        while rest.byte()? != 0xff {}
        let mut marker = 0xff;
        while marker == 0xff {
            marker = rest.byte()?;
        }
        match marker {
            0xd9 => return Some(()),
            // A stuffed byte of a scan, and the markers that stand alone.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let length = rest.take(2)?;
                rest.take(usize::from(u16::from_be_bytes([length[0], length[1]])).checked_sub(2)?)?;
            }
        }
    }
}

/// The container begins with its length.
fn end_of_webp(mut rest: Rest<'_>) -> Option<()> {
    let head = rest.take(8)?;
    rest.take(usize::try_from(u32::from_le_bytes([head[4], head[5], head[6], head[7]])).ok()?).map(|_| ())
}

/// Compares the places of the pieces of the first picture with the length of the file, if they are
/// JPEG: those of other kinds are missed by their decoder.
fn end_of_tiff(content: &[u8]) -> Option<()> {
    const JPEG: u32 = 7;
    // What cannot be parsed at all is for the decoder to refuse, with its reason.
    let Ok(mut file) = Decoder::new(Cursor::new(content)) else { return Some(()) };
    if !matches!(file.find_tag_unsigned(Tag::Compression), Ok(Some(JPEG))) {
        return Some(());
    }
    let mut all = |tags: [Tag; 2]| tags.into_iter().find_map(|tag| file.find_tag_unsigned_vec::<u64>(tag).ok().flatten());
    let (starts, lengths) = (all([Tag::StripOffsets, Tag::TileOffsets])?, all([Tag::StripByteCounts, Tag::TileByteCounts])?);
    let end = starts.iter().zip(&lengths).map(|(start, length)| start.saturating_add(*length)).max()?;
    (end <= content.len() as u64).then_some(())
}
