//! `anywidth evaluate`: folders of labelled images, good and bad.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::images::png;
use crate::support::onnx::OnnxFile;

const SHIP: &[u8] = include_bytes!("../../samples/ship.png");

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anywidth")).args(arguments).env_clear().output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_slice(&run(arguments).stdout).unwrap()
}

/// A folder with these files; one whose path ends with `/` is an empty folder.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match path.to_str().unwrap().ends_with('/') {
            true => fs::create_dir_all(path).unwrap(),
            false => fs::write(path, bytes).unwrap(),
        }
    }
    root
}

/// The one line on standard error of a command that ends with code 1.
fn fails(arguments: &[&str]) -> String {
    let output = run(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("error: ") && text.lines().count() == 1, "{text}");
    text
}

#[test]
fn the_accuracy_is_what_classify_says_image_by_image() {
    let files: [(&str, &[u8]); 5] = [
        ("ship/ship.png", SHIP),
        ("cat/1.png", &png(1)),
        ("frog/deeper/2.png", &png(2)),
        ("truck/3.png", &png(3)),
        ("truck/4.png", &png(4)),
    ];
    let root = folder(&files);
    let body = json(&["evaluate", "--data", root.path().to_str().unwrap(), "--model", "cifar10", "--json"]);
    assert_eq!((&body["model"], &body["images"]), (&Value::from("cifar10"), &Value::from(5)));
    let widths = body["widths"].as_array().unwrap();
    assert_eq!(widths.last().unwrap()["width"], Value::from(1));
    for measured in [&widths[0], &widths[widths.len() / 2], &widths[widths.len() - 1]] {
        let right = |(path, _): &&(&str, &[u8])| {
            let (path, width) = (root.path().join(path), measured["width"].to_string());
            let arguments = ["classify", path.to_str().unwrap(), "--model", "cifar10", "--width", &width, "--json"];
            let label = json(&arguments)["predictions"][0]["label"].as_str().unwrap().to_owned();
            path.strip_prefix(root.path()).unwrap().starts_with(label)
        };
        let right = files.iter().filter(right).count();
        assert_eq!(measured["correct"], Value::from(right), "{measured}");
        assert_eq!(measured["accuracy"].as_f64(), Some(right as f64 / 5.0), "{measured}");
    }
    let absent: Vec<_> = body["labels_without_images"].as_array().unwrap().iter().collect();
    assert_eq!(absent, ["airplane", "automobile", "bird", "deer", "dog", "horse"]);
}

#[test]
fn a_table_names_every_width_and_what_was_left_out() {
    let root = folder(&[("ship/ship.png", SHIP), ("dog/", b""), ("ship/notes.txt", b"?"), ("README.md", b"")]);
    for at in 0..19 {
        fs::write(root.path().join(format!("ship/{at}.png")), SHIP).unwrap();
    }
    fs::write(root.path().join("ship/torn.png"), &SHIP[..SHIP.len() / 2]).unwrap();
    let output = run(&["evaluate", "--data", root.path().to_str().unwrap(), "--model", "cifar10"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        ": 20 images\n",
        "\n  1         100.00 % ",
        "100.0 %\n",
        "mean accuracy over widths 0.25 to 1: 100.00 %\n",
        "labels without images: airplane, automobile, bird, cat, deer, dog, frog, horse, truck\n",
        "outside the class folders: 2\n",
        "broken files, not counted: 1 of 21\n",
        "torn.png: the PNG image is broken",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn many_broken_files_are_an_error_after_the_table() {
    let root = folder(&[("ship/1.png", SHIP), ("ship/2.png", b"no image")]);
    let output = run(&["evaluate", "--data", root.path().to_str().unwrap(), "--json"]);
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&body["images"], &body["broken"]["files"]), (&Value::from(1), &Value::from(1)));
    assert!(body["broken"]["first"][0].as_str().unwrap().contains("2.png: the image is not a JPEG"), "{body}");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "error: 1 of 2 files are broken: more than one in 20\n");
}

#[test]
fn what_cannot_be_measured_is_one_line_and_code_1() {
    let says = |files: &[(&str, &[u8])], model: &str, part: &str| {
        let root = folder(files);
        let error = fails(&["evaluate", "--data", root.path().to_str().unwrap(), "--model", model]);
        assert!(error.contains(part), "{error}");
    };
    says(
        &[("boat/1.png", SHIP)],
        "cifar10",
        "the folder \"boat\" is not a class of the model; its classes are: airplane,",
    );
    says(&[("1.png", SHIP)], "cifar10", "one per class is expected, and there are 1 files");
    says(&[("ship/", b""), ("cat/notes.txt", b"")], "cifar10", "there are no images in the folders of ");
    says(&[("ship/1.png", b"no image")], "cifar10", "the first error: cannot use ");
    says(&[("ship/1.png", SHIP)], "cat", "there is no model \"cat\"");
    assert!(fails(&["evaluate", "--data", "/nowhere"]).contains("cannot list /nowhere"));
}

#[test]
fn the_folders_of_a_model_without_labels_are_its_indices() {
    let model = OnnxFile::lenet([3, 32, 32], 8, 3).bytes();
    let root = folder(&[("images/0/a.png", &png(0)), ("images/2/b.png", &png(1)), ("tiny.onnx", &model)]);
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let arguments = ["evaluate", "--data", &path("images"), "--model", &path("tiny.onnx")];
    assert_eq!(json(&[&arguments[..], &["--json"]].concat())["images"], Value::from(2));
    fs::rename(path("images/2"), path("images/3")).unwrap();
    assert!(fails(&arguments).ends_with("the folder \"3\" is not a class of the model; its classes are: 0, 1, 2\n"));
}

#[test]
fn folders_that_the_model_does_not_know_are_left_out_on_request_and_named() {
    let files: [(&str, &[u8]); 4] =
        [("aardvark/1.png", &png(1)), ("ship/ship.png", SHIP), ("truck/3.png", &png(3)), ("zebra/2.png", &png(2))];
    let root = folder(&files);
    let data = root.path().to_str().unwrap();
    let arguments = ["evaluate", "--data", data, "--model", "cifar10"];
    let said = fails(&arguments);
    assert!(said.contains("(--skip-unknown skips them)") && said.contains("\"aardvark\" is not a class"), "{said}");

    let known = folder(&files[1..3]);
    let expected = json(&["evaluate", "--data", known.path().to_str().unwrap(), "--model", "cifar10", "--json"]);
    let skipping = json(&[&arguments[..], &["--skip-unknown", "--json"]].concat());
    assert_eq!(skipping["skipped_folders"], serde_json::json!(["aardvark", "zebra"]));
    assert_eq!((&skipping["widths"], &skipping["images"]), (&expected["widths"], &expected["images"]));
    let table = run(&[&arguments[..], &["--skip-unknown"]].concat());
    assert!(String::from_utf8(table.stdout).unwrap().contains("not classes of the model: aardvark, zebra"));
    let none = folder(&files[..1]);
    let said = fails(&["evaluate", "--data", none.path().to_str().unwrap(), "--model", "cifar10", "--skip-unknown"]);
    assert!(said.contains("there are no images in the folders of "), "{said}");
}

#[test]
fn measuring_on_the_folder_that_was_trained_on_is_remarked_on() {
    let root = folder(&[("photos/0/a.png", SHIP), ("others/0/a.png", SHIP), ("photos/train/0/a.png", SHIP)]);
    let mut file = OnnxFile::lenet([3, 20, 20], 8, 10);
    file.metadata("anywidth.training", r#"{"dataset":{"folder":"photos","classes":["a"]}}"#);
    let model = root.path().join("model.onnx");
    fs::write(&model, file.bytes()).unwrap();
    for (data, remarked) in [("photos/train", true), ("others", false)] {
        let data = root.path().join(data);
        let output = run(&["evaluate", "--data", data.to_str().unwrap(), "--model", model.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("was trained on a folder of this name"), remarked, "{}: {said}", data.display());
        assert!(output.status.success(), "{said}");
    }
}
