//! The samples of one component, written block by block.

use super::frame::{Component, FrameHeader};
use super::idct::Whole;
use super::means::{self, Means};

/// The samples of one component, padded beyond the image's right and lower edge.
pub(super) struct Plane {
    samples: Samples,
    /// Samples per row.
    stride: usize,
    /// Samples per block, across and down.
    block: (usize, usize),
}

/// The samples, and how blocks are converted to them.
enum Samples {
    /// All 64 samples per block, with the quantization steps.
    Whole { samples: Vec<u8>, steps: Box<[i32; 64]> },
    /// Fewer samples per block, in sixteenths, with the weights of the coefficients.
    Means { samples: Vec<u16>, weights: Vec<f32> },
}

/// A source of a block's coefficients.
pub(super) trait Source {
    /// Passes the nonzero coefficients to `sink`; `None` if they are damaged.
    fn feed<S: Sink>(self, sink: &mut S) -> Option<()>;
}

/// A sink of a block's coefficients.
pub(super) trait Sink {
    /// Whether all coefficients but the first are ignored.
    const MEAN_ALONE: bool;

    /// Takes the first (DC) coefficient.
    fn mean(&mut self, value: i32);

    /// Takes another coefficient, at index 1 to 63 of the zigzag order.
    fn other(&mut self, at: usize, value: i32);
}

impl Plane {
    /// Allocates a component's blocks of `block` samples, across and down; 8 x 8 is full size.
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

    /// The samples of a row at full size; empty for means.
    pub(super) fn whole(&self, row: usize) -> &[u8] {
        match &self.samples {
            Samples::Whole { samples, .. } => &samples[row * self.stride..][..self.stride],
            Samples::Means { .. } => &[],
        }
    }

    /// The samples of a row in sixteenths; empty at full size.
    pub(super) fn means(&self, row: usize) -> &[u16] {
        match &self.samples {
            Samples::Whole { .. } => &[],
            Samples::Means { samples, .. } => &samples[row * self.stride..][..self.stride],
        }
    }

    /// Writes the block in a column and row.
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
