//! PNG files, looked through before they are decoded.
//!
//! The decoder wants the chunk that ends a file, also where all pixels came before; and it takes a size from wherever the
//! first chunk should have it.

use std::borrow::Cow;

use super::{Limits, PictureError};

const FORMAT: &str = "PNG";
/// Bytes before the first chunk.
const SIGNATURE: usize = 8;
/// A last chunk, which is empty, with its checksum.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];

/// The file as the decoder reads it. Refuses one of a kind that is not PNG, and one that claims too many pixels: the decoder
/// would answer an absurd size with its memory limit.
pub(super) fn check<'a>(file: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, PictureError> {
    let mut chunks = Chunks { file, at: SIGNATURE };
    match file.get(SIGNATURE + 4..SIGNATURE + 8) {
        Some(b"IHDR") => {}
        Some(b"CgBI") => {
            let (feature, advice) = ("Apple's CgBI variant, as apps for iOS contain it", "convert it to a usual PNG");
            return Err(PictureError::UnsupportedFeature { format: FORMAT, feature: feature.into(), advice });
        }
        Some(_) => return Err(PictureError::broken(FORMAT, "its first chunk is not IHDR")),
        None => return Err(PictureError::broken(FORMAT, "the file ends before the image does")),
    }
    let side = |at: usize| Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?));
    if let Some(size) = side(SIGNATURE + 8).zip(side(SIGNATURE + 12)) {
        limits.check_size(FORMAT, size)?;
    }
    let mut pixels = false;
    for name in chunks.by_ref() {
        match name {
            b"IEND" => return Ok(file.into()),
            b"IDAT" => pixels = true,
            _ => {}
        }
    }
    // What the last chunk, if it is cut short, says of pixels is for the decoder to judge.
    match file.get(chunks.at + 4..chunks.at + 8) {
        Some(b"IDAT") => Ok(file.into()),
        _ if !pixels => Ok(file.into()),
        _ => Ok([&file[..chunks.at], &END].concat().into()),
    }
}

/// The names of the chunks that are whole.
struct Chunks<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8; 4];

    fn next(&mut self) -> Option<&'a [u8; 4]> {
        let (length, rest) = self.file.get(self.at..)?.split_first_chunk::<4>()?;
        // Four letters and a checksum belong to it as well.
        let length = u32::from_be_bytes(*length) as usize + 8;
        let name = rest.get(..length)?.first_chunk()?;
        self.at += 4 + length;
        Some(name)
    }
}
