//! The inverse DCT at reduced size: each output sample is the mean of a part of the block.
//!
//! A block is a sum of cosines, so the means of its parts are sums of the cosines' means. Each coefficient is added
//! with its weights as it is read; most coefficients are zero.

use std::f64::consts::PI;

use super::idct::ORDER;
use super::plane::Sink;

/// The sink of the coefficients of a block that becomes `SAMPLES` means.
pub(super) struct Means<'a, const SAMPLES: usize> {
    /// For each coefficient, in zigzag order: its weight in each sample.
    weights: &'a [[f32; SAMPLES]],
    sums: [f32; SAMPLES],
}

impl<'a, const SAMPLES: usize> Means<'a, SAMPLES> {
    /// Creates a sink from the result of [`weights`] for the same number of samples.
    pub(super) fn new(weights: &'a [f32]) -> Means<'a, SAMPLES> {
        Means { weights: weights.as_chunks().0, sums: [0.0; SAMPLES] }
    }

    /// Writes the means in sixteenths, `across` per row. Rows are `stride` apart.
    #[inline]
    pub(super) fn write(self, target: &mut [u16], stride: usize, across: usize) {
        for (row, sums) in target.chunks_mut(stride).zip(self.sums.chunks(across)) {
            let sixteenths = |sum: f32| ((sum + 128.0).clamp(0.0, 255.0) * 16.0 + 0.5) as u16;
            row.iter_mut().zip(sums).for_each(|(sample, &sum)| *sample = sixteenths(sum));
        }
    }
}

impl<const SAMPLES: usize> Sink for Means<'_, SAMPLES> {
    /// The mean of a whole block is its first coefficient; the values of the others are not needed.
    const MEAN_ALONE: bool = SAMPLES == 1;

    #[inline]
    fn mean(&mut self, value: i32) {
        self.sums = self.weights[0].map(|weight| value as f32 * weight);
    }

    #[inline]
    fn other(&mut self, at: usize, value: i32) {
        let value = value as f32;
        self.sums.iter_mut().zip(self.weights[at]).for_each(|(sum, weight)| *sum += value * weight);
    }
}

/// For each coefficient: its quantization step times the means of its cosine over the parts of a block.
pub(super) fn weights(steps: &[u16; 64], (across, down): (usize, usize)) -> Vec<f32> {
    let mut weights = Vec::with_capacity(64 * across * down);
    for (&step, (v, u)) in steps.iter().zip(ORDER) {
        for y in 0..down {
            weights.extend((0..across).map(|x| f32::from(step) * (mean(v, y, down) * mean(u, x, across)) as f32));
        }
    }
    weights
}

/// The mean of the basis function of `frequency` over part `part` of `parts` of eight samples.
fn mean(frequency: usize, part: usize, parts: usize) -> f64 {
    let scale = if frequency == 0 { 0.125f64.sqrt() } else { 0.5 };
    let length = 8 / parts;
    let samples = part * length..(part + 1) * length;
    let cosine = |at: usize| (PI / 16.0 * ((2 * at + 1) * frequency) as f64).cos();
    scale * samples.map(cosine).sum::<f64>() / length as f64
}
