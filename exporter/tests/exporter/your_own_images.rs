//! From a folder of images to an answer: runs the commands of `docs/your-own-images.md` in a shell. Only the programs'
//! paths, the port and the size of the network are replaced.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use anywidth::dataset;
use anywidth::engine::{Model, Pass, Width};
use anywidth::image::{Image, ImageLimits, InputSpec, Preprocessing};
use exporter::data::photos::{self, Reading, Shares};
use exporter::evaluate::all_logits;
use exporter::model::Mode;
use exporter::train::Run;
use serde_json::Value;

use crate::shapes;

/// A folder with the document's `photos`.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let photos = folder.path().join("photos");
        let cifar = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/cifar10/data_batch_1.bin");
        match fs::read(cifar) {
            Ok(records) => cut(&records, &photos),
            Err(_) => {
                shapes::draw(&photos, 75, 1);
                // The document classifies an image of a ship.
                fs::rename(photos.join("disc"), photos.join("ship")).expect("renamed");
            }
        }
        Files(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The images that training leaves for the test, in a separate folder, including the one that the document
    /// classifies.
    fn keep_test_images(&self, name: &str) {
        let splits = photos::split(&self.path("photos"), SHARES, 1).expect("a folder of classes");
        for (number, file) in splits.test.iter().enumerate() {
            let folder = self.path(name).join(&splits.classes[file.class]);
            fs::create_dir_all(&folder).expect("a folder");
            let extension = file.path.extension().and_then(|text| text.to_str()).expect("an extension");
            fs::copy(&file.path, folder.join(format!("{number}.{extension}"))).expect("copied");
        }
        let mut ships = fs::read_dir(self.path(name).join("ship")).expect("a folder").flatten();
        let ship = ships.next().expect("an image").path();
        fs::rename(ship, self.path(name).join("ship/007.png")).expect("renamed");
    }
}

/// The exporter's default settings.
const SHARES: Shares = Shares { validation: 0.15, test: 0.15 };

/// Photographs per class: with fewer, so small a network is not reliably far above chance.
const IMAGES: usize = 600;

/// Photographs of three classes of CIFAR-10, if that data set is available.
fn cut(records: &[u8], photos: &Path) {
    let classes = [(3u8, "cat"), (8, "ship"), (9, "große Autos")];
    let mut seen = [0usize; 3];
    for record in records.chunks_exact(3073) {
        let Some(class) = classes.iter().position(|&(label, _)| label == record[0]) else { continue };
        if seen[class] == IMAGES {
            continue;
        }
        let folder = photos.join(classes[class].1);
        fs::create_dir_all(&folder).expect("a folder");
        let pixel = |x: u32, y: u32| {
            let at = 1 + (y * 32 + x) as usize;
            image::Rgb([record[at], record[at + 1024], record[at + 2048]])
        };
        let path = folder.join(format!("{:03}.png", seen[class]));
        image::RgbImage::from_fn(32, 32, pixel).save(path).expect("written");
        seen[class] += 1;
    }
}

/// The document's program paths and their replacements.
const PROGRAMS: [(&str, &str); 3] = [
    ("exporter/target/release/exporter", "\"$EXPORTER\""),
    ("target/release/anywidth", "exec \"$ANYWIDTH\""),
    ("curl", "curl --silent --show-error"),
];

/// The document's commands, adapted for this shell.
fn commands() -> [String; 4] {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/your-own-images.md");
    let document = fs::read_to_string(document).expect("the document");
    let command = |line: &str| {
        let line = line.strip_prefix("    ")?;
        PROGRAMS.iter().find_map(|(program, here)| Some(format!("{here}{}", line.strip_prefix(program)?)))
    };
    let commands: Vec<String> = document.lines().filter_map(command).collect();
    commands.try_into().unwrap_or_else(|found| panic!("four commands: train, serve, ask, evaluate; not {found:?}"))
}

/// A shell that runs `line` in the folder of `files`.
fn shell(files: &Files, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(files.0.path());
    command.env("EXPORTER", env!("CARGO_BIN_EXE_exporter")).env("ANYWIDTH", anywidth());
    command
}

fn exporter(files: &Files) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exporter"));
    command.current_dir(files.0.path());
    command
}

/// The server's binary; builds it if it is missing.
fn anywidth() -> String {
    static BINARY: LazyLock<String> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--bin", "anywidth", "--message-format", "json"]).current_dir(root);
        let output = build.stderr(Stdio::inherit()).output().expect("cargo starts");
        assert!(output.status.success(), "the server does not build");
        let messages = output.stdout.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let mut binaries = messages.filter_map(|message: Value| Some(message["executable"].as_str()?.to_owned()));
        binaries.next_back().expect("cargo names what it built")
    });
    BINARY.clone()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(files: &Files, line: &str) -> String {
    text(&shell(files, line).output().expect("a shell starts"))
}

/// A server that stops when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(files: &Files, line: &str) -> (Running, String) {
    let mut command = shell(files, &format!("{line} --port 0"));
    let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell starts"));
    let mut first = String::new();
    let mut greeting = BufReader::new(running.0.stdout.take().expect("its output"));
    greeting.read_line(&mut first).expect("a greeting");
    let url = first.trim().rsplit_once(' ').expect("an address").1.to_owned();
    (running, url)
}

#[test]
fn the_commands_of_the_document_lead_from_a_folder_of_images_to_answers() {
    let files = Files::new();
    files.keep_test_images("more-photos");
    let [train, server, ask, evaluate] = commands();
    let train = format!("{train} --channels 16,24,32 --epochs 16");
    let said = run(&files, &train);
    let model = files.path("my-models/photos");
    for file in ["1/model.onnx", "README.md", "accuracy.svg", "confusion.svg"] {
        assert!(model.join(file).exists(), "{file}: {said}");
    }
    assert!(said.contains("anywidth serve --models my-models --default-model photos"), "{said}");

    // The engine finds exactly the trainer's accuracy.
    let evaluated: Value = serde_json::from_str(&run(&files, &format!("{evaluate} --json"))).expect("JSON");
    let full = evaluated["widths"].as_array().and_then(|widths| widths.last()).expect("a last width");
    let accuracy = full["accuracy"].as_f64().expect("an accuracy");
    let card = fs::read_to_string(model.join("README.md")).expect("a card");
    let row = card.lines().find(|line| line.starts_with("| 1 |")).expect("a row for full width");
    assert!(row.contains(&format!("{:.2} %", 100.0 * accuracy)), "{accuracy}: {row}");

    // The served model is far above chance.
    let (_running, url) = serve(&files, &server);
    let answer: Value = serde_json::from_str(&run(&files, &ask.replace("http://127.0.0.1:8080", &url))).expect("JSON");
    let listing = dataset::list(&files.path("more-photos")).expect("a folder of images");
    let label = answer["predictions"][0]["label"].as_str().expect("an answer");
    assert!(listing.classes.iter().any(|class| class == label), "{answer}");
    let chance = 1.0 / listing.classes.len() as f64;
    for width in ["0.5", "1"] {
        let right = listing.files.iter().filter(|file| {
            let bytes = fs::read(&file.path).expect("an image");
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
    the_server_computes_what_the_trainer_computes(&files);

    // git ignores the trainer's folders in a checkout.
    let ignored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.gitignore");
    fs::copy(ignored, files.path(".gitignore")).expect("copied");
    let seen = run(&files, "git init --quiet . && git status --porcelain");
    assert!(!seen.contains("models") && !seen.contains("runs") && seen.contains("photos/"), "{seen}");

    // A second training gives a second version.
    fs::remove_dir_all(files.path("runs")).expect("removed");
    run(&files, &train);
    assert!(model.join("2/model.onnx").exists());
}

/// One photograph as read by the trainer and by the server, in all sizes and orientations.
fn the_server_computes_what_the_trainer_computes(files: &Files) {
    let run = Run::resume(files.path("runs/photos/checkpoint.safetensors")).expect("the run");
    let file = fs::read(files.path("my-models/photos/1/model.onnx")).expect("the model");
    let served = std::sync::Arc::new(Model::from_onnx(&file).expect("a model"));
    let input = InputSpec::new(3, 32, 32).expect("an input").with_preprocessing(Preprocessing::for_training());
    let widths = run.network().widths();
    shapes::draw(&files.path("odd/train"), 2, 1);
    shapes::draw(&files.path("odd/test"), 3, 2);
    let flat = fs::read(files.path("odd/test/square/1.jpg")).expect("an image");
    let turned = shapes::turned(&flat, 6);
    let size = |bytes: &[u8]| Image::decode(bytes, &ImageLimits::default()).expect("an image").size();
    assert_eq!(size(&turned), (size(&flat).1, size(&flat).0));
    fs::write(files.path("odd/test/square/turned.jpg"), turned).expect("written");

    let splits = photos::split(&files.path("odd"), SHARES, 1).expect("a folder of classes");
    let reading = Reading { size: 32, memory: 0, threads: 1 };
    let images = photos::read_measured(&splits, reading, &|| ()).expect("images").test;
    assert_eq!((images.len(), splits.test.len(), widths.last()), (13, 13, Some(&Width::FULL)));
    let (trained, _) = all_logits(run.network(), &images, Mode::EVALUATION);
    for (place, labelled) in splits.test.iter().enumerate() {
        let bytes = fs::read(&labelled.path).expect("an image");
        let mut pass = Pass::new(served.clone(), 1);
        pass.push(&Image::decode(&bytes, &ImageLimits::default()).expect("an image").input(&input));
        for (row, &width) in widths.iter().enumerate() {
            pass.widen(&[width]);
            for (class, &logit) in pass.logits(0).iter().enumerate() {
                let expected = trained.double_value(&[row as i64, place as i64, class as i64]);
                let difference = (f64::from(logit) - expected).abs();
                assert!(difference < 1e-4, "{} at {width}: {difference}", labelled.path.display());
            }
        }
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
    expect(&["--data", "all", "--size", "16"], "size: 16 is not from 28 to 224");
    expect(&["--data", "all", "--loaders", "0"], "loaders: 0");

    // One of 17 is more than 5 %: an image of 100 megapixels, refused before decoding.
    let mut huge = fs::read(files.path("all/disc/0.png")).expect("an image");
    huge[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
    fs::write(files.path("all/disc/huge.png"), huge).expect("written");
    expect(&["--data", "all"], "1 of 17 images are broken, above 5 %");
    fs::remove_file(files.path("all/disc/huge.png")).expect("removed");

    // Errors in the destination of a model or run are reported before an image is read, although one image is broken.
    fs::write(files.path("all/disc/broken.png"), b"").expect("written");
    fs::write(files.path("file"), b"").expect("written");
    expect(&["--data", "all", "--name", "a/b"], "name: \"a/b\" is no name of a model");
    expect(&["--data", "all", "--name", "my photos"], "; my-photos would be one");
    expect(&["--data", "all", "--resume"], "there is no run in runs/all to resume: omit --resume");
    expect(&["--data", "all", "--models", "file"], "file/all cannot be written");
    expect(&["--data", "all", "--run", "file/run"], "file/run cannot be written");
    expect(&["--data", "all", "--batch", "100"], "batch: 100 is not between 1 and the");
    expect(&["--data", "all"], "1 of 17 images are broken, above 5 %");
    fs::remove_file(files.path("all/disc/broken.png")).expect("removed");
    fs::rename(files.path("all"), files.path("三角形")).expect("renamed");
    expect(&["--data", "三角形"], "choose --name");
    fs::rename(files.path("三角形"), files.path("all")).expect("renamed");
    fs::create_dir_all(files.path("x\u{1b}[31m\ny")).expect("a folder");
    expect(&["--data", "x\u{1b}[31m\ny"], "x\\u{1b}[31m\\ny holds no folder");
}

/// The flags of a short training.
const SHORT: [&str; 10] =
    ["--network", "lenet-3c1l", "--size", "28", "--channels", "2", "--epochs", "1", "--batch", "4"];

#[test]
fn a_run_goes_on_and_is_measured_with_the_images_that_it_was_begun_with_or_not_at_all() {
    let files = Files(tempfile::tempdir().expect("a temporary folder"));
    shapes::draw(&files.path("all"), 25, 1);
    fs::write(files.path("all/disc/0.png"), b"broken").expect("written");
    fs::copy(files.path("all/square/4.png"), files.path("all/disc/twin.png")).expect("copied");
    let output = |arguments: &[&str]| exporter(&files).args(arguments).output().expect("it starts");
    let train = |flags: &[&str]| output(&[&["train", "--data", "all"], &SHORT[..], flags].concat());
    let last = |output: &Output| {
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
    };
    let first = train(&["--memory", "0"]);
    text(&first);
    let notes = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(notes.contains("training images do not fit into 0 MiB (--memory)"), "{notes}");
    assert!(notes.contains("are the same image, in two classes, of which one is wrong"), "{notes}");
    let line = last(&train(&[]));
    assert!(line.contains("a run already exists"), "{line}");
    text(&output(&["evaluate", "runs/all", "--data", "all"]));
    text(&output(&["export", "runs/all", "--data", "all"]));
    assert!(files.path("my-models/all/2/model.onnx").exists());

    // One more, one less, and one under another name.
    fs::copy(files.path("all/disc/4.png"), files.path("all/disc/more.png")).expect("copied");
    for line in [last(&output(&["evaluate", "runs/all", "--data", "all"])), last(&train(&["--resume"]))] {
        assert!(line.contains("dataset.images: started with [") && line.contains("], now ["), "{line}");
    }
    fs::remove_file(files.path("all/disc/more.png")).expect("removed");
    fs::rename(files.path("all/disc"), files.path("all/circle")).expect("renamed");
    for line in [last(&output(&["export", "runs/all", "--data", "all"])), last(&train(&["--resume"]))] {
        assert!(line.contains("dataset.classes: started with") && line.contains("circle"), "{line}");
    }
    // Its model would follow a model of other classes.
    let line = last(&train(&["--run", "runs/other"]));
    assert!(line.contains("my-models/all holds a model of other classes; choose --name"), "{line}");
}

#[test]
fn a_dense_network_of_photographs_is_trained_says_what_it_is_for_and_teaches_another() {
    let files = Files(tempfile::tempdir().expect("a temporary folder"));
    shapes::draw(&files.path("-all"), 8, 1);
    let dense = |flags: &[&str]| {
        let flags = [&["train", "--data=-all", "--method", "dense"], &SHORT[..], flags].concat();
        exporter(&files).args(flags).output().expect("it starts")
    };
    let refused = dense(&["--name", "a"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("only any-width networks become models"));
    let output = dense(&[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("next: exporter export RUN --dense runs/-all --data=./-all"), "{said}");
    assert!(!files.path("my-models").exists());

    let taught = ["train", "--data=-all", "--teacher", "runs/-all", "--run", "runs/taught", "--name", "taught"];
    text(&exporter(&files).args(taught).args(&SHORT[..]).output().expect("it starts"));
    let card = fs::read_to_string(files.path("my-models/taught/README.md")).expect("a card");
    assert!(card.contains("The same network with dense weights, trained only at full width"), "{card}");
}
