//! Decodes scans into planes of samples.
//!
//! A sequential scan contains all data of its components. Each progressive scan adds some bits of some coefficients,
//! which are kept until the last scan. Returned planes are complete; missing data are an error.

use super::FORMAT;
use super::bits::{Bits, Codes};
use super::frame::FrameHeader;
use super::header::{Reader, ScanHeader, broken};
use super::plane::{Plane, Sink, Source};
use super::progressive::Progress;
use crate::image::ImageError;

/// Maximum number of scans: each may visit every block, yet takes only a few bytes of the file.
const MAX_SCANS: usize = 100;

/// Decodes the consecutive blocks of a scan.
pub(super) trait Coder {
    /// Reads a block of the scan's component `index` in that column and row; `None` if its data are damaged.
    fn block(&mut self, bits: &mut Bits, index: usize, place: (usize, usize)) -> Option<()>;

    /// Resets the prediction state at a restart marker.
    fn restart(&mut self);
}

/// Reads the planes of all components from the first scan on. A block becomes as many samples as `blocks` states.
pub(super) fn planes(
    reader: &mut Reader,
    first: ScanHeader,
    blocks: &[(usize, usize)],
) -> Result<Vec<Plane>, ImageError> {
    let frame = reader.frame()?.clone();
    let mut planes: Vec<Option<Plane>> = frame.components.iter().map(|_| None).collect();
    let mut progress = frame.progressive.then(|| Progress::new(&frame));
    let (mut next, mut scans) = (Some(first), 0);
    while let Some(header) = next {
        scans += 1;
        if scans > MAX_SCANS {
            return Err(broken(format!("it has more than {MAX_SCANS} scans")));
        }
        let end = match &mut progress {
            Some(progress) => progress.scan(reader, &frame, &header)?,
            None => sequential(reader, &frame, &header, blocks, &mut planes)?,
        };
        reader.scanned(end)?;
        next = reader.next_scan()?;
    }
    if let Some(progress) = progress {
        return progress.planes(&frame, blocks);
    }
    planes.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| broken("a component has no scan"))
}

/// Reads a sequential scan. Returns the end of its data.
fn sequential(
    reader: &Reader,
    frame: &FrameHeader,
    header: &ScanHeader,
    blocks: &[(usize, usize)],
    planes: &mut [Option<Plane>],
) -> Result<(usize, usize), ImageError> {
    let (bytes, at, tables) = reader.tables();
    let mut channels = Vec::new();
    for &(index, dc, ac) in &header.components {
        let component = &frame.components[index];
        let steps = tables.steps.get(component.steps).copied().flatten();
        let steps = steps.ok_or_else(|| broken("a quantization table is missing"))?;
        let (dc, ac) = tables.codes((dc, ac)).ok_or_else(|| broken("a Huffman table is missing or invalid"))?;
        channels.push(Channel { plane: Plane::new(frame, component, &steps, blocks[index]), last: 0, dc, ac });
    }
    let mut coder = Channels(channels);
    let end = walk(&mut coder, frame, header, tables.restart, Bits::new(bytes, at))?;
    for (channel, &(index, ..)) in coder.0.into_iter().zip(&header.components) {
        planes[index] = Some(channel.plane);
    }
    Ok(end)
}

/// Reads all blocks of a scan. Returns the end of its data and the number of unused nonzero bytes.
pub(super) fn walk(
    coder: &mut impl Coder,
    frame: &FrameHeader,
    header: &ScanHeader,
    restart: u32,
    mut bits: Bits,
) -> Result<(usize, usize), ImageError> {
    let damaged = || ImageError::broken(FORMAT, "its compressed data are damaged or end early");
    let components: Vec<_> = header.components.iter().map(|&(index, ..)| &frame.components[index]).collect();
    let (units, alone) = match components[..] {
        [alone] => (alone.blocks, true),
        _ => (frame.units, false),
    };
    let mut number = 0;
    for row in 0..units.1 {
        for column in 0..units.0 {
            if restart > 0 && number > 0 && number % restart == 0 {
                bits.restart(0xD0 + ((number / restart - 1) % 8) as u8).ok_or_else(damaged)?;
                coder.restart();
            }
            number += 1;
            for (index, component) in components.iter().enumerate() {
                let (across, down) = if alone { (1, 1) } else { component.sampling };
                for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
                    let place = (column * across + x, row * down + y);
                    coder.block(&mut bits, index, place).ok_or_else(damaged)?;
                }
            }
        }
    }
    Ok(bits.rest())
}

/// The components of a sequential scan.
struct Channels(Vec<Channel>);

struct Channel {
    plane: Plane,
    /// The previous DC coefficient, which the next one is relative to.
    last: i32,
    dc: Codes,
    ac: Codes,
}

impl Coder for Channels {
    #[inline]
    fn block(&mut self, bits: &mut Bits, index: usize, place: (usize, usize)) -> Option<()> {
        let Channel { plane, last, dc, ac } = &mut self.0[index];
        plane.write(place, Coded { bits, last, dc, ac })
    }

    fn restart(&mut self) {
        self.0.iter_mut().for_each(|channel| channel.last = 0);
    }
}

/// A block as coded in a sequential scan.
struct Coded<'a, 'b> {
    bits: &'a mut Bits<'b>,
    last: &'a mut i32,
    dc: &'a Codes,
    ac: &'a Codes,
}

impl Source for Coded<'_, '_> {
    #[inline]
    fn feed<S: Sink>(self, sink: &mut S) -> Option<()> {
        *self.last = self.bits.difference(self.dc, *self.last)?;
        sink.mean(*self.last);
        let mut at = 1;
        while at < 64 {
            let symbol = match S::MEAN_ALONE {
                true => self.bits.symbol_without_value(self.ac)?,
                false => self.bits.symbol(self.ac)?,
            };
            let (zeros, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            at += zeros;
            match (zeros, length) {
                (15, 0) => {}
                (0, 0) => return Some(()),
                (_, 1..=10) if at < 64 => {
                    if !S::MEAN_ALONE {
                        sink.other(at, self.bits.value(length)?);
                    }
                }
                _ => return None,
            }
            at += 1;
        }
        (at == 64).then_some(())
    }
}
