//! A plain JPEG's scan becomes planes of fewer samples: each the mean of a square of the pixels that it stands for.
//!
//! A block's pixels are a sum of cosines, so their means over parts of the block are a sum of those cosines' means: every
//! coefficient is added with its weights as it is read, and most coefficients are zero.

use std::f64::consts::PI;

use super::bits::Bits;
use super::header::{Component, Header};

/// The samples of one component, with something beyond the picture's right and lower edge.
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    /// Samples per row.
    pub(super) stride: usize,
}

/// A component on its way to its plane.
struct Decoder<'a> {
    component: &'a Component,
    /// Samples per block, across and down.
    samples: (usize, usize),
    /// For each coefficient, in the order of the file: its weight in each sample.
    weights: Vec<f32>,
    /// Reads a block into the sums of its samples, which are around 0.
    block: fn(&mut Decoder<'a>, &mut Bits, &mut [f32; 16]) -> Option<()>,
    /// The last block's mean, which the next one's is the difference to.
    last: i32,
    plane: Plane,
}

/// Row and column of the coefficients in the order of the file: diagonals, in turns upwards and downwards.
const ORDER: [(usize, usize); 64] = order();

/// Planes of one sample for each square of `divisor` pixels; `None` if the scan is damaged or unusual.
///
/// The divisor is 4 or 8. All planes have the same shape, whatever the components' own resolution.
pub(super) fn planes(bytes: &[u8], header: &Header, divisor: u32) -> Option<Vec<Plane>> {
    let most = |blocks: fn(&Component) -> u32| header.components.iter().map(blocks).max();
    let unit = (most(|component| component.blocks.0)?, most(|component| component.blocks.1)?);
    let (across, down) = (header.width.div_ceil(8 * unit.0), header.height.div_ceil(8 * unit.1));
    let decoders = header.components.iter().map(|component| Decoder::new(component, unit, divisor, (across, down)));
    let mut decoders = decoders.collect::<Option<Vec<_>>>()?;

    let mut bits = Bits::new(bytes, header.scan);
    for number in 0..across * down {
        if header.restart > 0 && number > 0 && number % header.restart == 0 {
            bits.marker(0xD0 + ((number / header.restart - 1) % 8) as u8)?;
            decoders.iter_mut().for_each(|decoder| decoder.last = 0);
        }
        for decoder in &mut decoders {
            decoder.unit(&mut bits, ((number % across) as usize, (number / across) as usize))?;
        }
    }
    bits.marker(0xD9)?;
    Some(decoders.into_iter().map(|decoder| decoder.plane).collect())
}

impl<'a> Decoder<'a> {
    fn new(component: &'a Component, unit: (u32, u32), divisor: u32, size: (u32, u32)) -> Option<Decoder<'a>> {
        let samples = |most: u32, blocks: u32| {
            let samples = 8 / divisor * most / blocks;
            (most.is_multiple_of(blocks) && matches!(samples, 1 | 2 | 4)).then_some(samples as usize)
        };
        let samples = (samples(unit.0, component.blocks.0)?, samples(unit.1, component.blocks.1)?);
        let block = match samples.0 * samples.1 {
            1 => Decoder::block::<1>,
            2 => Decoder::block::<2>,
            4 => Decoder::block::<4>,
            8 => Decoder::block::<8>,
            _ => Decoder::block::<16>,
        };
        let stride = size.0 as usize * component.blocks.0 as usize * samples.0;
        let rows = size.1 as usize * component.blocks.1 as usize * samples.1;
        let plane = Plane { samples: vec![0; stride * rows], stride };
        Some(Decoder { component, samples, weights: weights(&component.steps, samples), block, last: 0, plane })
    }

    /// Reads the component's share of the unit in that column and row.
    fn unit(&mut self, bits: &mut Bits, (column, row): (usize, usize)) -> Option<()> {
        let (across, down) = (self.component.blocks.0 as usize, self.component.blocks.1 as usize);
        let mut sums = [0.0; 16];
        for y in 0..down {
            for x in 0..across {
                (self.block)(self, bits, &mut sums)?;
                let (left, top) = ((column * across + x) * self.samples.0, (row * down + y) * self.samples.1);
                for (line, sums) in sums.chunks(self.samples.0).take(self.samples.1).enumerate() {
                    let start = (top + line) * self.plane.stride + left;
                    let target = &mut self.plane.samples[start..start + self.samples.0];
                    // The conversion keeps within a byte's range.
                    target.iter_mut().zip(sums).for_each(|(sample, &sum)| *sample = (sum + 128.5) as u8);
                }
            }
        }
        Some(())
    }

    fn block<const SAMPLES: usize>(&mut self, bits: &mut Bits, sums: &mut [f32; 16]) -> Option<()> {
        let (weights, _) = self.weights.as_chunks::<SAMPLES>();
        let sums = sums.first_chunk_mut::<SAMPLES>()?;
        let length = bits.symbol(&self.component.dc)?;
        let difference = if length <= 11 { bits.value(u32::from(length))? } else { return None };
        // Damaged data may add up to anything.
        self.last = self.last.wrapping_add(difference);
        *sums = weights[0].map(|weight| self.last as f32 * weight);
        let mut at = 1;
        while at < 64 {
            // The mean of a whole block is its first coefficient: the others' values are not needed for it.
            let symbol = match SAMPLES {
                1 => bits.symbol_without_value(&self.component.ac)?,
                _ => bits.symbol(&self.component.ac)?,
            };
            let (zeros, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            at += zeros;
            match (zeros, length) {
                (15, 0) => {}
                (0, 0) => return Some(()),
                (_, 1..=10) if at < 64 => {
                    if SAMPLES > 1 {
                        let value = bits.value(length)? as f32;
                        sums.iter_mut().zip(weights[at]).for_each(|(sum, weight)| *sum += value * weight);
                    }
                }
                _ => return None,
            }
            at += 1;
        }
        (at == 64).then_some(())
    }
}

/// For each coefficient, its step times the means of its cosine over the parts of a block.
fn weights(steps: &[f32; 64], (across, down): (usize, usize)) -> Vec<f32> {
    let mut weights = Vec::with_capacity(64 * across * down);
    for (&step, (v, u)) in steps.iter().zip(ORDER) {
        for y in 0..down {
            weights.extend((0..across).map(|x| step * (mean(v, y, down) * mean(u, x, across)) as f32));
        }
    }
    weights
}

/// The mean of the basis function of `frequency` over one of `parts` of eight samples.
fn mean(frequency: usize, part: usize, parts: usize) -> f64 {
    let scale = if frequency == 0 { 0.125f64.sqrt() } else { 0.5 };
    let length = 8 / parts;
    let samples = part * length..(part + 1) * length;
    let cosine = |at: usize| (PI / 16.0 * ((2 * at + 1) * frequency) as f64).cos();
    scale * samples.map(cosine).sum::<f64>() / length as f64
}

const fn order() -> [(usize, usize); 64] {
    let mut order = [(0, 0); 64];
    let (mut row, mut column, mut at) = (0, 0, 0);
    while at < 64 {
        order[at] = (row, column);
        let upwards = (row + column) % 2 == 0;
        match (upwards, row, column) {
            (true, _, 7) => row += 1,
            (true, 0, _) => column += 1,
            (true, ..) => (row, column) = (row - 1, column + 1),
            (false, 7, _) => column += 1,
            (false, _, 0) => row += 1,
            (false, ..) => (row, column) = (row + 1, column - 1),
        }
        at += 1;
    }
    order
}
