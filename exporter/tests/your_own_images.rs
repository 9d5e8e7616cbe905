//! From a folder of pictures to an answer: the commands of `docs/your-own-images.md`, run as they stand there.

#[path = "common/shapes.rs"]
mod shapes;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anywidth::dataset;
use anywidth::engine::{Model, Pass, Width};
use anywidth::picture::{Frame, Limits, Picture};
use exporter::data::Images;
use exporter::evaluate::all_logits;
use exporter::model::Mode;
use exporter::train::Run;
use serde_json::Value;

/// A folder of pictures, half of them to train on.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let photos = folder.path().join("my photos");
        let cifar = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/cifar10/data_batch_1.bin");
        match fs::read(cifar) {
            Ok(records) => cut(&records, &photos),
            Err(_) => {
                shapes::draw(&photos.join("train"), 50, 1);
                shapes::draw(&photos.join("val"), 15, 2);
                shapes::draw(&photos.join("test"), 20, 3);
            }
        }
        Files(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Photographs of three of CIFAR-10's classes, where that data set is at hand.
fn cut(records: &[u8], photos: &Path) {
    let classes = [(3u8, "cat"), (8, "ship"), (9, "große Autos")];
    let mut seen = [0usize; 3];
    for record in records.chunks_exact(3073) {
        let Some(class) = classes.iter().position(|&(label, _)| label == record[0]) else { continue };
        let part = match seen[class] {
            0..150 => "train",
            150..180 => "val",
            180..220 => "test",
            _ => continue,
        };
        let folder = photos.join(part).join(classes[class].1);
        fs::create_dir_all(&folder).expect("a folder");
        let pixel = |x: u32, y: u32| {
            let at = 1 + (y * 32 + x) as usize;
            image::Rgb([record[at], record[at + 1024], record[at + 2048]])
        };
        let path = folder.join(format!("{}.png", seen[class]));
        image::RgbImage::from_fn(32, 32, pixel).save(path).expect("written");
        seen[class] += 1;
    }
}

fn exporter(files: &Files) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exporter"));
    command.current_dir(files.0.path());
    command
}

/// The server's binary, built if it is not there yet.
fn anywidth() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--bin", "anywidth", "--message-format", "json"]).current_dir(root);
    let output = build.stderr(Stdio::inherit()).output().expect("cargo starts");
    assert!(output.status.success(), "the server does not build");
    let messages = output.stdout.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let mut binaries = messages.filter_map(|message: Value| Some(message["executable"].as_str()?.to_owned()));
    let binary = binaries.next_back();
    Command::new(binary.expect("cargo names what it built"))
}

fn text(output: &Output) -> (String, String) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).into()
}

fn train(files: &Files) -> (String, String) {
    let flags = ["--network", "vgg-8", "--size", "32", "--channels", "16,24,32", "--epochs", "16"];
    text(&exporter(files).args(["train", "--data", "my photos"]).args(flags).output().expect("the exporter starts"))
}

/// A server that is ended with the test, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(models: &Path) -> (Running, String) {
    let mut command = anywidth();
    command.args(["serve", "--port", "0", "--models"]).arg(models).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().expect("the server starts"));
    let mut first = String::new();
    let mut greeting = BufReader::new(running.0.stdout.take().expect("its output"));
    greeting.read_line(&mut first).expect("a greeting");
    let url = first.trim().rsplit_once(' ').expect("an address").1.to_owned();
    (running, url)
}

#[test]
fn the_four_commands_lead_from_a_folder_of_pictures_to_answers() {
    let files = Files::new();
    let (said, _) = train(&files);
    let model = files.path("models/my-photos");
    for file in ["1/model.onnx", "README.md", "accuracy.svg", "confusion.svg"] {
        assert!(model.join(file).exists(), "{file}: {said}");
    }
    assert!(said.contains("anywidth serve --models models --default-model my-photos"), "{said}");

    // Our own engine finds the same accuracy as the trainer, to the image.
    let test = files.path("my photos/test");
    let output = anywidth()
        .args(["evaluate", "--json", "--model", "my-photos", "--models"])
        .arg(files.path("models"))
        .arg("--data")
        .arg(&test)
        .output()
        .expect("anywidth starts");
    let evaluated: Value = serde_json::from_str(&text(&output).0).expect("JSON");
    let full = evaluated["widths"].as_array().and_then(|widths| widths.last()).expect("a last width");
    let accuracy = full["accuracy"].as_f64().expect("an accuracy");
    let card = fs::read_to_string(model.join("README.md")).expect("a card");
    let row = card.lines().find(|line| line.starts_with("| 1 |")).expect("a row for full width");
    assert!(row.contains(&format!("{:.2} %", 100.0 * accuracy)), "{accuracy}: {row}");

    // The served model beats chance by far.
    let (_running, url) = serve(&files.path("models"));
    let listing = dataset::list(&test).expect("a folder of pictures");
    let chance = 1.0 / listing.classes.len() as f64;
    for width in ["0.5", "1"] {
        let right = listing.files.iter().filter(|file| {
            let bytes = fs::read(&file.path).expect("a picture");
            let mut answer = ureq::post(format!("{url}/classify?width={width}")).send(&bytes[..]).expect("an answer");
            let answer: Value = serde_json::from_reader(answer.body_mut().as_reader()).expect("JSON");
            answer["predictions"][0]["label"] == listing.classes[file.class].as_str()
        });
        let share = right.count() as f64 / listing.files.len() as f64;
        assert!(share > chance + 0.6 * (1.0 - chance), "{share} at width {width}, chance is {chance}");
        if width == "1" {
            assert!((share - accuracy).abs() < 1e-9, "served {share}, evaluated {accuracy}");
        }
    }
    the_server_computes_what_the_trainer_computes(&files, &test);

    // A second training is a second version.
    fs::remove_dir_all(files.path("runs")).expect("removed");
    train(&files);
    assert!(model.join("2/model.onnx").exists());
}

/// One photograph, one file, two programs.
fn the_server_computes_what_the_trainer_computes(files: &Files, test: &Path) {
    let run = Run::resume(files.path("runs/my photos/checkpoint.safetensors")).expect("the run");
    let file = fs::read(files.path("models/my-photos/1/model.onnx")).expect("the model");
    let served = std::sync::Arc::new(Model::from_onnx(&file).expect("a model"));
    let frame = Frame::new(3, 32, 32).expect("a frame");
    let widths = run.network().widths();
    for labelled in dataset::list(test).expect("a folder of pictures").files.iter().step_by(9) {
        let bytes = fs::read(&labelled.path).expect("a picture");
        let picture = Picture::decode(&bytes, &Limits::default()).expect("a picture");
        let images = Images::new(picture.pixels(&frame), vec![0], run.recipe().dataset.shape());
        let (trained, _) = all_logits(run.network(), &images, Mode::EVALUATION);
        let mut pass = Pass::new(served.clone(), 1);
        pass.push(&picture.input(&frame));
        for (row, &width) in widths.iter().enumerate() {
            pass.widen(&[width]);
            for (class, &logit) in pass.logits(0).iter().enumerate() {
                let expected = trained.double_value(&[row as i64, 0, class as i64]);
                let difference = (f64::from(logit) - expected).abs();
                assert!(difference < 1e-4, "{} at {width}: {difference}", labelled.path.display());
            }
        }
        assert_eq!(widths.last(), Some(&Width::FULL));
    }
}

#[test]
fn folders_that_cannot_be_learnt_from_end_with_one_clear_line() {
    let files = Files(tempfile::tempdir().expect("a temporary folder"));
    let fails = |arguments: &[&str]| {
        let output = exporter(&files).arg("train").args(arguments).output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}");
        error.lines().last().unwrap_or_default().to_owned()
    };
    let expect = |arguments: &[&str], part: &str| {
        let line = fails(arguments);
        assert!(line.starts_with("error: ") && line.contains(part), "{arguments:?}: {line}");
    };
    expect(&["--data", "nowhere"], "nowhere");
    fs::create_dir(files.path("photos")).expect("a folder");
    expect(&["--data", "photos"], "holds no folder");
    shapes::draw(&files.path("all"), 4, 1);
    fs::create_dir_all(files.path("photos/disc")).expect("a folder");
    fs::copy(files.path("all/disc/0.png"), files.path("photos/disc/0.png")).expect("copied");
    expect(&["--data", "photos"], "one class only");
    expect(&["--data", "all", "--size", "16"], "size: 16 is not from 28 to 128");
    expect(&["--data", "all", "--loaders", "0"], "loaders: 0");

    // One of 17 is more than 5 %: a picture of 100 megapixels, refused before it is decoded.
    let mut huge = fs::read(files.path("all/disc/0.png")).expect("a picture");
    huge[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
    fs::write(files.path("all/disc/huge.png"), huge).expect("written");
    expect(&["--data", "all"], "1 of 17 pictures are broken, above 5 %");
    fs::remove_file(files.path("all/disc/huge.png")).expect("removed");

    // A run goes on with the classes that it was begun with, or not at all.
    let output = exporter(&files)
        .args(["train", "--data", "all", "--network", "lenet-3c1l", "--size", "28", "--channels", "2"])
        .args(["--epochs", "1", "--batch", "4"])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(files.path("all/disc"), files.path("all/circle")).expect("renamed");
    let flags = ["--network", "lenet-3c1l", "--size", "28", "--channels", "2", "--epochs", "1", "--batch", "4"];
    let line = fails(&[&["--data", "all", "--resume"], &flags[..]].concat());
    assert!(line.contains("classes") && line.contains("circle"), "{line}");
}
