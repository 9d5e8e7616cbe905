//! Where each value lies in an item's memory, and which convolutions read a rearranged copy.
//!
//! A convolution that reads its input where it lies writes with the input's pitch. So needs run backwards, from readers to
//! what they read, and pitches forwards.

use super::fuse::Fused;
use crate::engine::graph::{Conv, Op, Shape, Window};
use crate::engine::kernel::gather::Gathered;
use crate::engine::kernel::simd::MAX_LANES;
use crate::engine::place::Place;

/// Places of all values.
pub(super) struct Layout {
    /// The place of each fused layer's value.
    pub(super) places: Vec<Place>,
    /// For each layer the copy that it reads, if it reads one.
    pub(super) gathers: Vec<Option<Gather>>,
    /// Floats that all of them take.
    pub(super) item_len: usize,
}

/// A rearranged copy of a value.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) gathered: Gathered,
    pub(super) place: Place,
}

/// What a convolution reads.
pub(super) enum Source<'a> {
    Direct(&'a Place),
    Gathered(&'a Gather),
}

/// What the readers of a value ask of its place.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    /// Zeros above and to the left of the pixels.
    before: [usize; 2],
    /// Zeros below and to the right of the pixels.
    after: [usize; 2],
    pitch: usize,
}

/// Copying costs so much more than it saves where the junk between rows is at most this share of the pixels.
const BEARABLE_JUNK: f64 = 0.15;

impl Layout {
    /// Places the values of `layers`.
    pub(super) fn new(layers: &[Fused<'_>]) -> Layout {
        let (needs, gathered) = needs(layers);
        let mut layout = Layout { places: vec![], gathers: vec![], item_len: 0 };
        for (index, layer) in layers.iter().enumerate() {
            let gather = gathered[index].map(|window| {
                let source = layout.places[layer.inputs[0]];
                let gathered = Gathered::new(window, source.shape, layer.shape.width, needs[index].pitch);
                let plane = gathered.plane();
                let place = Place { plane, origin: 0, pitch: gathered.pitch, border: false, ..source };
                Gather { gathered, place: layout.put(place) }
            });
            let pitch = match window(layer.op) {
                Some(_) if gather.is_none() => layout.places[layer.inputs[0]].pitch,
                _ => needs[index].pitch,
            };
            let place = place(layer, needs[index], pitch);
            let place = layout.put(place);
            layout.places.push(place);
            layout.gathers.push(gather);
        }
        layout
    }

    /// What the convolution `layer`, which is number `index`, reads.
    pub(super) fn source(&self, index: usize, layer: &Fused<'_>) -> Source<'_> {
        match &self.gathers[index] {
            Some(gather) => Source::Gathered(gather),
            None => Source::Direct(&self.places[layer.inputs[0]]),
        }
    }

    /// Reserves memory for a place, and as much behind it as a tile may read beyond the last plane's end.
    fn put(&mut self, place: Place) -> Place {
        let place = Place { start: self.item_len, ..place };
        let overrun = place.pitch + 2 * MAX_LANES;
        self.item_len += (place.shape.channels * place.plane + overrun).next_multiple_of(MAX_LANES);
        place
    }
}

/// What each layer's value must offer, and the window of each convolution that reads a copy.
fn needs(layers: &[Fused<'_>]) -> (Vec<Needs>, Vec<Option<Window>>) {
    let mut needs = vec![Needs::default(); layers.len()];
    let mut gathered = vec![None; layers.len()];
    for (index, layer) in layers.iter().enumerate().rev() {
        needs[index].settle(layer.shape.width);
        let Some(window) = window(layer.op) else { continue };
        let at = layer.inputs[0];
        let mut direct = needs[at];
        for axis in 0..2 {
            direct.before[axis] = direct.before[axis].max(window.before[axis]);
            direct.after[axis] = direct.after[axis].max(window.after[axis]);
        }
        direct.pitch = direct.pitch.max(needs[index].pitch);
        direct.settle(layers[at].shape.width);
        if window.stride != [1, 1] || junk(layer.shape, direct.pitch, needs[index].pitch) > BEARABLE_JUNK {
            gathered[index] = Some(window);
        } else {
            needs[at] = direct;
        }
    }
    (needs, gathered)
}

impl Needs {
    /// Makes room for the pixels of a row and the wider of its two borders, which neighbouring rows share.
    fn settle(&mut self, width: usize) {
        self.pitch = self.pitch.max(width + self.before[1].max(self.after[1]));
    }
}

/// The window of a convolution that can read its input where it lies.
fn window(op: &Op) -> Option<Window> {
    match op {
        Op::Conv(Conv { window, .. }) | Op::Depthwise(Conv { window, .. }) => Some(*window),
        _ => None,
    }
}

/// How many more vectors an axis of pixels has at one pitch than at another, as a share.
fn junk(shape: Shape, pitch: usize, least: usize) -> f64 {
    let vectors = |pitch: usize| ((shape.height - 1) * pitch + shape.width).div_ceil(MAX_LANES) as f64;
    vectors(pitch) / vectors(least) - 1.0
}

fn place(layer: &Fused<'_>, needs: Needs, pitch: usize) -> Place {
    let rows = needs.before[0] + layer.shape.height + needs.after[0];
    Place {
        shape: layer.shape,
        sliced: layer.sliced,
        start: 0,
        plane: rows * pitch + needs.before[1] + needs.after[1],
        origin: needs.before[0] * pitch + needs.before[1],
        pitch,
        border: needs.before != [0, 0] || needs.after != [0, 0],
    }
}
