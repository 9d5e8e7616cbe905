//! The binary: what it prints, and the codes that it ends with.

use std::fs;
use std::io::BufRead;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::binary::{Running, anywidth, fails, run};
use crate::support::images::png;
use crate::support::onnx::OnnxFile;

/// A folder with `tiny.onnx`, `text.onnx`, `image.png`, and a folder of models with one that is broken.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        let root = tempfile::tempdir().unwrap();
        let model = OnnxFile::lenet([3, 32, 32], 8, 10).bytes();
        for (path, bytes) in [
            ("tiny.onnx", &model[..]),
            ("text.onnx", b"some text"),
            ("image.png", &png(1)),
            ("models/good/1/model.onnx", &model),
            ("models/bad/1/model.onnx", b"some text"),
            ("none/bad/1/model.onnx", b"some text"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Files(root)
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn an_image_is_classified_without_a_server() {
    let files = Files::new();
    let (model, image) = (files.path("tiny.onnx"), files.path("image.png"));
    let output = run(&["classify", &image, "--model", &model, "--width", "0.5", "--top-k", "3"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.starts_with("tiny at width 0.5\n"), "{text}");
    assert_eq!(text.lines().count(), 4, "{text}");

    let folder = files.path("models");
    let output = run(&["classify", &image, "--models", &folder, "--model", "good", "--json"]);
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&body["model"], body["predictions"].as_array().unwrap().len()), (&Value::from("good"), 5));
}

#[test]
fn several_images_are_classified_and_a_broken_one_does_not_cost_the_others() {
    let files = Files::new();
    let (model, image, text) = (files.path("tiny.onnx"), files.path("image.png"), files.path("text.onnx"));
    let output = run(&["classify", &image, &image, "--model", &model, "--top-k", "2"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(shown.matches(&format!("{image}: tiny at width 1\n")).count(), 2, "{shown}");

    let output = run(&["classify", &image, &text, &image, "--model", &model, "--json"]);
    let lines: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line["image"] == image.as_str()), "{lines:?}");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("error: cannot use {text}: ")), "{said}");
    assert!(said.ends_with("error: 1 of 3 images cannot be used\n"), "{said}");
}

#[test]
fn help_shows_the_commands_first_and_the_flags_of_the_server_in_groups() {
    let help = |arguments: &[&str]| String::from_utf8(run(arguments).stdout).unwrap();
    let short = help(&["--help"]);
    assert!(
        short.contains("Commands:") && !short.contains("--max-batch") && short.contains("anywidth serve"),
        "{short}"
    );
    let long = help(&["serve", "--help"]);
    let groups =
        ["Options:", "Models:", "Width and load:", "Limits:", "Stopping:", "Log:"].map(|group| long.find(group));
    assert!(groups.is_sorted() && groups[0].is_some(), "{long}");
    assert!(["--port", "--max-batch", "--log-format"].iter().all(|flag| long.contains(flag)), "{long}");
}

#[test]
fn what_systems_leave_in_a_folder_of_models_is_no_model_and_no_version() {
    let files = Files::new();
    for left in
        ["lost+found", "__pycache__/1", "@eaDir", "__MACOSX/good/1", "$RECYCLE.BIN", ".Trash-0", "good/__pycache__"]
    {
        fs::create_dir_all(files.0.path().join("models").join(left)).unwrap();
    }
    fs::write(files.path("models/Thumbs.db"), "x").unwrap();
    let models = files.path("models");
    let mut running = Running::start(anywidth(&["serve", "--port", "0", "--models", &models]));
    assert_eq!(running.greeting.matches("not served").count(), 1, "{}", running.greeting);
    let metrics = ureq::get(format!("{}/metrics", running.url)).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(metrics.contains("anywidth_models_rejected 1\n"), "{metrics}");
    running.terminate();
    assert_eq!(running.wait().code(), Some(0));
}

#[test]
fn a_folder_where_a_file_is_meant_is_told_with_the_name_of_its_model() {
    let files = Files::new();
    let said = fails(&["inspect", &files.path("models/good")], 1);
    assert!(said.contains("models/good is a folder; name the model (good"), "{said}");
    // A model's name is no path, though a folder has the same one.
    let models = files.path("models");
    let mut inspect = anywidth(&["inspect", "good", "--models", &models]);
    let inspected = inspect.current_dir(files.0.path().join("models")).output().unwrap();
    assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
    let said = fails(&["classify", "a.png", "--model", &files.path("models/good")], 1);
    assert!(said.contains("models/good is a folder; name the model (good"), "{said}");
}

#[test]
fn a_wrong_folder_is_told_in_one_short_line() {
    let root = tempfile::tempdir().unwrap();
    for index in 0..30 {
        fs::create_dir_all(root.path().join(format!("folder-{index}/a"))).unwrap();
    }
    let said = fails(&["serve", "--port", "0", "--models", root.path().to_str().unwrap()], 1);
    assert!(said.lines().count() == 1 && said.len() <= 300, "{said}");
    assert!(said.contains("folder-0/a: a version is") && said.ends_with("; and 27 more\n"), "{said}");
    assert!(said.contains("expected: <name>/<version>/model.onnx"), "{said}");
}

#[test]
fn the_embedded_models_name_the_samples_at_every_width() {
    for (model, sample, label) in
        [("mnist", "seven", "7"), ("fashion-mnist", "shirt", "T-shirt/top"), ("cifar10", "ship", "ship")]
    {
        let sample = format!("{}/samples/{sample}.png", env!("CARGO_MANIFEST_DIR"));
        for width in ["1", "0.5", "0.25"] {
            let output = run(&["classify", &sample, "--model", model, "--width", width, "--json"]);
            let body: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(body["predictions"][0]["label"], label, "{model} at width {width}");
        }
    }
}

#[test]
fn an_image_is_shown_as_the_model_sees_it_at_every_width() {
    let files = Files::new();
    let (model, image) = (files.path("tiny.onnx"), files.path("image.png"));
    let output = run(&["profile", &image, "--model", &model, "--json"]);
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = body["all_widths"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["width"].as_f64(), Some(1.0));
    let text = String::from_utf8(run(&["profile", &image, "--model", &model]).stdout).unwrap();
    // The name, an empty line, the head, and one line for each step.
    assert_eq!(text.lines().count(), 3 + steps.len(), "{text}");
}

#[test]
fn a_model_is_shown_with_its_layers_and_what_each_width_costs() {
    let files = Files::new();
    let output = run(&["inspect", &files.path("tiny.onnx")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in [
        "tiny: 3 x 32 x 32 to 10 classes",
        "conv 3x3",
        "8 x 30 x 30",
        "images: crop 1, black 0, white 1",
        "multiply-adds",
        "100.0 %",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn an_accuracy_is_shown_with_the_images_that_it_is_of() {
    let files = Files::new();
    let inspect = |evaluation: Option<&str>| {
        let mut file = OnnxFile::lenet([3, 32, 32], 8, 10);
        file.metadata("anywidth.accuracy", "[[1, 0.75]]");
        evaluation.iter().for_each(|text| _ = file.metadata("anywidth.evaluation", text));
        fs::write(files.path("tiny.onnx"), file.bytes()).unwrap();
        String::from_utf8(run(&["inspect", &files.path("tiny.onnx")]).stdout).unwrap()
    };
    let text = inspect(Some(r#"{"split":"validation","images":2000}"#));
    assert!(text.contains("75.00 %") && text.contains("accuracy: on 2,000 validation images"), "{text}");
    let text = inspect(Some(r#"{"split":"te\u202est","images":92}"#));
    assert!(text.contains("92 te") && !text.contains('\u{202e}'), "{text}");
    assert!(inspect(None).contains("as stated in the file, which does not name the images"));
}

#[test]
fn what_cannot_be_done_is_one_line_and_code_1() {
    let files = Files::new();
    let (model, image, text) = (files.path("tiny.onnx"), files.path("image.png"), files.path("text.onnx"));
    let one_line = |arguments: &[&str], part: &str| {
        let error = fails(arguments, 1);
        assert!(error.starts_with("error: ") && error.contains(part) && error.lines().count() == 1, "{error}");
    };
    one_line(&["classify", "/nowhere/photo.jpg", "--model", &model], "cannot read /nowhere/photo.jpg");
    one_line(&["classify", &text, "--model", &model], "not a JPEG, PNG or WebP file");
    one_line(&["classify", &image, "--model", &text], "text.onnx");
    one_line(&["inspect", &text], "text.onnx");
    one_line(&["inspect", "cat", "--models", &files.path("models")], "there is no model \"cat\"; available: good");
    for missing in ["nosuch.onnx", "no/such"] {
        one_line(&["inspect", missing], "No such file");
        one_line(&["classify", &image, "--model", missing], "No such file");
    }
    one_line(&["--port", "0", "--model", &text], "text.onnx");
    one_line(&["--port", "0", "--models", &files.path("none")], "bad/1: ");
    one_line(&["--port", "0", "--models", "/nowhere"], "cannot list the models in /nowhere");
    one_line(
        &["--port", "0", "--model", &model, "--default-model", "cat"],
        "the default model \"cat\" is not served; available: tiny",
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    one_line(&["--port", &port, "--model", &model], &format!("cannot listen on 127.0.0.1:{port}"));
}

#[test]
fn what_makes_no_sense_is_code_2() {
    assert!(fails(&["--prot", "1"], 2).contains("--port"));
    assert!(fails(&["--port", "70000"], 2).contains("70000"));
    assert!(fails(&["--threads", "0"], 2).contains("--threads is 0: it must be from 1 to 1024"));
    assert!(fails(&["classify", "photo.jpg", "--width", "1.01"], 2).contains("out of range"));
    for typed in [&["--narrowest", "2"][..], &["serve", "--narrowest", "0"], &["classify", "a.png", "--width", "2"]] {
        assert!(fails(typed, 2).contains("it must be a number above 0 and up to 1"));
    }
    assert!(fails(&["--models", "folder", "--model", "file"], 2).contains("not both"));
    let (files, output) = (Files::new(), anywidth(&[]).env("ANYWIDTH_MAX_BATCH", "many").output().unwrap());
    assert_eq!(output.status.code(), Some(2));
    for top_k in ["0", "11"] {
        let arguments = ["classify", &files.path("image.png"), "--model", &files.path("tiny.onnx"), "--top-k", top_k];
        assert!(fails(&arguments, 2).contains(&format!("--top-k is {top_k}: it must be from 1 to 10")));
    }
}

#[test]
fn a_flag_that_was_typed_beats_the_variable_of_the_flag_that_it_excludes() {
    let error = |arguments: &[&str], variable: &str| {
        let output = anywidth(arguments).env(variable, "/nowhere/variable").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    for serve in [&[][..], &["serve"]] {
        let typed = |flag| [serve, &["--port", "0", flag, "/nowhere/typed"]].concat();
        assert!(error(&typed("--model"), "ANYWIDTH_MODELS").contains("/nowhere/typed"));
        assert!(error(&typed("--models"), "ANYWIDTH_MODEL").contains("/nowhere/typed"));
    }
}

#[test]
fn the_servers_variables_are_no_matter_of_the_other_commands() {
    let inspect = |variable: &str| anywidth(&["inspect", "mnist"]).env(variable, "abc").output().unwrap();
    assert!(inspect("ANYWIDTH_PORT").status.success());
    assert!(inspect("ANYWIDTH_MAX_BATCH").status.success());
    let serve = anywidth(&["serve"]).env("ANYWIDTH_PORT", "abc").output().unwrap();
    assert_eq!(serve.status.code(), Some(2));
}

#[test]
fn a_server_says_what_to_try_serves_the_good_models_and_stops_cleanly() {
    let files = Files::new();
    let mut command = anywidth(&["serve", "--log-format", "json"]);
    command.env("ANYWIDTH_PORT", "0").env("ANYWIDTH_MODELS", files.path("models"));
    let mut running = Running::start(command);
    let (url, shown) = (&running.url, &running.greeting);
    assert!(shown.contains("good (default): 32x32 colour, 10 classes"), "{shown}");
    assert!(shown.contains("not served: bad/1: "), "{shown}");
    assert!(shown.contains(&format!("curl --data-binary @photo.jpg '{url}/classify?width=0.5'")), "{shown}");

    let answer = ureq::post(format!("{url}/classify?width=0.5")).send(&png(1)[..]).unwrap();
    assert_eq!(answer.headers()["x-width"], "0.5");

    running.terminate();
    assert_eq!(running.wait().code(), Some(0));
    let log = running.log().lines().map_while(Result::ok);
    let log: Vec<Value> = log.map(|line| serde_json::from_str(&line).unwrap()).collect();
    let answered = log.iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!((&answered["status"], &answered["width"]), (&Value::from(200), &Value::from("0.5")));
    assert!(answered["span"]["id"].is_string() && answered["inference_ms"].is_number(), "{answered}");
    assert!(log.iter().any(|line| line["message"] == "stopped"));
}
