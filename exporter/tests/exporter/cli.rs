//! The command on a data set in MNIST's format: its refusals of mismatched runs, and the files it leaves behind.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use anywidth::engine::Model;
use exporter::data::{Augmentation, Dataset, Images};
use exporter::model::Architecture;
use exporter::train::loss::Weighting;
use exporter::train::method::{OnePass, UsNet};
use exporter::train::optimiser::SgdSettings;
use exporter::train::progress::Progress;
use exporter::train::schedule::{Decay, Schedule};
use exporter::train::{Material, Method, Precision, Recipe, Run, Start, Teacher};

/// A folder with MNIST's files, each image a bright bar whose row is its class; built once and kept.
static DATA: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bars");
    if !folder.exists() {
        let unfinished = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        for (part, count) in [("train", 60_000), ("t10k", 10_000)] {
            let labels: Vec<u8> = (0..count).map(|index| (index % 10) as u8).collect();
            let image =
                |label: &u8| (0..28).flat_map(|row| [if row / 2 == 4 + label { 255u8 } else { 20 }; 28]).collect();
            let pixels: Vec<u8> = labels.iter().flat_map::<Vec<u8>, _>(image).collect();
            for (kind, magic, sizes, body) in
                [("images-idx3", 2051, &[count, 28, 28][..], pixels), ("labels-idx1", 2049, &[count], labels)]
            {
                let path = unfinished.path().join(format!("{part}-{kind}-ubyte.gz"));
                let mut file = GzEncoder::new(fs::File::create(path).expect("a file"), Compression::none());
                let head = std::iter::once(magic).chain(sizes.iter().copied()).flat_map(u32::to_be_bytes);
                file.write_all(&head.collect::<Vec<u8>>()).expect("written");
                file.write_all(&body).expect("written");
                file.finish().expect("written");
            }
        }
        fs::rename(unfinished.keep(), &folder).expect("nobody else makes that folder");
    }
    folder
});

/// The words of `line`, with `DATA` and `RUNS` replaced by those folders.
fn words(line: &str, runs: &TempDir) -> Vec<String> {
    let [data, runs] = [&DATA, runs.path()].map(|path: &Path| path.to_str().expect("a path in UTF-8"));
    line.split_whitespace().map(|word| word.replace("DATA", data).replace("RUNS", runs)).collect()
}

fn exporter(line: &str, runs: &TempDir) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exporter"));
    command.args(words(line, runs)).output().expect("the exporter starts")
}

fn runs() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn succeeds(line: &str, runs: &TempDir) -> String {
    let output = exporter(line, runs);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The last line of standard error, without `error: `.
fn refusal(line: &str, runs: &TempDir) -> String {
    let output = exporter(line, runs);
    assert!(!output.status.success(), "{line} succeeds");
    error(&output)
}

fn error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().last().and_then(|line| line.strip_prefix("error: "));
    line.unwrap_or_else(|| panic!("no error in: {text}")).to_owned()
}

/// The recipe of these flags, with MNIST's defaults.
const TRAIN: &str = "train mnist --data DATA --channels 2 --epochs 1 --batch 20 --rate 0.1 --held-out 59900 --precision float32 --arrival 0 --inverted 0";

fn one_pass() -> Method {
    let weighting = Weighting { narrowest: 0.125, emphasis: vec![(0.25, 0.2), (0.5, 0.1), (1.0, 0.1)] };
    Method::OnePass(OnePass { weighting, coverage: true, distillation: 0.0, teacher: None })
}

fn recipe() -> Recipe {
    Recipe {
        dataset: Dataset::Mnist.into(),
        architecture: Architecture::Lenet { channels: 2 },
        start: Start::default(),
        method: one_pass(),
        epochs: 1,
        batch: 20,
        schedule: Schedule { peak: 0.1, warm_up: 0.15, decay: Decay::Cosine },
        sgd: SgdSettings { momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
        label_smoothing: 0.0,
        average: 0.0,
        augmentation: Augmentation { pad: 2, ..Augmentation::default() },
        held_out: 59_900,
        seed: 1,
        precision: Precision::Float32,
        balanced: false,
    }
}

/// A run in `RUNS/<name>`, trained on all images that are not held out, until `stop` or its end.
fn train(recipe: Recipe, name: &str, stop: bool, runs: &TempDir) {
    train_on(1, recipe, name, stop, runs);
}

/// Like [`train`], with images of this class.
fn train_on(label: u16, recipe: Recipe, name: &str, stop: bool, runs: &TempDir) -> Run {
    let images = Images::new(vec![9; 100 * 28 * 28], vec![label; 100], Dataset::Mnist.shape());
    let path = runs.path().join(name).join("checkpoint.safetensors");
    let taught = recipe.method.teacher().is_some().then(|| Run::new(recipe.dense(), path.clone()));
    let mut run = taught.into_iter().fold(Run::new(recipe, path), Run::taught_by);
    let material = Material { train: &images, validation: &images, loaders: 1, device: tch::Device::Cpu };
    run.train(material, &Progress::silent(), &|| stop).expect("a run");
    run
}

#[test]
fn a_dense_run_stands_on_the_card_beside_the_any_width_network_and_is_never_exported() {
    let runs = runs();
    // A small validation split, which is measured again for the card.
    let recipe = Recipe { held_out: 100, ..recipe() };
    train(recipe.clone(), "any", false, &runs);
    train(recipe.dense(), "dense", false, &runs);
    train(Recipe { seed: 2, batch: 10, ..recipe.dense() }, "other", false, &runs);
    train(recipe.dense(), "unfinished", true, &runs);

    let table = succeeds("evaluate RUNS/dense --data DATA --test", &runs);
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert!(rows.len() == 1 && rows[0].trim_start().starts_with("2  1 "), "{table}");
    let accuracy = rows[0].split_whitespace().nth(2).expect("an accuracy");

    let out = "--data DATA --models RUNS/models --commit abc";
    let message = refusal(&format!("export RUNS/dense {out}"), &runs);
    assert!(message.contains("a dense network has no width but the full one"), "{message}");
    for (dense, reason) in [
        ("other", "not the dense network of this recipe: batch is 10, expected 20; seed is 2, expected 1"),
        ("any", "method.name is \"one-pass\", expected \"dense\""),
        ("unfinished", "0 of 1 epochs are done"),
        ("none", "cannot be read"),
    ] {
        let message = refusal(&format!("export RUNS/any --dense RUNS/{dense} {out}"), &runs);
        assert!(message.contains(reason), "{message}");
    }
    assert!(!runs.path().join("models").exists());

    succeeds(&format!("export RUNS/any --dense RUNS/dense {out}"), &runs);
    let card = fs::read_to_string(runs.path().join("models/mnist/README.md")).expect("a card");
    // The normalization; 9, 2 * 9 and 2 * 25 weights and a bias per channel; 16 positions for each of 10 classes.
    let parameters: usize = [2, 20, 38, 102, 330].iter().sum();
    let multiply_adds: usize = [784, 18 * 26 * 26, 36 * 24 * 24, 100 * 8 * 8, 320].iter().sum();
    assert_eq!((parameters, multiply_adds), (492, 40_408));
    let expected = format!("{accuracy} % test accuracy, 492 parameters, 40,408 multiply-adds");
    let line = card.lines().find(|line| line.starts_with("The same network with dense weights")).expect("a sentence");
    assert!(line.contains(&expected) && line.contains("--method dense"), "{line}");
    assert!(card.contains("mean over classes: "), "{card}");
    let row = |start: &str| {
        let line = card.lines().find(|line| line.starts_with(start)).expect("a row");
        line.trim_matches(['|', ' ']).split(" | ").map(String::from).collect::<Vec<_>>()
    };
    let column = row("| width").iter().position(|title| title == "calibration error").expect("the column");
    let error = row("| 1 | 2 |")[column].strip_suffix(" %").and_then(|error| error.parse::<f64>().ok());
    assert!(error.is_some_and(|error| (0.0..100.0).contains(&error)), "{error:?}");
}

#[test]
fn a_slimmable_network_is_exported_as_an_ordinary_file_for_each_width_which_the_server_refuses() {
    let runs = runs();
    let us_net = UsNet { narrowest: 0.5, samples: 3, statistics: 2 };
    let recipe = Recipe { method: Method::UsNet(us_net), held_out: 100, ..recipe() };
    train(recipe, "slim", false, &runs);
    let table = succeeds("evaluate RUNS/slim --data DATA", &runs);
    assert!(table.contains("       1  0.5 ") && table.contains("       2  1 "), "{table}");

    let said = succeeds("export RUNS/slim --data DATA --models RUNS/models", &runs);
    let folder = runs.path().join("models/mnist");
    let mut names: Vec<_> =
        fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["us-net-width-0.5.onnx", "us-net-width-0.75.onnx", "us-net-width-1.onnx"]);
    assert!(said.contains("width-0.75.onnx: test accuracy "), "{said}");
    // One channel of one is triangular; two of two are not.
    let error =
        Model::from_onnx(&fs::read(folder.join("us-net-width-1.onnx")).expect("a file")).expect_err("no triangle");
    let message = error.to_string();
    assert!(message.contains("conv2") && message.contains("slimmable"), "{message}");
}

#[test]
fn resuming_with_other_flags_names_the_fields_that_differ_and_no_other() {
    let runs = runs();
    train(recipe(), "run", false, &runs);
    let message = refusal(&format!("{TRAIN} --run RUNS/run --resume --seed 3 --emphasis 0.5=0.2 --pad 0"), &runs);
    let (_, fields) = message.split_once("checkpoint.safetensors: ").expect("the checkpoint's name");
    assert_eq!(
        fields,
        "augmentation.pad: started with 2, the flags now say 0; \
         method.emphasis: started with [[0.25,0.2],[0.5,0.1],[1.0,0.1]], the flags now say [[0.5,0.2]]; \
         seed: started with 1, the flags now say 3"
    );
    succeeds(&format!("{TRAIN} --run RUNS/run --resume"), &runs);
}

#[test]
fn a_run_from_a_model_is_resumed_with_the_same_model_and_its_card_names_it() {
    let runs = runs();
    train(Recipe { held_out: 100, epochs: 3, ..recipe() }, "first", false, &runs);
    succeeds("export RUNS/first --data DATA --models RUNS/models --commit abc", &runs);
    let start = format!("{TRAIN} --run RUNS/second --start RUNS/models/mnist/1/model.onnx");
    for (flags, reason) in [
        ("--channels 3", "its network is LeNet-3C1L with 2 channels in every hidden layer, but LeNet-3C1L with 3"),
        ("--network vgg-8 --channels 2,2,2", "its network is LeNet-3C1L"),
        ("--start RUNS/nothing", "nothing: cannot be read"),
        ("--start RUNS/models/mnist/README.md", "README.md: is not an ONNX file, or is truncated"),
    ] {
        let kept = ["--channels", "--start"].iter().filter(|flag| flags.contains(**flag));
        let line = kept.fold(start.clone(), |line, flag| without(&line, flag));
        let message = refusal(&format!("{line} {flags}"), &runs);
        assert!(message.contains(reason), "{message}");
    }
    let message = refusal(&format!("{} --channels 3", without(&start, "--channels")), &runs);
    assert!(message.contains("(to train the file's: --network lenet-3c1l --channels 2)"), "{message}");
    let output = exporter(&start, &runs);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 epoch of "), "{said}");
    assert!(said.contains("starts from mnist/1/model.onnx (MNIST, 3 epochs): validation "), "{said}");

    let message = refusal(&format!("{TRAIN} --run RUNS/second --resume"), &runs);
    assert!(
        message.contains("start.model.file: started with \"mnist/1/model.onnx\", the flags now say nothing"),
        "{message}"
    );
    succeeds(&format!("{start} --resume"), &runs);

    succeeds("export RUNS/second --data DATA --models RUNS/models --commit abc", &runs);
    let card = fs::read_to_string(runs.path().join("models/mnist/README.md")).expect("a card");
    let line = card.lines().find(|line| line.starts_with("An any-width")).expect("its first words");
    assert!(line.contains("starting from the weights of `mnist/1/model.onnx`"), "{line}");
    assert!(line.contains("which had been trained on MNIST for 3 epochs"), "{line}");
    assert!(
        card.contains("every width; 1 epoch more, batch 20") && card.contains(" --start=mnist/1/model.onnx "),
        "{card}"
    );
}

#[test]
fn a_taught_run_goes_on_and_is_exported_with_its_teacher_alone() {
    let runs = runs();
    let dense = train_on(1, recipe().dense(), "dense", false, &runs);
    train_on(2, recipe().dense(), "again", false, &runs);
    train(Recipe { seed: 2, ..recipe().dense() }, "other", false, &runs);
    train(recipe().dense(), "unfinished", true, &runs);
    let flags = format!("{TRAIN} --run RUNS/run");
    for (teacher, reason) in [
        ("other", "not the dense network of this recipe: seed is 2, expected 1"),
        ("unfinished", "0 of 1 epochs are done, finish it (train --resume)"),
        ("none", "cannot be read"),
        ("dense --distillation 0", "distillation: 0 ignores the teacher"),
    ] {
        let message = refusal(&format!("{flags} --teacher RUNS/{teacher}"), &runs);
        assert!(message.contains(reason), "{message}");
    }
    let message = refusal(&format!("{flags} --teacher RUNS/unfinished"), &runs);
    assert!(message.starts_with("teacher: "), "{message}");
    // Stopped before its first step.
    let teacher = Some(Teacher { run: "dense".into(), md5: dense.network().md5() });
    let Method::OnePass(one_pass) = one_pass() else { panic!("one-pass") };
    let method = Method::OnePass(OnePass { distillation: 0.9, teacher, ..one_pass });
    train(Recipe { method, ..recipe() }, "run", true, &runs);
    let message = refusal(&format!("{flags} --resume"), &runs);
    assert!(message.contains("method.teacher.run: started with \"dense\", the flags now say nothing"), "{message}");
    // It is the same under another name.
    let [name, other] = ["dense", "moved"].map(|name| runs.path().join(name));
    fs::rename(&name, &other).expect("renamed");
    succeeds(&format!("{flags} --resume --teacher RUNS/moved"), &runs);
    fs::rename(&other, &name).expect("renamed");
    let message = refusal(&format!("{flags} --resume --teacher RUNS/again"), &runs);
    assert!(message.contains("method.teacher.md5: started with "), "{message}");

    let out = "--data DATA --models RUNS/models --commit abc";
    let message = refusal(&format!("export RUNS/run --dense RUNS/again {out}"), &runs);
    assert!(message.contains("again: not the run that taught, which was in a folder \"dense\""), "{message}");
    succeeds(&format!("export RUNS/run {out}"), &runs);
    let card = || fs::read_to_string(runs.path().join("models/mnist/README.md")).expect("a card");
    assert!(card().contains("without its path. It is trained by `exporter train mnist "), "{}", card());
    succeeds(&format!("export RUNS/run --dense RUNS/dense {out}"), &runs);
    let card = card();
    assert!(!card.contains("It is trained by") && card.contains("The same network with dense weights"), "{card}");
    assert!(card.contains("every width, 90 % of whose target is the output of the dense network"), "{card}");
    assert!(card.contains(" --distillation 0.9 --teacher=dense ") && card.contains("`--teacher` is the run's name"));
}

/// Removes `flag` and its value from `line`.
fn without(line: &str, flag: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| *word == flag).expect("a flag that is there");
    [&words[..at], &words[at + 2..]].concat().join(" ")
}

/// A full disk: the system limits the file size in units of 512 or 1024 bytes, depending on the shell.
#[cfg(unix)]
fn narrow(most: usize, line: &str, runs: &TempDir) -> Output {
    let limited = format!(r#"trap "" XFSZ; ulimit -f {most}; exec "$@""#);
    let mut command = Command::new("sh");
    command.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_exporter")]).args(words(line, runs));
    command.output().expect("a shell starts")
}

#[cfg(unix)]
#[test]
fn a_model_that_finds_no_room_leaves_no_version_and_is_written_by_the_next_try() {
    let runs = runs();
    train(
        Recipe { architecture: Architecture::Lenet { channels: 24 }, held_out: 100, ..recipe() },
        "run",
        false,
        &runs,
    );
    let line = "export RUNS/run --data DATA --models RUNS/models --commit abc";
    let output = narrow(32, line, &runs);
    assert!(!output.status.success());
    let message = error(&output);
    assert!(message.contains("model.onnx: File too large"), "{message}");
    assert!(!runs.path().join("models/mnist/1").exists());
    succeeds(line, &runs);
    assert!(runs.path().join("models/mnist/1/model.onnx").exists());
}

#[test]
fn a_run_that_was_ended_early_is_exported_on_request_and_says_so() {
    let runs = runs();
    let recipe = Recipe { held_out: 100, epochs: 3, ..recipe() };
    train(recipe.clone(), "none", true, &runs);
    let out = "--data DATA --models RUNS/models --commit abc";
    let message = refusal(&format!("export RUNS/none --unfinished {out}"), &runs);
    assert!(message.contains("no epoch is complete"), "{message}");

    // Stopped in its second epoch.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let images = Images::new(vec![9; 100 * 28 * 28], vec![1; 100], Dataset::Mnist.shape());
    let material = Material { train: &images, validation: &images, loaders: 1, device: tch::Device::Cpu };
    let mut run = Run::new(recipe, runs.path().join("early/checkpoint.safetensors"));
    run.train(material, &Progress::silent(), &|| asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 7)
        .expect("stopped");
    assert_eq!(run.history().len(), 1);
    let message = refusal(&format!("export RUNS/early {out}"), &runs);
    assert!(message.contains("1 of 3 epochs are done") && message.contains("--unfinished"), "{message}");
    succeeds(&format!("export RUNS/early --unfinished {out}"), &runs);
    let card = fs::read_to_string(runs.path().join("models/mnist/README.md")).expect("a card");
    assert!(card.contains("stopped after 1 of 3 epochs, batch 20"), "{card}");
    let model = fs::read(runs.path().join("models/mnist/1/model.onnx")).expect("a model");
    let training = Model::from_onnx(&model).expect("a model").metadata().training.clone();
    assert_eq!(training.expect("its training")["epochs_done"], 1);
}

#[test]
fn a_finished_run_is_not_trained_again() {
    let runs = runs();
    train(recipe(), "run", false, &runs);
    let output = exporter(&format!("{TRAIN} --run RUNS/run --resume"), &runs);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("already finished; exporter export "), "{said}");
}

#[test]
fn a_model_of_other_classes_is_not_followed_by_a_version_of_this_one() {
    let runs = runs();
    train(Recipe { held_out: 100, ..recipe() }, "run", false, &runs);
    let line = "export RUNS/run --data DATA --models RUNS/models --commit abc";
    let model = runs.path().join("models/mnist/3/model.onnx");
    fs::create_dir_all(model.parent().expect("a folder")).expect("a folder");
    let cifar10 = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/cifar10/1/model.onnx");
    fs::copy(cifar10, &model).expect("copied");
    let message = refusal(line, &runs);
    assert!(message.ends_with("models/mnist holds a model of other classes; choose --name"), "{message}");
    succeeds(&format!("{line} --name digits"), &runs);
    assert!(runs.path().join("models/digits/1/model.onnx").exists());
}

#[test]
fn flags_out_of_range_or_without_meaning_are_refused_before_anything_is_read() {
    let runs = runs();
    for (flags, reason) in [
        ("--channels 1", "channels: 1 is one width only"),
        ("--epochs 18446744073709551615", "epochs: 18446744073709551615 is not from 1 to"),
        ("--warm-up 5", "warm up: 5 is not in 0..1"),
        ("--momentum 5", "momentum: 5 is not in 0..1"),
        ("--rate 0", "rate: 0 is not above 0"),
        ("--loaders 60000", "loaders: 60000 is not allowed"),
        ("--device cuda:4000", "device: no cuda:4000: this libtorch sees"),
    ] {
        let message = refusal(&format!("train mnist --data nowhere --run RUNS/run {flags}"), &runs);
        assert!(message.contains(reason), "{flags}: {message}");
    }
    for (line, reason) in [
        ("train mnist --threads 0", "'0' for '--threads"),
        ("train mnist --size 40", "cannot be used with"),
        ("train mnist --memory 1", "cannot be used with"),
        ("train mnist --name a", "cannot be used with"),
        ("train ../photos", "for a folder of your own images use --data: --data=../photos"),
        ("train cifar", "mnist, fashion-mnist, cifar10, cifar100"),
        ("train mnist --start a --copies true", "cannot be used with"),
        ("train mnist --start a --whitened-stem false", "cannot be used with"),
        ("train --data nowhere --held-out 5", "<DATASET>"),
        ("evaluate RUNS/run --loaders 2", "unexpected argument"),
    ] {
        let output = exporter(line, &runs);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(reason), "{line}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn a_checkpoint_that_finds_no_room_is_reported_and_leaves_the_one_before() {
    let runs = runs();
    train(recipe(), "run", true, &runs);
    let folder = runs.path().join("run");
    let good = fs::read(folder.join("checkpoint.safetensors")).expect("a checkpoint");
    assert!(good.len() > 4096);

    let output = narrow(4, &format!("{TRAIN} --run RUNS/run --resume"), &runs);
    let message = error(&output);
    assert!(!output.status.success());
    assert!(message.contains("cannot be written; what was saved there before is kept: File too large"), "{message}");
    assert_eq!(fs::read(folder.join("checkpoint.safetensors")).expect("a checkpoint"), good);
    assert_eq!(fs::read_dir(folder).expect("the run's folder").count(), 1);
}
