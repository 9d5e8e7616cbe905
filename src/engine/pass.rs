//! A batch in progress: the activations of its items, and the primitive that computes them.
//!
//! Plain runs, mixed-width batches, early exit and all-width profiles are four ways to call [`Pass::widen`]. Memory for
//! an item is allocated at the first [`Pass::push`] and reused across batches.

use std::sync::Arc;

use super::kernel::linear::accumulate;
use super::kernel::simd::InstructionSet;
use super::model::Model;
use super::pack::BLOCK;
use super::plan::Scratch;
use super::width::Width;

/// A batch of images, each computed up to its own width.
#[derive(Debug)]
pub struct Pass {
    model: Arc<Model>,
    set: InstructionSet,
    capacity: usize,
    items: Vec<Item>,
    /// Number of `items` in use.
    len: usize,
    scratch: Scratch,
}

#[derive(Debug)]
struct Item {
    width: Option<Width>,
    /// Memory for every value of the plan.
    values: Vec<f32>,
    /// Running sums of the head, in blocks: the logits at `width`.
    sums: Vec<[f32; BLOCK]>,
}

impl Pass {
    /// Creates a pass for up to `capacity` items, with the best instruction set of this processor.
    pub fn new(model: Arc<Model>, capacity: usize) -> Pass {
        Pass::with_instructions(model, capacity, InstructionSet::best())
    }

    /// Creates a pass that uses `set`, or portable code if the processor lacks it.
    pub fn with_instructions(model: Arc<Model>, capacity: usize, set: InstructionSet) -> Pass {
        Pass { model, set, capacity, items: vec![], len: 0, scratch: Scratch::default() }
    }

    /// The network.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes all items and keeps their memory for reuse.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds an image, `[C, H, W]`, and returns its item index. Nothing is computed yet.
    ///
    /// # Panics
    /// If the pass is full, or if the length of `image` differs from the model's input.
    pub fn push(&mut self, image: &[f32]) -> usize {
        let plan = &self.model.plan;
        let shape = plan.image.shape;
        assert!(self.len < self.capacity, "the pass is full");
        assert_eq!(image.len(), shape.len(), "values of the image");
        if self.len == self.items.len() {
            let sums = vec![[0.0; BLOCK]; plan.head.classes.div_ceil(BLOCK)];
            self.items.push(Item { width: None, values: vec![0.0; plan.item_len], sums });
        }
        let item = &mut self.items[self.len];
        item.width = None;
        for (sums, bias) in item.sums.iter_mut().zip(plan.head.packed.bias.as_chunks::<BLOCK>().0) {
            *sums = *bias;
        }
        for (index, row) in image.chunks_exact(shape.width).enumerate() {
            let at = plan.image.start + plan.image.row(index / shape.height, index % shape.height);
            item.values[at..at + shape.width].copy_from_slice(row);
        }
        self.len += 1;
        self.len - 1
    }

    /// Widens each item to its entry in `to`. An item that is at least as wide already stays unchanged.
    ///
    /// Only the missing channels are computed. Widening to `a` and then to `b` gives the same bits as widening to `b`
    /// at once.
    ///
    /// # Panics
    /// If the length of `to` differs from the number of items.
    pub fn widen(&mut self, to: &[Width]) {
        assert_eq!(to.len(), self.len, "one width per item");
        let plan = &self.model.plan;
        for (item, &width) in self.items.iter_mut().zip(to) {
            if item.width.is_some_and(|has| has >= width) {
                continue;
            }
            for step in &plan.steps {
                let (from, to) = (step.output().active(item.width), step.output().active(Some(width)));
                if from < to {
                    step.run(self.set, &mut item.values, &mut self.scratch, from, to);
                }
            }
            let (from, to) = (plan.head.input.active(item.width), plan.head.input.active(Some(width)));
            add_channels(&self.model, self.set, &item.values, &mut self.scratch.features, &mut item.sums, from, to);
            item.width = Some(width);
        }
    }

    /// Width of an item; `None` before the first [`Pass::widen`].
    ///
    /// # Panics
    /// If `item` is out of range.
    pub fn width(&self, item: usize) -> Option<Width> {
        self.item(item).width
    }

    /// Logits of an item at its width, `[classes]`. Before the first [`Pass::widen`] they are the biases.
    ///
    /// # Panics
    /// If `item` is out of range.
    pub fn logits(&self, item: usize) -> &[f32] {
        &self.item(item).sums.as_flattened()[..self.model.classes()]
    }

    /// Logits of an item, `[classes]`, at each of `widths` below its own width and at its own width.
    ///
    /// `widths` must ascend. The logits come from the activations already computed; only the last layer is summed
    /// again. Empty before the first [`Pass::widen`].
    ///
    /// # Panics
    /// If `item` is out of range.
    pub fn logits_by_width(&self, item: usize, widths: &[Width]) -> Vec<(Width, Vec<f32>)> {
        let item = self.item(item);
        let head = &self.model.plan.head;
        let Some(own) = item.width else { return vec![] };
        debug_assert!(widths.is_sorted(), "running sums only grow");
        let mut sums = head.packed.bias.as_chunks::<BLOCK>().0.to_vec();
        let mut features = vec![];
        let mut from = 0;
        let narrower = widths.iter().copied().take_while(|&width| width < own);
        let at = |width| {
            let to = head.input.active(Some(width));
            add_channels(&self.model, self.set, &item.values, &mut features, &mut sums, from, to);
            from = to;
            (width, sums.as_flattened()[..head.classes].to_vec())
        };
        narrower.chain([own]).map(at).collect()
    }

    fn item(&self, index: usize) -> &Item {
        &self.items[..self.len][index]
    }
}

/// Adds the contribution of channels `from..to` of the head's input to the logits.
fn add_channels(
    model: &Model,
    set: InstructionSet,
    values: &[f32],
    features: &mut Vec<f32>,
    sums: &mut [[f32; BLOCK]],
    from: usize,
    to: usize,
) {
    let head = &model.plan.head;
    head.input.flatten(values, from, to, features);
    let per_channel = head.packed.features_per_channel;
    for (index, sums) in sums.iter_mut().enumerate() {
        accumulate(set, sums, features, head.packed.weights(index, from * per_channel, to * per_channel));
    }
}

#[cfg(test)]
impl Pass {
    /// Fills all values except the image with NaN, because inactive channels may hold anything.
    pub(crate) fn poison(&mut self) {
        let plan = &self.model.plan;
        for item in &mut self.items[..self.len] {
            for buffer in plan.steps.iter().map(|step| step.output()) {
                if !buffer.border {
                    let end = buffer.start + buffer.shape.channels * buffer.plane;
                    item.values[buffer.start..end].fill(f32::NAN);
                    continue;
                }
                for c in 0..buffer.shape.channels {
                    for y in 0..buffer.shape.height {
                        let at = buffer.start + buffer.row(c, y);
                        item.values[at..at + buffer.shape.width].fill(f32::NAN);
                    }
                }
            }
        }
    }
}
