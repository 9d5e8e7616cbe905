//! Checks and repairs PNG files before decoding.
//!
//! The decoder requires the IEND chunk even if all pixels are present, reads the size from the first chunk whatever it
//! is, counts comments towards the image's memory limit, and finds EXIF only before the pixels.

use std::borrow::Cow;

use ::image::metadata::Orientation;

use super::error::ENDS_EARLY;
use super::{ImageError, ImageLimits};

const FORMAT: &str = "PNG";
/// Length of the signature in bytes.
const SIGNATURE: usize = 8;
/// An IEND chunk with its checksum.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];
/// Minimum bytes of an unneeded chunk that is left out.
const MIN_OMITTED_BYTES: usize = 1 << 16;

/// A file, prepared for the decoder.
pub(super) struct Checked<'a> {
    pub(super) file: Cow<'a, [u8]>,
    /// The EXIF orientation.
    pub(super) orientation: Orientation,
}

/// Rejects variants of PNG, and files that declare too many pixels, for which the decoder would report its memory limit
/// instead.
pub(super) fn check<'a>(file: &'a [u8], limits: &ImageLimits) -> Result<Checked<'a>, ImageError> {
    match file.get(SIGNATURE + 4..SIGNATURE + 8) {
        Some(b"IHDR") => {}
        Some(b"CgBI") => {
            let (feature, advice) = ("Apple's CgBI variant, as found in iOS apps", "convert it to a standard PNG");
            return Err(ImageError::UnsupportedFeature { format: FORMAT, feature: feature.into(), advice });
        }
        Some(_) => return Err(ImageError::broken(FORMAT, "its first chunk is not IHDR")),
        None => return Err(ImageError::broken(FORMAT, ENDS_EARLY)),
    }
    let side = |at: usize| Some(u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?));
    if let Some(size) = side(SIGNATURE + 8).zip(side(SIGNATURE + 12)) {
        limits.check_size(FORMAT, size)?;
    }
    Ok(whole(file))
}

/// The file without chunks that the decoder does not need, and with an IEND chunk.
fn whole(file: &[u8]) -> Checked<'_> {
    let mut chunks = Chunks { file, at: SIGNATURE };
    let (mut kept, mut ended, mut pixels, mut orientation) = (vec![&file[..SIGNATURE]], false, false, None);
    let mut left_out = false;
    for Chunk { name, data, bytes } in chunks.by_ref() {
        // A capital first letter marks a chunk as critical. tRNS is needed too.
        let needed = name[0].is_ascii_uppercase() || name == b"tRNS";
        match name {
            b"eXIf" => orientation = orientation.or(Orientation::from_exif_chunk(data)),
            b"IDAT" => pixels = true,
            b"IEND" => ended = true,
            _ => {}
        }
        match needed || data.len() <= MIN_OMITTED_BYTES {
            true => kept.push(bytes),
            false => left_out = true,
        }
        if ended {
            break;
        }
    }
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    if (ended && !left_out) || (!ended && !pixels && file.get(chunks.at + 4..chunks.at + 8) != Some(b"IDAT")) {
        return Checked { file: file.into(), orientation };
    }
    let mut whole = kept.concat();
    if !ended {
        whole.extend(cut_short(&file[chunks.at..]));
        whole.extend(END);
    }
    Checked { file: whole.into(), orientation }
}

/// The last chunk of a truncated file, shortened to the available length, if it contains pixels. The decoder judges
/// whether they are complete.
fn cut_short(chunk: &[u8]) -> Vec<u8> {
    let Some((header, rest)) = chunk.split_first_chunk::<8>().filter(|(header, _)| header.ends_with(b"IDAT")) else {
        return vec![];
    };
    let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let data = &rest[..length.min(rest.len())];
    let named = [b"IDAT", data].concat();
    let checksum = crc32fast::hash(&named).to_be_bytes();
    [&(data.len() as u32).to_be_bytes(), &named[..], &checksum].concat()
}

/// A complete chunk.
struct Chunk<'a> {
    name: &'a [u8; 4],
    data: &'a [u8],
    /// Including length, name and checksum.
    bytes: &'a [u8],
}

/// Iterator over the complete chunks.
struct Chunks<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let rest = self.file.get(self.at..)?;
        // Length, name and checksum take 12 more bytes.
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize + 12;
        let bytes = rest.get(..length)?;
        self.at += length;
        Some(Chunk { name: bytes[4..].first_chunk()?, data: &bytes[8..length - 4], bytes })
    }
}
