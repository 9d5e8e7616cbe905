//! Time per batch at four widths, in one thread: this engine and other runtimes, interleaved in one run.
//!
//! The peers run a dense network per width, sliced from the same weights, which is their best case; `peers.py` has them and checks
//! their scores. The output is Markdown tables. `make bench` prepares the prerequisites. Arguments are model names, or files as
//! `NAME/VERSION/model.onnx`, and `--single` for batches of one image alone.
#![allow(missing_docs, clippy::unwrap_used, reason = "a short program that may panic on any error")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anywidth::engine::{InstructionSet, Model, ModelFile, Pass, Precision, Width};
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
/// Largest error of our scores relative to the largest score of tract, by precision.
const TOLERANCES: [(Precision, f32); 2] = [(Precision::F32, 1e-4), (Precision::Bf16, 0.1)];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (flags, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let batches = if flags.iter().any(|flag| flag == "--single") { &BATCHES[..1] } else { &BATCHES[..] };
    let names = if names.is_empty() {
        ["mnist", "fashion-mnist", "cifar10-lenet", "cifar10"].map(String::from).to_vec()
    } else {
        names
    };
    let file = |name: &String| match name.ends_with(".onnx") {
        true => PathBuf::from(name),
        false => root.join("models").join(name).join("1/model.onnx"),
    };
    let files: Vec<PathBuf> = names.iter().map(file).collect();
    let slices = root.join("target/bench-slices");
    let mut peers = Peers::start(root, &slices, &files);
    let versions: Vec<String> = peers.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    println!("Instructions: {:?}; {}; one thread each.", InstructionSet::best(), versions.join(", "));
    let idle = median((0..ROUNDS).map(|_| peers.seconds("onnxruntime", &slices.join("idle.onnx"), 1, 2000)).collect());
    println!("An empty network takes ONNX Runtime {:.1} us per call; it is not subtracted.\n", idle * 1e6);
    for file in &files {
        let name = file.iter().rev().nth(2).unwrap().to_string_lossy();
        println!("### {name}\n");
        let columns: Vec<&str> = peers.versions.iter().map(|(name, _)| name.as_str()).collect();
        println!("| width | batch | anywidth | GFLOP/s | in bf16 | {} | tract |", columns.join(" | "));
        println!("|---|---|---|---|---|---|{}", "---|".repeat(columns.len()));
        for &batch in batches {
            for width in WIDTHS {
                compare(file, width, batch, &slices.join(format!("{name}-{width}.onnx")), &mut peers);
            }
        }
        println!();
    }
}

/// Prints one row: this engine's median time, and for each peer the median ratio of its time to this engine's in the same precision,
/// per turn.
fn compare(file: &Path, width: &str, batch: usize, slice: &Path, peers: &mut Peers) {
    let width: Width = width.parse().unwrap();
    let bytes = std::fs::read(file).unwrap();
    let precisions = Precision::ALL.into_iter().filter(|precision| precision.is_available());
    let compile = |precision| Arc::new(ModelFile::read(&bytes, None).unwrap().compile(precision).unwrap());
    let mut ours: Vec<Ours> = precisions.map(|precision| Ours::new(compile(precision), width, batch)).collect();
    let tract = Tract::new(slice, &ours[0].pass.model().clone(), batch);
    ours.iter_mut().for_each(|ours| ours.check(&tract));
    let names: Vec<String> = peers.versions.iter().map(|(name, _)| name.clone()).collect();

    let runs = |once: f64| ((TURN_SECONDS / once) as usize).clamp(1, 2000);
    let of_ours: Vec<usize> = ours.iter_mut().map(|ours| runs(ours.seconds(3))).collect();
    let of_peers: Vec<usize> = names.iter().map(|name| runs(peers.seconds(name, slice, batch, 3))).collect();
    let of_tract = runs(tract.seconds(1));
    let (mut times, mut ratios) = (vec![vec![]; ours.len()], vec![vec![]; names.len() + 1]);
    for _ in 0..ROUNDS {
        let turn: Vec<f64> = ours.iter_mut().zip(&of_ours).map(|(ours, &runs)| ours.seconds(runs)).collect();
        for (name, (&runs, ratios)) in names.iter().zip(of_peers.iter().zip(&mut ratios)) {
            let ours = if name.ends_with("-bf16") { turn[turn.len() - 1] } else { turn[0] };
            ratios.push(peers.seconds(name, slice, batch, runs) / ours);
        }
        ratios[names.len()].push(tract.seconds(of_tract) / turn[0]);
        times.iter_mut().zip(turn).for_each(|(times, time)| times.push(time));
    }
    let times: Vec<f64> = times.into_iter().map(median).collect();
    let flops = 2.0 * ours[0].pass.model().cost(width).multiply_adds as f64 * batch as f64;
    let ratios: Vec<String> = ratios.into_iter().map(|ratios| format!("{:.2}x", median(ratios))).collect();
    let bf16 = times.get(1).map_or("-".to_owned(), |time| format!("{:.0} us", time * 1e6));
    let (time, gflops) = (times[0], flops / times[0] / 1e9);
    println!("| {width} | {batch} | {:.0} us | {gflops:.0} | {bf16} | {} |", time * 1e6, ratios.join(" | "));
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
    fn new(model: Arc<Model>, width: Width, batch: usize) -> Ours {
        let image = (0..model.input().len()).map(|at| (at % 97) as f32 / 97.0).collect();
        Ours { pass: Pass::new(model, batch), image, widths: vec![width; batch] }
    }

    fn run(&mut self) {
        self.pass.clear();
        self.widths.iter().for_each(|_| _ = self.pass.push(&self.image));
        self.pass.finish(&self.widths);
        std::hint::black_box(self.pass.logits(0));
    }

    /// Panics if the scores of the first image are not those of tract.
    fn check(&mut self, tract: &Tract) {
        self.run();
        let expected = tract.scores();
        let largest = expected.iter().fold(0.0f32, |largest, score| largest.max(score.abs()));
        let precision = self.pass.model().precision();
        let tolerance = TOLERANCES.iter().find(|(known, _)| *known == precision).unwrap().1 * largest;
        let right = self.pass.logits(0).iter().zip(&expected).all(|(ours, theirs)| (ours - theirs).abs() <= tolerance);
        assert!(right, "{precision}: {:?}, not {expected:?}", self.pass.logits(0));
    }

    fn seconds(&mut self, runs: usize) -> f64 {
        average(runs, || self.run())
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
        let values: Vec<f32> =
            (0..dims.iter().product()).map(|at: usize| (at % shape.len() % 97) as f32 / 97.0).collect();
        Tract { runnable, input: Tensor::from_shape(&dims, &values).unwrap().into() }
    }

    /// Scores of the first image.
    fn scores(&self) -> Vec<f32> {
        let outputs = self.runnable.run(tvec!(self.input.clone())).unwrap();
        let scores = outputs[0].to_plain_array_view::<f32>().unwrap();
        scores.outer_iter().next().unwrap().iter().copied().collect()
    }

    fn seconds(&self, runs: usize) -> f64 {
        average(runs, || {
            std::hint::black_box(self.runnable.run(tvec!(self.input.clone())).unwrap());
        })
    }
}

/// The process of the other runtimes. `peers.py` describes the protocol.
struct Peers {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Each runtime and its version.
    versions: Vec<(String, String)>,
}

impl Peers {
    fn start(root: &Path, slices: &Path, files: &[PathBuf]) -> Peers {
        let mut child = Command::new(root.join(".venv/bin/python"))
            .arg(root.join("benches/peers.py"))
            .arg(slices)
            .arg(WIDTHS.join(","))
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("needs the runtimes in .venv: make bench installs them");
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut peers = Peers { child, requests, answers, versions: vec![] };
        let ready = peers.line();
        let words = ready.strip_prefix("ready ").expect("peers.py failed").split(' ');
        peers.versions =
            words.map(|word| word.split_once('=').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        peers
    }

    fn seconds(&mut self, name: &str, file: &Path, batch: usize, runs: usize) -> f64 {
        writeln!(self.requests, "{name} {} {batch} {runs}", file.display()).unwrap();
        // Some runtimes greet on standard output.
        loop {
            if let Ok(seconds) = self.line().parse() {
                return seconds;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).unwrap() > 0, "peers.py has ended");
        line.trim_end_matches('\n').to_owned()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
