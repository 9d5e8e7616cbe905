//! The memory layout of an item: where each value is, and which convolutions read a repacked copy.
//!
//! A convolution that reads its input directly writes with the input's row stride. Requirements therefore propagate
//! backwards, from readers to their inputs, and row strides forwards.

use super::fuse::Fused;
use crate::engine::buffer::BufferLayout;
use crate::engine::graph::{Conv, Op, Shape, Window};
use crate::engine::kernel::repack::RepackedPlane;
use crate::engine::kernel::simd::MAX_LANES;

/// The memory of one item.
pub(super) struct ItemLayout {
    /// Buffer of each fused layer's value.
    pub(super) buffers: Vec<BufferLayout>,
    /// The repacked copy that each layer reads, if any.
    pub(super) repacks: Vec<Option<Repack>>,
    /// Total floats per item.
    pub(super) item_len: usize,
}

/// A repacked copy of a value.
#[derive(Debug)]
pub(super) struct Repack {
    pub(super) plane: RepackedPlane,
    pub(super) buffer: BufferLayout,
}

/// The source of a convolution's input.
pub(super) enum Source<'a> {
    Direct(&'a BufferLayout),
    Repacked(&'a Repack),
}

/// The requirements of a value's readers on its buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    /// Zero padding above and to the left.
    before: [usize; 2],
    /// Zero padding below and to the right.
    after: [usize; 2],
    pitch: usize,
}

/// Maximum share of wasted columns; above it, repacking is cheaper.
const MAX_WASTED_SHARE: f64 = 0.15;

impl ItemLayout {
    /// Allocates a buffer for the value of each layer.
    pub(super) fn new(layers: &[Fused<'_>]) -> ItemLayout {
        let (needs, repacked) = needs(layers);
        let mut layout = ItemLayout { buffers: vec![], repacks: vec![], item_len: 0 };
        for (index, layer) in layers.iter().enumerate() {
            let repack = repacked[index].map(|window| {
                let source = layout.buffers[layer.inputs[0]];
                let plane = RepackedPlane::new(window, source.shape, layer.shape.width, needs[index].pitch);
                let buffer =
                    BufferLayout { plane: plane.len(), origin: 0, pitch: plane.pitch, border: false, ..source };
                Repack { plane, buffer: layout.put(buffer) }
            });
            let pitch = match window(layers, layer) {
                Some(_) if repack.is_none() => layout.buffers[layer.inputs[0]].pitch,
                _ => needs[index].pitch,
            };
            let buffer = buffer_for(layer, needs[index], pitch);
            let buffer = layout.put(buffer);
            layout.buffers.push(buffer);
            layout.repacks.push(repack);
        }
        layout
    }

    /// The source of the convolution `layer` at `index`.
    pub(super) fn source(&self, index: usize, layer: &Fused<'_>) -> Source<'_> {
        match &self.repacks[index] {
            Some(repack) => Source::Repacked(repack),
            None => Source::Direct(&self.buffers[layer.inputs[0]]),
        }
    }

    /// Reserves memory for a buffer, plus the overrun that a tile may read past the last plane.
    fn put(&mut self, buffer: BufferLayout) -> BufferLayout {
        let buffer = BufferLayout { start: self.item_len, ..buffer };
        let overrun = buffer.pitch + 2 * MAX_LANES;
        self.item_len += (buffer.shape.channels * buffer.plane + overrun).next_multiple_of(MAX_LANES);
        buffer
    }
}

/// The requirements on each layer's value, and the window of each convolution that reads a repacked copy.
fn needs(layers: &[Fused<'_>]) -> (Vec<Needs>, Vec<Option<Window>>) {
    let mut needs = vec![Needs::default(); layers.len()];
    let mut repacked = vec![None; layers.len()];
    for (index, layer) in layers.iter().enumerate().rev() {
        needs[index].settle(layer.shape.width);
        let Some(window) = window(layers, layer) else { continue };
        let at = layer.inputs[0];
        let mut direct = needs[at];
        for axis in 0..2 {
            direct.before[axis] = direct.before[axis].max(window.before[axis]);
            direct.after[axis] = direct.after[axis].max(window.after[axis]);
        }
        direct.pitch = direct.pitch.max(needs[index].pitch);
        direct.settle(layers[at].shape.width);
        if window.stride != [1, 1] || wasted_share(layer.shape, direct.pitch, needs[index].pitch) > MAX_WASTED_SHARE {
            repacked[index] = Some(window);
        } else {
            needs[at] = direct;
        }
    }
    (needs, repacked)
}

impl Needs {
    /// Makes the row stride fit a row and the wider of its two borders, which neighbouring rows share.
    fn settle(&mut self, width: usize) {
        self.pitch = self.pitch.max(width + self.before[1].max(self.after[1]));
    }
}

/// The window of a layer that can read its input directly; `None` for other layers, and for convolutions that copy it to tiles.
fn window(layers: &[Fused<'_>], layer: &Fused<'_>) -> Option<Window> {
    match layer.op {
        Op::Conv(_) if layer.tiling(layers).is_some() => None,
        Op::Conv(Conv { window, .. }) | Op::Depthwise(Conv { window, .. }) => Some(*window),
        _ => None,
    }
}

/// Relative increase in vectors of a pixel axis at row stride `pitch`, compared with `least`.
fn wasted_share(shape: Shape, pitch: usize, least: usize) -> f64 {
    let vectors = |pitch: usize| ((shape.height - 1) * pitch + shape.width).div_ceil(MAX_LANES) as f64;
    vectors(pitch) / vectors(least) - 1.0
}

fn buffer_for(layer: &Fused<'_>, needs: Needs, pitch: usize) -> BufferLayout {
    let rows = needs.before[0] + layer.shape.height + needs.after[0];
    BufferLayout {
        shape: layer.shape,
        sliced: layer.sliced,
        start: 0,
        plane: rows * pitch + needs.before[1] + needs.after[1],
        origin: needs.before[0] * pitch + needs.before[1],
        pitch,
        border: needs.before != [0, 0] || needs.after != [0, 0],
    }
}
