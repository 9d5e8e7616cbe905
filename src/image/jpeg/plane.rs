//! The samples of one component, written block by block.

use super::frame::{Component, FrameHeader};
use super::idct::Whole;
use super::means::{self, Means};

/// The samples of one component, with something beyond the image's right and lower edge.
pub(super) struct Plane {
    samples: Samples,
    /// Samples per row.
    stride: usize,
    /// Samples per block, across and down.
    block: (usize, usize),
}

/// How a block becomes samples.
enum Samples {
    /// All 64 of them, by the steps of its coefficients.
    Whole { samples: Vec<u8>, steps: Box<[i32; 64]> },
    /// Fewer, in sixteenths, by the weights of its coefficients.
    Means { samples: Vec<u16>, weights: Vec<f32> },
}

/// Where a block's coefficients come from.
pub(super) trait Source {
    /// Gives those that are not zero to `sink`; `None` if they are damaged.
    fn feed<S: Sink>(self, sink: &mut S) -> Option<()>;
}

/// Where a block's coefficients go to.
pub(super) trait Sink {
    /// Are all coefficients but the first ignored?
    const MEAN_ALONE: bool;

    /// Takes the first coefficient.
    fn mean(&mut self, value: i32);

    /// Takes another one, whose place in the order of the file is from 1 to 63.
    fn other(&mut self, at: usize, value: i32);
}

impl Plane {
    /// Room for all blocks of a component, which become `block` samples each, across and down; 8 x 8 is full size.
    pub(super) fn new(frame: &FrameHeader, component: &Component, steps: &[u16; 64], block: (usize, usize)) -> Plane {
        let blocks = component.padded(frame.units);
        let stride = blocks.0 * block.0;
        let count = stride * blocks.1 * block.1;
        let samples = match block {
            (8, 8) => Samples::Whole { samples: vec![0; count], steps: Box::new(steps.map(i32::from)) },
            _ => Samples::Means { samples: vec![0; count], weights: means::weights(steps, block) },
        };
        Plane { samples, stride, block }
    }

    /// The samples of a row, if they are those of full size.
    pub(super) fn whole(&self, row: usize) -> &[u8] {
        match &self.samples {
            Samples::Whole { samples, .. } => &samples[row * self.stride..][..self.stride],
            Samples::Means { .. } => &[],
        }
    }

    /// The samples of a row in sixteenths, if they are means.
    pub(super) fn means(&self, row: usize) -> &[u16] {
        match &self.samples {
            Samples::Whole { .. } => &[],
            Samples::Means { samples, .. } => &samples[row * self.stride..][..self.stride],
        }
    }

    /// Writes the block in that column and row.
    #[inline]
    pub(super) fn write(&mut self, (column, row): (usize, usize), source: impl Source) -> Option<()> {
        let (stride, (across, down)) = (self.stride, self.block);
        let start = row * down * stride + column * across;
        match &mut self.samples {
            Samples::Whole { samples, steps } => {
                let mut sink = Whole::new(steps);
                source.feed(&mut sink)?;
                sink.write(&mut samples[start..], stride);
            }
            Samples::Means { samples, weights } => {
                let target = &mut samples[start..];
                match across * down {
                    1 => reduced::<1>(weights, source)?.write(target, stride, across),
                    2 => reduced::<2>(weights, source)?.write(target, stride, across),
                    4 => reduced::<4>(weights, source)?.write(target, stride, across),
                    8 => reduced::<8>(weights, source)?.write(target, stride, across),
                    _ => reduced::<16>(weights, source)?.write(target, stride, across),
                }
            }
        }
        Some(())
    }
}

#[inline]
fn reduced<const SAMPLES: usize>(weights: &[f32], source: impl Source) -> Option<Means<'_, SAMPLES>> {
    let mut sink = Means::new(weights);
    source.feed(&mut sink)?;
    Some(sink)
}
