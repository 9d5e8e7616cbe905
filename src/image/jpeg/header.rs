//! Parser of JPEG segments: frame, tables, application data about colours, and scan headers.
//!
//! The returned data are consistent. A legal but unsupported feature is named in the error; anything else is broken.

use super::bits::Codes;
use super::frame::{Component, FrameHeader};
use super::{FORMAT, standard};
use crate::image::ImageError;
use crate::image::error::ENDS_EARLY;

/// A file, read up to some offset.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Nonzero bytes that may still precede the next marker.
    stray: usize,
    frame: Option<FrameHeader>,
    /// Whether the file has a JFIF segment.
    jfif: bool,
    /// The colour transform from Adobe's segment.
    adobe: Option<u8>,
    exif: Option<&'a [u8]>,
    tables: Tables,
}

/// The tables, as defined by the segments so far.
#[derive(Default)]
pub(super) struct Tables {
    /// Quantization tables, in zigzag order.
    pub(super) steps: [Option<[u16; 64]>; 4],
    /// An invalid table is `Some(None)`: it is an error only if a scan uses it.
    pub(super) dc: [Option<Option<Codes>>; 4],
    pub(super) ac: [Option<Option<Codes>>; 4],
    /// MCUs between two restart markers; 0 without restart markers.
    pub(super) restart: u32,
}

/// The header of a scan.
pub(super) struct ScanHeader {
    /// For each component: its index in the frame, and the indices of its DC and AC tables.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient (spectral selection), in zigzag order.
    pub(super) band: (usize, usize),
    /// Successive approximation: the lowest bit known before the scan (0 if none is), and the lowest bit known after
    /// it.
    pub(super) bits: (u32, u32),
}

/// The colour space of a file's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colors {
    Gray,
    YCbCr,
    Rgb,
    /// Inverted CMYK, as written by Adobe's programs.
    Cmyk,
    /// Like `Cmyk`, with the first three inks as an inverted YCbCr image.
    Ycck,
}

/// Maximum nonzero bytes between a scan's data and the next marker. More bytes are data that the scan should have used,
/// so the scan is damaged.
const MAX_STRAY: usize = 16;

impl<'a> Reader<'a> {
    /// Starts after the start-of-image marker, which must be the first two bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        let (frame, jfif, adobe, exif, tables) = (None, false, None, None, Tables::default());
        Reader { bytes, at: 2, stray: usize::MAX, frame, jfif, adobe, exif, tables }
    }

    /// The frame header, which precedes every scan.
    pub(super) fn frame(&self) -> Result<&FrameHeader, ImageError> {
        self.frame.as_ref().ok_or_else(|| broken("it has no frame header"))
    }

    /// The file, the offset of the next scan's data, and the tables for it.
    pub(super) fn tables(&self) -> (&'a [u8], usize, &Tables) {
        (self.bytes, self.at, &self.tables)
    }

    /// The EXIF block before the first scan.
    pub(super) fn exif(&self) -> Option<&'a [u8]> {
        self.exif
    }

    /// Continues after a scan's data, at the marker at offset `at`, after `stray` unused nonzero bytes.
    pub(super) fn scanned(&mut self, (at, stray): (usize, usize)) -> Result<(), ImageError> {
        self.stray = MAX_STRAY.checked_sub(stray).ok_or_else(|| broken("a scan has more data than its blocks"))?;
        self.at = at;
        Ok(())
    }

    /// Reads up to the data of the next scan; `None` at the end of the image.
    pub(super) fn next_scan(&mut self) -> Result<Option<ScanHeader>, ImageError> {
        loop {
            let marker = self.marker()?;
            match marker {
                // These markers have no segment.
                0x01 | 0xD0..=0xD7 => continue,
                0xD8 => return Err(broken("another image begins inside it")),
                0xD9 => return Ok(None),
                _ => {}
            }
            let segment = self.segment()?;
            self.stray = usize::MAX;
            match marker {
                0xC0..=0xC2 if self.frame.is_some() => return Err(broken("it has two frame headers")),
                0xC0..=0xC2 => self.frame = Some(FrameHeader::read(segment, marker == 0xC2)?),
                0xC4 => self.tables.read_codes(segment).ok_or_else(|| broken("a Huffman table is invalid"))?,
                0xDA => return self.scan_header(segment).map(Some),
                0xDB => self.tables.read_steps(segment).ok_or_else(|| broken("a quantization table is invalid"))?,
                0xDD => {
                    let interval = segment.try_into().map_err(|_| broken("its restart interval is invalid"))?;
                    self.tables.restart = u32::from(u16::from_be_bytes(interval));
                }
                0xE0 => self.jfif |= segment.len() >= 14 && segment.starts_with(b"JFIF\0"),
                0xE1 if self.exif.is_none() => self.exif = segment.strip_prefix(b"Exif\0\0"),
                0xEE if segment.starts_with(b"Adobe") => self.adobe = segment.get(11).copied().or(self.adobe),
                // Segments of other applications, comments, and a line count (DNL) that the frame header already gives.
                0xDC | 0xE1..=0xEF | 0xFE => {}
                other => return Err(other_process(other)),
            }
        }
    }

    /// The colour space, by libjpeg's rules: JFIF, else Adobe, else the component ids.
    pub(super) fn colors(&self) -> Result<Colors, ImageError> {
        let components = &self.frame()?.components;
        let names: Vec<u8> = components.iter().map(|component| component.name).collect();
        match (components.len(), self.adobe) {
            (1, _) => Ok(Colors::Gray),
            (3, _) if self.jfif => Ok(Colors::YCbCr),
            (3, Some(0)) => Ok(Colors::Rgb),
            (3, None) if names == *b"RGB" => Ok(Colors::Rgb),
            (3, _) => Ok(Colors::YCbCr),
            (4, None | Some(0)) => Ok(Colors::Cmyk),
            (4, _) => Ok(Colors::Ycck),
            (count, _) => Err(unsupported(format!("{count} color components"))),
        }
    }

    /// Reads the next marker. Bytes that belong to nothing are skipped, as other decoders do.
    fn marker(&mut self) -> Result<u8, ImageError> {
        loop {
            match *self.bytes.get(self.at..).unwrap_or_default() {
                // Any number of `FF` fill bytes may precede a marker.
                [0xFF, 0xFF, ..] => self.at += 1,
                [0xFF, code, ..] if code != 0 => {
                    self.at += 2;
                    return Ok(code);
                }
                [byte, ..] => {
                    let stray = self.stray.checked_sub(usize::from(byte != 0));
                    self.stray = stray.ok_or_else(|| broken("a scan has more data than its blocks"))?;
                    self.at += 1;
                }
                [] => return Err(ends_early()),
            }
        }
    }

    /// The segment of the marker that was just read.
    fn segment(&mut self) -> Result<&'a [u8], ImageError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length =
            rest.first_chunk().map(|&length| usize::from(u16::from_be_bytes(length))).ok_or_else(ends_early)?;
        if length < 2 {
            return Err(broken("a segment has an invalid length"));
        }
        let segment = rest.get(2..length).ok_or_else(ends_early)?;
        self.at += length;
        Ok(segment)
    }

    fn scan_header(&self, segment: &[u8]) -> Result<ScanHeader, ImageError> {
        let invalid = || broken("a scan header is invalid");
        let frame = self.frame()?;
        let (&count, rest) = segment.split_first().ok_or_else(invalid)?;
        let (entries, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(invalid)?;
        let &[first, last, bits, ..] = rest else { return Err(invalid()) };
        let mut components: Vec<(usize, usize, usize)> = Vec::new();
        for entry in entries.chunks_exact(2) {
            // Ids may repeat; then the order decides.
            let named = |(index, component): &(usize, &Component)| {
                component.name == entry[0] && components.iter().all(|&(used, ..)| used != *index)
            };
            let (index, _) = frame.components.iter().enumerate().find(named).ok_or_else(invalid)?;
            let (dc, ac) = (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
            if dc > 3 || ac > 3 {
                return Err(invalid());
            }
            components.push((index, dc, ac));
        }
        let (band, bits) = if frame.progressive {
            ((usize::from(first), usize::from(last)), (u32::from(bits >> 4), u32::from(bits & 15)))
        } else {
            // Sequential scans have only one valid band, whatever the header contains.
            ((0, 63), (0, 0))
        };
        let blocks: u32 = components.iter().map(|&(index, ..)| frame.components[index].blocks_per_unit()).sum();
        let in_order = match band {
            (0, last) => last == 0 || !frame.progressive,
            (first, last) => first <= last && last <= 63 && count == 1,
        };
        let refines = bits.0 == 0 || bits.0 == bits.1 + 1;
        if components.is_empty() || (count > 1 && blocks > 10) || !in_order || !refines || bits.1 > 13 {
            return Err(invalid());
        }
        Ok(ScanHeader { components, band, bits })
    }
}

impl Tables {
    /// A sequential scan that uses undefined tables gets the standard ones: frames of Motion JPEG, as sent by webcams,
    /// omit them.
    pub(super) fn codes(&self, (dc, ac): (usize, usize)) -> Option<(Codes, Codes)> {
        let dc = self.dc[dc].clone().unwrap_or_else(|| standard::dc(dc))?;
        let ac = self.ac[ac].clone().unwrap_or_else(|| standard::ac(ac))?;
        Some((dc, ac))
    }

    fn read_steps(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = segment.split_first() {
            let steps = self.steps.get_mut(usize::from(number & 15))?;
            segment = match number >> 4 {
                0 => {
                    let (bytes, rest) = rest.split_first_chunk::<64>()?;
                    *steps = Some(bytes.map(u16::from));
                    rest
                }
                1 => {
                    let (bytes, rest) = rest.split_first_chunk::<128>()?;
                    let pairs = bytes.as_chunks::<2>().0;
                    *steps = Some(std::array::from_fn(|at| u16::from_be_bytes(pairs[at])));
                    rest
                }
                _ => return None,
            };
        }
        Some(())
    }

    fn read_codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = match number >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(number & 15))? = Some(Codes::new(counts, symbols));
            segment = rest;
        }
        Some(())
    }
}

/// The error for a marker of a process other than baseline or progressive.
fn other_process(marker: u8) -> ImageError {
    match marker {
        0xC3 => unsupported("lossless compression"),
        0xC5..=0xC7 | 0xDE | 0xDF => unsupported("hierarchical compression"),
        0xC9 | 0xCA | 0xCC => unsupported("arithmetic coding"),
        0xCB => unsupported("lossless compression with arithmetic coding"),
        0xCD..=0xCF => unsupported("hierarchical compression with arithmetic coding"),
        0xF7 => unsupported("JPEG-LS compression"),
        other => broken(format!("it has an unknown marker, ff {other:02x}")),
    }
}

pub(super) fn broken(reason: impl ToString) -> ImageError {
    ImageError::broken(FORMAT, reason)
}

pub(super) fn ends_early() -> ImageError {
    broken(ENDS_EARLY)
}

pub(super) fn unsupported(feature: impl Into<String>) -> ImageError {
    let advice = "save it as a baseline or progressive JPEG with 8 bits per channel";
    ImageError::UnsupportedFeature { format: FORMAT, feature: feature.into(), advice }
}
