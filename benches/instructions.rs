//! Time per image with each instruction set of this processor, at four widths, in one thread:
//! `cargo bench --bench instructions`.
//!
//! An argument names a model (default `cifar10`) or one instruction set to measure, such as `avx2`. Packed
//! weights are the same for all of them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a short program that may panic on any error")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anywidth::engine::{InstructionSet, Model, Pass, Width};

const WIDTHS: [&str; 4] = ["0.25", "0.5", "0.75", "1"];
/// Turns of each instruction set and width.
const ROUNDS: usize = 15;
/// Seconds per turn.
const TURN_SECONDS: f64 = 0.02;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let name = |set: InstructionSet| format!("{set:?}").to_lowercase();
    let asked: Vec<_> = InstructionSet::available().into_iter().filter(|&set| arguments.contains(&name(set))).collect();
    let sets = if asked.is_empty() { InstructionSet::available() } else { asked };
    let is_set = |argument: &&String| sets.iter().any(|&set| name(set) == **argument);
    let model = arguments.iter().find(|argument| !is_set(argument)).map_or("cifar10", String::as_str);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model).join("1/model.onnx");
    let model = Arc::new(Model::from_onnx(&std::fs::read(file).unwrap()).unwrap());
    let image: Vec<f32> = (0..model.input().len()).map(|at| (at % 97) as f32 / 97.0).collect();

    println!("| instructions | {} |\n|---|---|---|---|---|", WIDTHS.join(" | "));
    let mut times = vec![[const { Vec::new() }; WIDTHS.len()]; sets.len()];
    for _ in 0..ROUNDS {
        for (&set, times) in sets.iter().zip(&mut times) {
            for (width, times) in WIDTHS.iter().zip(times) {
                times.push(seconds(&model, set, &image, width.parse().unwrap()));
            }
        }
    }
    for (set, times) in sets.iter().zip(times) {
        let times = times.map(|times| format!("{:.0} us", median(times) * 1e6));
        println!("| {set:?} | {} |", times.join(" | "));
    }
}

/// Mean seconds per image over one turn, after one warm-up run.
fn seconds(model: &Arc<Model>, set: InstructionSet, image: &[f32], width: Width) -> f64 {
    let mut pass = Pass::with_instructions(model.clone(), 1, set);
    let mut run = || {
        pass.clear();
        pass.push(image);
        pass.widen(&[width]);
        std::hint::black_box(pass.logits(0));
    };
    run();
    let (start, mut runs) = (Instant::now(), 0);
    while start.elapsed().as_secs_f64() < TURN_SECONDS {
        run();
        runs += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(runs)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
