//! Repacks a value (im2row, one plane per channel) so that the pixels that a convolution reads for one tap are
//! contiguous.
//!
//! Used for strided convolutions, and for maps so small that a border would cost more than the copy. There is one copy
//! of the plane per kernel column, with the output's row stride and rows grouped by their phase modulo the stride.

use super::split;
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Shape, Window};

/// A repacking, ready to run.
#[derive(Debug)]
pub(crate) struct RepackStep {
    pub(crate) input: BufferLayout,
    /// Its planes hold [`RepackedPlane`] copies instead of rows and columns.
    pub(crate) output: BufferLayout,
    pub(crate) plane: RepackedPlane,
}

/// Layout of a repacked plane: `[kernel column][row phase][rows][pitch]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RepackedPlane {
    pub(crate) window: Window,
    /// Rows per phase.
    pub(crate) rows: usize,
    /// Output columns of the convolution.
    pub(crate) columns: usize,
    /// Floats from one row to the next.
    pub(crate) pitch: usize,
}

impl RepackedPlane {
    /// The layout for an input of this shape and a convolution with `columns` output columns and this output row
    /// stride.
    pub(crate) fn new(window: Window, input: Shape, columns: usize, pitch: usize) -> RepackedPlane {
        let padded = input.height + window.before[0] + window.after[0];
        RepackedPlane { window, rows: padded.div_ceil(window.stride[0]), columns, pitch }
    }

    /// Floats per plane.
    pub(crate) fn len(&self) -> usize {
        self.window.kernel[1] * self.window.stride[0] * self.rows * self.pitch
    }

    /// Offset in a plane of the pixels for the tap in kernel row `ky` and column `kx`.
    pub(crate) fn tap(&self, ky: usize, kx: usize) -> usize {
        let stride = self.window.stride[0];
        self.row(kx, ky % stride, ky / stride)
    }

    fn row(&self, kx: usize, phase: usize, row: usize) -> usize {
        ((kx * self.window.stride[0] + phase) * self.rows + row) * self.pitch
    }
}

impl RepackStep {
    /// Repacks channels `from..to`.
    pub(crate) fn run(&self, item: &mut [f32], from: usize, to: usize) {
        let (input, output) = split(item, &self.output);
        let input = &input[self.input.start..];
        let whole = self.plane.window.stride == [1, 1] && self.input.pitch == self.plane.pitch;
        for c in from..to {
            let plane = &mut output[c * self.output.plane..][..self.output.plane];
            if whole { self.shift_plane(input, plane, c) } else { self.plane(input, plane, c) }
        }
    }

    /// Copies all rows at once, for an input and an output of equal row stride. Rows are so short that one call per row
    /// takes longer than the copy.
    fn shift_plane(&self, input: &[f32], plane: &mut [f32], c: usize) {
        let RepackedPlane { window, rows, columns, pitch } = self.plane;
        let Shape { height, width, .. } = self.input.shape;
        let [top, left] = window.before;
        // Ends at the last pixel; memory beyond it may be outside the item.
        let pixels = &input[self.input.row(c, 0)..][..(height - 1) * pitch + width];
        for (kx, copy) in plane.chunks_exact_mut(rows * pitch).enumerate() {
            let (above, rest) = copy.split_at_mut(top * pitch);
            let (inside, below) = rest.split_at_mut(height * pitch);
            above.fill(0.0);
            below.fill(0.0);
            // `inside[i] = pixels[i + kx - left]`
            let [zeros, skip] = [left.saturating_sub(kx).min(inside.len()), kx.saturating_sub(left).min(pixels.len())];
            let len = (inside.len() - zeros).min(pixels.len() - skip);
            inside[zeros..zeros + len].copy_from_slice(&pixels[skip..skip + len]);
            // Clears what came from a neighbouring row or from between rows, column by column: these columns are few.
            let end = (width + left).saturating_sub(kx).min(columns);
            for x in (0..zeros.min(columns)).chain(end..columns) {
                inside[x..].iter_mut().step_by(pitch).for_each(|pixel| *pixel = 0.0);
            }
        }
    }

    fn plane(&self, input: &[f32], plane: &mut [f32], c: usize) {
        let RepackedPlane { window, rows, columns, .. } = self.plane;
        let Shape { height, width, .. } = self.input.shape;
        for kx in 0..window.kernel[1] {
            for (phase, row) in (0..window.stride[0]).flat_map(|phase| (0..rows).map(move |row| (phase, row))) {
                let out = &mut plane[self.plane.row(kx, phase, row)..][..columns];
                let y = (row * window.stride[0] + phase).wrapping_sub(window.before[0]);
                if y >= height {
                    out.fill(0.0);
                    continue;
                }
                let pixels = &input[self.input.row(c, y)..][..width];
                copy_columns(pixels, out, window.stride[1], kx, window.before[1]);
            }
        }
    }
}

/// `out[x] = pixels[x * stride + kx - left]`, zero outside.
fn copy_columns(pixels: &[f32], out: &mut [f32], stride: usize, kx: usize, left: usize) {
    if stride == 1 {
        let zeros = left.saturating_sub(kx).min(out.len());
        let skip = kx.saturating_sub(left).min(pixels.len());
        let (before, rest) = out.split_at_mut(zeros);
        let len = rest.len().min(pixels.len() - skip);
        let (inside, after) = rest.split_at_mut(len);
        before.fill(0.0);
        inside.copy_from_slice(&pixels[skip..skip + len]);
        after.fill(0.0);
        return;
    }
    for (x, out) in out.iter_mut().enumerate() {
        let column = (x * stride + kx).wrapping_sub(left);
        *out = pixels.get(column).copied().unwrap_or(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn copying_whole_planes_equals_copying_rows(
            [height, width] in prop::array::uniform2(1usize..9),
            kernel in prop::array::uniform2(1usize..6),
            [top, left, below, right] in prop::array::uniform4(0usize..5),
            (slack, origin) in (0usize..3, 0usize..5),
        ) {
            let [rows, columns] = [height + top + below, width + left + right];
            prop_assume!(rows >= kernel[0] && columns >= kernel[1]);
            let columns = columns + 1 - kernel[1];
            let pitch = columns.max(width) + slack;
            let shape = Shape { channels: 2, height, width };
            let window = Window { kernel, stride: [1, 1], before: [top, left], after: [below, right] };
            let repacked = RepackedPlane::new(window, shape, columns, pitch);
            let plane = height * pitch;
            let input = BufferLayout { shape, sliced: true, start: 0, plane, origin, pitch, border: origin > 0 };
            let start = origin + 2 * plane;
            let output = BufferLayout { start, plane: repacked.len(), origin: 0, border: false, ..input };
            let step = RepackStep { input, output, plane: repacked };
            let pixels: Vec<f32> = (1..=output.start).map(|value| value as f32).collect();
            for c in 0..2 {
                let [mut whole, mut by_row] = [vec![f32::NAN; repacked.len()], vec![f32::NAN; repacked.len()]];
                step.shift_plane(&pixels, &mut whole, c);
                step.plane(&pixels, &mut by_row, c);
                let inside = |plane: &[f32]| plane.chunks(pitch).map(|row| row[..columns].to_vec()).collect::<Vec<_>>();
                prop_assert_eq!(inside(&whole), inside(&by_row));
            }
        }
    }
}
