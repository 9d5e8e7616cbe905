//! Time per batch at four widths, in one thread: this engine, ONNX Runtime and tract, interleaved in one run.
//!
//! The peers run a dense network per width, sliced from the same weights, which is their best case. The output is
//! Markdown tables. `make bench` prepares the prerequisites. Arguments are model names.
#![allow(missing_docs, clippy::unwrap_used, reason = "a short program that may panic on any error")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anywidth::engine::{InstructionSet, Model, Pass, Width};
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, RunnableModel, TValue, Tensor, TypedFact,
    TypedOp, tvec,
};

const WIDTHS: [&str; 4] = ["0.25", "0.5", "0.75", "1"];
const BATCHES: [usize; 3] = [1, 8, 32];
/// Turns of each contender.
const ROUNDS: usize = 15;
/// Seconds per turn of a contender.
const TURN_SECONDS: f64 = 0.02;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let names = if names.is_empty() {
        ["mnist", "fashion-mnist", "cifar10-lenet", "cifar10"].map(String::from).to_vec()
    } else {
        names
    };
    let files: Vec<PathBuf> = names.iter().map(|name| root.join("models").join(name).join("1/model.onnx")).collect();
    let slices = root.join("target/bench-slices");
    let mut runtime = OnnxRuntime::start(root, &slices, &files);
    println!("Instructions: {:?}; ONNX Runtime {}; one thread each.", InstructionSet::best(), runtime.version);
    let idle = median((0..ROUNDS).map(|_| runtime.seconds(&slices.join("idle.onnx"), 1, 2000)).collect());
    println!("An empty network takes ONNX Runtime {:.1} us per call; it is not subtracted.\n", idle * 1e6);
    for (name, file) in names.iter().zip(&files) {
        let model = Arc::new(Model::from_onnx(&std::fs::read(file).unwrap()).unwrap());
        println!("### {name}\n");
        println!("| width | batch | anywidth | GFLOP/s | ONNX Runtime | tract |\n|---|---|---|---|---|---|");
        for batch in BATCHES {
            for width in WIDTHS {
                let slice = slices.join(format!("{name}-{width}.onnx"));
                compare(&model, width, batch, &slice, &mut runtime);
            }
        }
        println!();
    }
}

/// Prints one row: this engine's median time, and for each peer the median ratio of its time to this engine's, per
/// turn.
fn compare(model: &Arc<Model>, width: &str, batch: usize, slice: &Path, runtime: &mut OnnxRuntime) {
    let width: Width = width.parse().unwrap();
    let mut ours = Ours::new(model, width, batch);
    let tract = Tract::new(slice, model, batch);
    let runs = |once: f64| ((TURN_SECONDS / once) as usize).clamp(1, 2000);
    let counts = [runs(ours.seconds(3)), runs(runtime.seconds(slice, batch, 3)), runs(tract.seconds(1))];
    let turns: Vec<[f64; 3]> = (0..ROUNDS)
        .map(|_| [ours.seconds(counts[0]), runtime.seconds(slice, batch, counts[1]), tract.seconds(counts[2])])
        .collect();
    let time = median(turns.iter().map(|turn| turn[0]).collect());
    let ratio = |peer: usize| median(turns.iter().map(|turn| turn[peer] / turn[0]).collect());
    let flops = 2.0 * model.cost(width).multiply_adds as f64 * batch as f64;
    println!(
        "| {width} | {batch} | {:.0} us | {:.0} | {:.2}x | {:.2}x |",
        time * 1e6,
        flops / time / 1e9,
        ratio(1),
        ratio(2)
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Mean seconds per call of `run` over `runs` calls.
fn average(runs: usize, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..runs).for_each(|_| run());
    start.elapsed().as_secs_f64() / runs as f64
}

struct Ours {
    pass: Pass,
    image: Vec<f32>,
    widths: Vec<Width>,
}

impl Ours {
    fn new(model: &Arc<Model>, width: Width, batch: usize) -> Ours {
        let image = (0..model.input().len()).map(|at| (at % 97) as f32 / 97.0).collect();
        Ours { pass: Pass::new(model.clone(), batch), image, widths: vec![width; batch] }
    }

    fn seconds(&mut self, runs: usize) -> f64 {
        average(runs, || {
            self.pass.clear();
            self.widths.iter().for_each(|_| _ = self.pass.push(&self.image));
            self.pass.finish(&self.widths);
            std::hint::black_box(self.pass.logits(0));
        })
    }
}

type Runnable = Arc<RunnableModel<TypedFact, Box<dyn TypedOp>>>;

struct Tract {
    runnable: Runnable,
    input: TValue,
}

impl Tract {
    fn new(slice: &Path, model: &Model, batch: usize) -> Tract {
        let shape = model.input();
        let dims = [batch, shape.channels, shape.height, shape.width];
        let plain = tract_onnx::onnx().model_for_path(slice).unwrap();
        let fixed = plain.with_input_fact(0, InferenceFact::dt_shape(DatumType::F32, dims)).unwrap();
        let runnable = fixed.into_optimized().unwrap().into_runnable().unwrap();
        let values: Vec<f32> = (0..dims.iter().product()).map(|at: usize| (at % 97) as f32 / 97.0).collect();
        Tract { runnable, input: Tensor::from_shape(&dims, &values).unwrap().into() }
    }

    fn seconds(&self, runs: usize) -> f64 {
        average(runs, || {
            std::hint::black_box(self.runnable.run(tvec!(self.input.clone())).unwrap());
        })
    }
}

/// The ONNX Runtime process. `peer.py` describes the protocol.
struct OnnxRuntime {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
}

impl OnnxRuntime {
    fn start(root: &Path, slices: &Path, files: &[PathBuf]) -> OnnxRuntime {
        let mut child = Command::new(root.join(".venv/bin/python"))
            .arg(root.join("benches/peer.py"))
            .arg(slices)
            .arg(WIDTHS.join(","))
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("needs ONNX Runtime in .venv: make bench installs it");
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut runtime = OnnxRuntime { child, requests, answers, version: String::new() };
        runtime.version = runtime.line().strip_prefix("ready ").expect("peer.py failed").to_string();
        runtime
    }

    fn seconds(&mut self, file: &Path, batch: usize, runs: usize) -> f64 {
        writeln!(self.requests, "{} {batch} {runs}", file.display()).unwrap();
        self.line().parse().unwrap()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_string()
    }
}

impl Drop for OnnxRuntime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
