//! A batch in progress: the activations of its items, and the primitive that computes them.
//!
//! Plain runs, mixed-width batches, early exit and all-width profiles are four ways to call [`Pass::widen`]. A pass can run one model
//! after another in the same memory, which is that of its largest batch.

use std::sync::Arc;

use super::buffer::BLOCK;
use super::kernel::linear::accumulate;
use super::kernel::simd::InstructionSet;
use super::kernel::{Context, Scratch, Step};
use super::memory::Aligned;
use super::model::Model;
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
    /// Memory for the values of an item that are not kept.
    passing: Item,
}

#[derive(Debug, Default)]
struct Item {
    width: Option<Width>,
    /// Memory for every value of the plan.
    values: Aligned,
    /// Whether `values` are only those that the logits of narrower widths need.
    finished: bool,
    /// Whether the borders of `values` are those of the model.
    prepared: bool,
    /// Running sums of the head, in blocks: the logits at `width`.
    sums: Vec<[f32; BLOCK]>,
}

/// Most items that run a step together: more gain nothing.
const GROUP: usize = 8;

impl Pass {
    /// Creates a pass for up to `capacity` items, with the best instruction set of this processor.
    pub fn new(model: Arc<Model>, capacity: usize) -> Pass {
        Pass::with_instructions(model, capacity, InstructionSet::best())
    }

    /// Creates a pass that uses `set`, or portable code if the processor lacks it.
    pub fn with_instructions(model: Arc<Model>, capacity: usize, set: InstructionSet) -> Pass {
        Pass {
            model,
            set: set.or_portable(),
            capacity,
            items: vec![],
            len: 0,
            scratch: Scratch::default(),
            passing: Item::default(),
        }
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

    /// Removes all items; the next are images of `model`. Memory is kept, and grows if this model needs more.
    pub fn restart(&mut self, model: &Arc<Model>) {
        self.clear();
        if !Arc::ptr_eq(&self.model, model) {
            self.model = Arc::clone(model);
            self.items.iter_mut().chain([&mut self.passing]).for_each(|item| item.prepared = false);
        }
    }

    /// Bytes of the items' memory and of what is computed in between.
    pub fn bytes(&self) -> usize {
        let items = self.items.iter().chain([&self.passing]).map(|item| item.values.len() + item.sums.len() * BLOCK);
        (items.sum::<usize>() + self.scratch.len()) * size_of::<f32>()
    }

    /// Adds an image, `[C, H, W]`, and returns its item index. Nothing is computed yet.
    ///
    /// # Panics
    /// If the pass is full, or if the length of `image` differs from the model's input.
    pub fn push(&mut self, image: &[f32]) -> usize {
        let plan = &self.model.plan;
        assert!(self.len < self.capacity, "the pass is full");
        assert_eq!(image.len(), plan.image.shape.len(), "values of the image");
        if self.len == self.items.len() {
            self.items.push(Item::default());
        }
        let item = &mut self.items[self.len];
        item.prepare(&self.model);
        item.read(image, &self.model);
        self.len += 1;
        self.len - 1
    }

    /// Widens each item to its entry in `to`. An item that is at least as wide already stays unchanged.
    ///
    /// Only the missing channels are computed, and again the block of channels that the width before cuts. Widening to `a` and then to
    /// `b` gives the same bits as widening to `b` at once.
    ///
    /// # Panics
    /// If the length of `to` differs from the number of items.
    pub fn widen(&mut self, to: &[Width]) {
        self.compute(to, true);
    }

    /// As [`Pass::widen`], for items that are hardly widened again: values that only this would need are not kept, so that batches do
    /// not fill the caches with them. An item that is widened all the same is computed from its image.
    ///
    /// # Panics
    /// If the length of `to` differs from the number of items.
    pub fn finish(&mut self, to: &[Width]) {
        self.compute(to, false);
    }

    fn compute(&mut self, to: &[Width], keep: bool) {
        assert_eq!(to.len(), self.len, "one width per item");
        let mut items: Vec<(&mut Item, Width)> = self.items.iter_mut().zip(to.iter().copied()).collect();
        items.retain(|(item, to)| item.width.is_none_or(|has| has < *to));
        for (item, _) in items.iter_mut().filter(|(item, _)| item.finished) {
            item.prepare(&self.model);
        }
        // One item stays in the caches, and so does its memory.
        let passing = (!keep && items.len() > 1).then_some(&mut self.passing);
        let mut group = Group { model: &self.model, set: self.set, scratch: &mut self.scratch, passing };
        for same in items.chunk_by_mut(|(a, to_a), (b, to_b)| (a.width, to_a) == (b.width, to_b)) {
            for items in same.chunks_mut(GROUP) {
                let (from, to) = (items[0].0.width, items[0].1);
                let items: Vec<&mut Item> = items.iter_mut().map(|(item, _)| &mut **item).collect();
                group.widen(items, from, to);
            }
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

impl Item {
    /// Makes the memory that of a new item of `model`.
    fn prepare(&mut self, model: &Model) {
        let plan = &model.plan;
        (self.width, self.finished) = (None, false);
        if !self.prepared {
            self.prepared = true;
            let values = self.values.first(plan.item_len);
            plan.buffers().for_each(|buffer| buffer.clear_border(values));
        }
        self.sums.clear();
        self.sums.extend_from_slice(plan.head.packed.bias.as_chunks::<BLOCK>().0);
    }

    /// Copies an image, `[C, H, W]`, to its buffer.
    fn read(&mut self, image: &[f32], model: &Model) {
        let (buffer, rescaling) = (&model.plan.image, &model.plan.rescaling);
        for (index, row) in image.chunks_exact(buffer.shape.width).enumerate() {
            let (c, y) = (index / buffer.shape.height, index % buffer.shape.height);
            let (scale, shift) = rescaling.as_ref().map_or((1.0, 0.0), |affine| (affine.scale[c], affine.shift[c]));
            let pixels = &mut self.values[buffer.row(c / buffer.lanes, y)..][..buffer.shape.width * buffer.lanes];
            for (pixel, value) in pixels.chunks_exact_mut(buffer.lanes).zip(row) {
                pixel[c % buffer.lanes] = value * scale + shift;
            }
        }
    }
}

/// What widens items that have the same width.
struct Group<'a> {
    model: &'a Model,
    set: InstructionSet,
    scratch: &'a mut Scratch,
    /// Memory for the values of one item after another, if they are not kept.
    passing: Option<&'a mut Item>,
}

impl Group<'_> {
    fn widen(&mut self, mut items: Vec<&mut Item>, from: Option<Width>, to: Width) {
        let plan = &self.model.plan;
        // Large maps fill the caches: one item runs all their layers before the next. Of small ones the weights do.
        for item in &mut items {
            self.run_each(item, from, to);
        }
        let context = &mut Context { set: self.set, scratch: &mut *self.scratch };
        let mut values: Vec<&mut [f32]> = items.iter_mut().map(|item| &mut *item.values).collect();
        run(&plan.steps[plan.first_shared..], context, &mut values, from, to);
        let (first, end) = (plan.head.input.active(from), plan.head.input.active(Some(to)));
        for item in items {
            let features = &mut self.scratch.features;
            add_channels(self.model, self.set, &item.values, features, &mut item.sums, first, end);
            item.width = Some(to);
        }
    }

    /// Runs the steps that each item runs alone.
    fn run_each(&mut self, item: &mut Item, from: Option<Width>, to: Width) {
        let plan = &self.model.plan;
        let steps = &plan.steps[..plan.first_shared];
        let context = &mut Context { set: self.set, scratch: &mut *self.scratch };
        // Values of a narrower width are in the item's own memory.
        let Some(passing) = self.passing.as_deref_mut().filter(|_| from.is_none()) else {
            return run(steps, context, &mut [&mut item.values], from, to);
        };
        passing.prepare(self.model);
        let image = plan.image.range(plan.image.shape.channels);
        passing.values[image.clone()].copy_from_slice(&item.values[image]);
        run(steps, context, &mut [&mut passing.values], from, to);
        for buffer in &plan.shared_inputs {
            let range = buffer.range(buffer.active(Some(to)));
            item.values[range.clone()].copy_from_slice(&passing.values[range]);
        }
        item.finished = true;
    }
}

/// Runs steps for some items.
fn run(steps: &[Box<dyn Step>], context: &mut Context<'_>, items: &mut [&mut [f32]], from: Option<Width>, to: Width) {
    for step in steps {
        let (from, to) = (step.output().active(from), step.output().active(Some(to)));
        if from < to {
            step.run(context, items, from, to);
        }
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
                for block in 0..buffer.shape.channels.div_ceil(buffer.lanes) {
                    for y in 0..buffer.shape.height {
                        let at = buffer.row(block, y);
                        item.values[at..at + buffer.shape.width * buffer.lanes].fill(f32::NAN);
                    }
                }
            }
        }
    }
}
