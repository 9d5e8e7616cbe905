//! Progressive scans: each adds some bits of some coefficients to all blocks of a component.

use super::bits::{Bits, Codes};
use super::frame::FrameHeader;
use super::header::{Reader, ScanHeader, broken, unsupported};
use super::plane::{Plane, Sink, Source};
use super::scan::{Coder, walk};
use crate::image::ImageError;

/// The coefficients read so far, by component.
pub(super) struct Progress(Vec<Coefficients>);

/// The coefficients of one component.
struct Coefficients {
    /// In zigzag order.
    blocks: Vec<[i16; 64]>,
    /// Blocks per row.
    stride: usize,
    /// For each coefficient, the lowest known bit; `None` before its first scan.
    known: [Option<u32>; 64],
    /// Quantization steps at the time of the first scan.
    steps: Option<[u16; 64]>,
}

/// The number of leading coefficients that must be exact. Without them other decoders interpolate.
const NEEDED: usize = 10;

impl Progress {
    pub(super) fn new(frame: &FrameHeader) -> Progress {
        let coefficients = frame.components.iter().map(|component| {
            let (across, down) = component.padded(frame.units);
            Coefficients { blocks: vec![[0; 64]; across * down], stride: across, known: [None; 64], steps: None }
        });
        Progress(coefficients.collect())
    }

    /// Reads a scan. Returns the end of its data.
    pub(super) fn scan(
        &mut self,
        reader: &Reader,
        frame: &FrameHeader,
        header: &ScanHeader,
    ) -> Result<(usize, usize), ImageError> {
        let (bytes, at, tables) = reader.tables();
        let (first, low) = (header.bits.0 == 0, header.bits.1);
        let mut codes = Vec::new();
        for &(index, dc, ac) in &header.components {
            let of_component = &mut self.0[index];
            for known in &mut of_component.known[header.band.0..=header.band.1] {
                if *known != (!first).then_some(header.bits.0) {
                    return Err(broken("its scans are in an invalid order"));
                }
                *known = Some(low);
            }
            let steps = tables.steps.get(frame.components[index].steps).copied().flatten();
            of_component.steps = of_component.steps.or(steps);
            let table = match header.band.0 {
                // Refining a DC coefficient takes one bit and no code.
                0 if first => Some(&tables.dc[dc]),
                0 => None,
                _ => Some(&tables.ac[ac]),
            };
            let missing = || broken("a Huffman table is missing or invalid");
            codes.push(table.map(|table| table.as_ref().and_then(Option::as_ref).ok_or_else(missing)).transpose()?);
        }
        let (components, last) = (header.components.iter().map(|&(index, ..)| index).collect(), vec![0; codes.len()]);
        let (band, progress) = (header.band, &mut *self);
        let mut coder = Scan { progress, components, codes, band, first, low, last, skipped: 0 };
        walk(&mut coder, frame, header, tables.restart, Bits::new(bytes, at))
    }

    /// Converts the coefficients to planes after the last scan. Each component's coefficients are freed as soon as they
    /// are used.
    pub(super) fn planes(self, frame: &FrameHeader, blocks: &[(usize, usize)]) -> Result<Vec<Plane>, ImageError> {
        let complete = |of: &Coefficients| of.known[..NEEDED].iter().all(|known| *known == Some(0));
        if !self.0.iter().all(complete) {
            return Err(unsupported("progressive scans that leave out a part of the image"));
        }
        let mut planes = Vec::new();
        for ((of_one, component), &block) in self.0.into_iter().zip(&frame.components).zip(blocks) {
            let steps = of_one.steps.ok_or_else(|| broken("a quantization table is missing"))?;
            let mut plane = Plane::new(frame, component, &steps, block);
            for (row, blocks) in of_one.blocks.chunks_exact(of_one.stride).enumerate() {
                for (column, block) in blocks.iter().enumerate() {
                    // Stored coefficients cannot be damaged.
                    let _ = plane.write((column, row), Stored(block));
                }
            }
            planes.push(plane);
        }
        Ok(planes)
    }
}

/// A scan in progress.
struct Scan<'a> {
    progress: &'a mut Progress,
    components: Vec<usize>,
    /// The Huffman table of each component, if the scan needs one.
    codes: Vec<Option<&'a Codes>>,
    band: (usize, usize),
    /// Whether this is the first scan of its coefficients.
    first: bool,
    /// The lowest bit that this scan contains.
    low: u32,
    /// Each component's previous DC coefficient, which the next one is relative to.
    last: Vec<i32>,
    /// Blocks from here on in which no coefficient becomes nonzero (end-of-band run).
    skipped: u32,
}

impl Coder for Scan<'_> {
    #[inline]
    fn block(&mut self, bits: &mut Bits, index: usize, (column, row): (usize, usize)) -> Option<()> {
        let of_component = &mut self.progress.0[self.components[index]];
        let block = &mut of_component.blocks[row * of_component.stride + column];
        match (self.band.0, self.first, self.codes[index]) {
            (0, true, Some(codes)) => {
                self.last[index] = bits.difference(codes, self.last[index])?;
                block[0] = (self.last[index] << self.low) as i16;
                Some(())
            }
            (0, ..) => {
                block[0] |= (bits.number(1)? << self.low) as i16;
                Some(())
            }
            (_, first, Some(codes)) => {
                let band = &mut block[self.band.0..=self.band.1];
                let read = if first { first_bits } else { next_bit };
                read(bits, codes, band, self.low, &mut self.skipped)
            }
            (_, _, None) => None,
        }
    }

    fn restart(&mut self) {
        self.last.fill(0);
        self.skipped = 0;
    }
}

/// Reads the bits down to `low` of coefficients with no known bits.
fn first_bits(bits: &mut Bits, codes: &Codes, band: &mut [i16], low: u32, skipped: &mut u32) -> Option<()> {
    if *skipped > 0 {
        *skipped -= 1;
        return Some(());
    }
    let mut at = 0;
    while at < band.len() {
        let symbol = bits.symbol(codes)?;
        let (zeros, length) = (symbol >> 4, u32::from(symbol & 15));
        match (zeros, length) {
            (15, 0) => at += 15,
            (zeros, 0) => {
                *skipped = (1 << zeros) + bits.number(u32::from(zeros))? - 1;
                return Some(());
            }
            (zeros, 1..=10) => {
                at += usize::from(zeros);
                *band.get_mut(at)? = (bits.value(length)? << low) as i16;
            }
            _ => return None,
        }
        at += 1;
    }
    Some(())
}

/// Reads the bit `low` of coefficients whose higher bits are known.
fn next_bit(bits: &mut Bits, codes: &Codes, band: &mut [i16], low: u32, skipped: &mut u32) -> Option<()> {
    let one = 1i16 << low;
    let mut at = 0;
    while *skipped == 0 && at < band.len() {
        let symbol = bits.symbol(codes)?;
        let mut zeros = symbol >> 4;
        let value = match (zeros, symbol & 15) {
            (15, 0) => None,
            (zeros, 0) => {
                *skipped = (1 << zeros) + bits.number(u32::from(zeros))?;
                break;
            }
            (_, 1) => Some(if bits.number(1)? == 1 { one } else { -one }),
            _ => return None,
        };
        // Nonzero coefficients have a correction bit here and do not count in the run.
        while at < band.len() {
            if band[at] != 0 {
                refine(bits, &mut band[at], one)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            at += 1;
        }
        if let Some(value) = value {
            *band.get_mut(at)? = value;
        }
        at += 1;
    }
    if *skipped > 0 {
        *skipped -= 1;
        for coefficient in band.iter_mut().skip(at).filter(|coefficient| **coefficient != 0) {
            refine(bits, coefficient, one)?;
        }
    }
    Some(())
}

/// Adds a bit to the magnitude of a coefficient.
#[inline]
fn refine(bits: &mut Bits, coefficient: &mut i16, one: i16) -> Option<()> {
    if bits.number(1)? == 1 && *coefficient & one == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { one } else { -one });
    }
    Some(())
}

/// A block with all coefficients in memory.
struct Stored<'a>(&'a [i16; 64]);

impl Source for Stored<'_> {
    #[inline]
    fn feed<S: Sink>(self, sink: &mut S) -> Option<()> {
        sink.mean(i32::from(self.0[0]));
        if !S::MEAN_ALONE {
            for (at, &value) in self.0.iter().enumerate().skip(1).filter(|(_, value)| **value != 0) {
                sink.other(at, i32::from(value));
            }
        }
        Some(())
    }
}
