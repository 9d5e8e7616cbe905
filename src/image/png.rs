//! PNG files, looked through before they are decoded.
//!
//! The decoder wants the chunk that ends a file, also where all pixels came before; takes a size from wherever the first
//! chunk should have it; counts comments as memory that the image needs; and looks for EXIF before the pixels only.

use std::borrow::Cow;

use ::image::metadata::Orientation;

use super::error::ENDS_EARLY;
use super::{ImageError, ImageLimits};

const FORMAT: &str = "PNG";
/// Bytes before the first chunk.
const SIGNATURE: usize = 8;
/// A last chunk, which is empty, with its checksum.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];
/// Longer chunks that the pixels do not need are left out.
const LONG: usize = 1 << 16;

/// A file as the decoder reads it.
pub(super) struct Checked<'a> {
    pub(super) file: Cow<'a, [u8]>,
    /// How to turn the image.
    pub(super) orientation: Orientation,
}

/// Refuses a file of a kind that is not PNG, and one that claims too many pixels: the decoder would answer an absurd size with
/// its memory limit.
pub(super) fn check<'a>(file: &'a [u8], limits: &ImageLimits) -> Result<Checked<'a>, ImageError> {
    match file.get(SIGNATURE + 4..SIGNATURE + 8) {
        Some(b"IHDR") => {}
        Some(b"CgBI") => {
            let (feature, advice) = ("Apple's CgBI variant, as apps for iOS contain it", "convert it to a usual PNG");
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

/// The file without what the decoder does not need, with an end.
fn whole(file: &[u8]) -> Checked<'_> {
    let mut chunks = Chunks { file, at: SIGNATURE };
    let (mut kept, mut ended, mut pixels, mut orientation) = (vec![&file[..SIGNATURE]], false, false, None);
    let mut left_out = false;
    for Chunk { name, data, bytes } in chunks.by_ref() {
        // A capital letter says that the pixels cannot be understood without the chunk, as they cannot without tRNS.
        let needed = name[0].is_ascii_uppercase() || name == b"tRNS";
        match name {
            b"eXIf" => orientation = orientation.or(Orientation::from_exif_chunk(data)),
            b"IDAT" => pixels = true,
            b"IEND" => ended = true,
            _ => {}
        }
        match needed || data.len() <= LONG {
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

/// The last chunk of a file that ends within it, if it has pixels: made as long as it is. Whether they are all is for the
/// decoder to say.
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

/// A chunk that is whole.
struct Chunk<'a> {
    name: &'a [u8; 4],
    data: &'a [u8],
    /// With its length, its name and its checksum.
    bytes: &'a [u8],
}

/// The chunks that are whole.
struct Chunks<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let rest = self.file.get(self.at..)?;
        // The length, four letters and a checksum belong to it as well.
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize + 12;
        let bytes = rest.get(..length)?;
        self.at += length;
        Some(Chunk { name: bytes[4..].first_chunk()?, data: &bytes[8..length - 4], bytes })
    }
}
