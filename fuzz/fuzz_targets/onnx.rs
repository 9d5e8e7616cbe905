//! ONNX: no file makes the loader panic, every refusal is a sentence, and a small model that loads runs at every width:
//! widening step by step gives the same scores as running at full width at once.
#![no_main]

use std::sync::Arc;

use anywidth::engine::{Model, Pass, Width};
use anywidth_fuzz::check_message;
use libfuzzer_sys::fuzz_target;

/// As `LoadError` promises.
const LONGEST_MESSAGE: usize = 300;
/// Larger models are loaded but not run.
const MOST_MULTIPLY_ADDS: u64 = 1 << 20;
const MOST_BYTES: u64 = 1 << 22;

fuzz_target!(|bytes: &[u8]| {
    match Model::from_onnx(bytes) {
        Ok(model) => run(Arc::new(model)),
        Err(error) => check_message(&error.to_string(), LONGEST_MESSAGE),
    }
});

fn run(model: Arc<Model>) {
    let costs: Vec<_> = model.grid().iter().map(|&width| model.cost(width)).collect();
    assert!(costs.is_sorted_by_key(|cost| (cost.multiply_adds, cost.parameters, cost.activation_bytes)));
    for note in model.notes() {
        check_message(note, LONGEST_MESSAGE);
    }
    let full = model.cost(Width::FULL);
    if full.multiply_adds > MOST_MULTIPLY_ADDS || full.activation_bytes > MOST_BYTES {
        return;
    }
    let image: Vec<f32> = (0..model.input().len()).map(|at| (at % 251) as f32 / 250.0).collect();
    let mut pass = Pass::new(model.clone(), 2);
    pass.push(&image);
    pass.push(&image);
    for &width in model.grid() {
        pass.widen(&[width, Width::FULL]);
    }
    assert_eq!(bits(pass.logits(0)), bits(pass.logits(1)));
    let by_width = pass.logits_by_width(0, model.grid());
    assert_eq!(by_width.len(), model.grid().len());
    let last = by_width.last().map(|(_, logits)| bits(logits));
    assert_eq!(last, Some(bits(pass.logits(0))));
}

/// Any NaN is as good as another.
fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| if logit.is_nan() { f32::NAN } else { *logit }.to_bits()).collect()
}
