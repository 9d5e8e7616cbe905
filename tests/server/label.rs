//! `anywidth label`: what a model file says of itself, written into it.

use std::fs;
use std::path::{Path, PathBuf};

use anywidth::engine::Model;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::binary::{fails, run};
use crate::support::images::png;
use crate::support::onnx::OnnxFile;

/// A folder with a model of three classes, `model.onnx`.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let mut model = OnnxFile::lenet([3, 32, 32], 8, 3);
        model.metadata("author", "somebody").metadata("anywidth.training", r#"{"epochs": 3}"#);
        fs::write(folder.path("model.onnx"), model.bytes()).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes images, one for each path.
    fn images(&self, paths: &[&str]) {
        for (at, path) in paths.iter().enumerate() {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), png(at as u32)).unwrap();
        }
    }

    /// Runs `anywidth label model.onnx` with these arguments, and gives what it says.
    fn label(&self, arguments: &[&str]) -> String {
        let output = run(&[&["label", &self.text("model.onnx")], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The error of a command that must leave everything as it was.
    fn refuses(&self, arguments: &[&str], code: i32) -> String {
        let before = fs::read(self.path("model.onnx")).unwrap();
        let error = fails(&[&["label", &self.text("model.onnx")], arguments].concat(), code);
        assert_eq!(fs::read(self.path("model.onnx")).unwrap(), before);
        assert_eq!(fs::read_dir(self.0.path()).unwrap().filter(is_leftover).count(), 0);
        error
    }
}

fn is_leftover(file: &std::io::Result<fs::DirEntry>) -> bool {
    file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("anywidth-label")
}

/// The text of an entry of `metadata_props`, as any program that reads ONNX finds it.
fn entry(path: &Path, key: &str) -> Option<String> {
    use prost::Message;
    let model = tract_onnx::pb::ModelProto::decode(&fs::read(path).unwrap()[..]).unwrap();
    let mut found = model.metadata_props.into_iter().filter(|entry| entry.key == key);
    let value = found.next().map(|entry| entry.value);
    assert!(found.next().is_none(), "{key} is there twice");
    value
}

fn json_entry(path: &Path, key: &str) -> Value {
    serde_json::from_str(&entry(path, key).unwrap()).unwrap()
}

#[test]
fn labels_come_from_a_list_a_file_or_a_folder_of_classes() {
    let folder = Folder::new();
    fs::write(folder.path("labels.txt"), "\u{feff}a cat\r\na dog\r\nÆsop, the fox\r\n\r\n").unwrap();
    folder.images(&["photos/b/1.png", "photos/a/1.png", "photos/c/1.png"]);
    for (labels, expected) in [
        ("cat, dog,fox".to_owned(), ["cat", "dog", "fox"]),
        (folder.text("labels.txt"), ["a cat", "a dog", "Æsop, the fox"]),
        (folder.text("photos"), ["a", "b", "c"]),
    ] {
        let said = folder.label(&["--labels", &labels]);
        assert!(said.starts_with("wrote "), "{said}");
        let model = Model::from_onnx(&fs::read(folder.path("model.onnx")).unwrap()).unwrap();
        assert_eq!(model.metadata().labels.as_deref(), Some(&expected.map(str::to_owned)[..]));
    }
    assert_eq!(entry(&folder.path("model.onnx"), "author").as_deref(), Some("somebody"));
    assert_eq!(entry(&folder.path("model.onnx"), "anywidth.training").as_deref(), Some(r#"{"epochs": 3}"#));
    assert_eq!(entry(&folder.path("model.onnx"), "anywidth.format").as_deref(), Some("1"));
}

#[test]
fn the_accuracies_are_those_of_evaluate_and_say_whose_they_are() {
    let folder = Folder::new();
    folder.images(&[
        "photos/cat/1.png",
        "photos/cat/2.png",
        "photos/dog/1.png",
        "photos/fox/1.png",
        "photos/fox/2.png",
    ]);
    let said =
        folder.label(&["--labels", "cat,dog,fox", "--evaluate", &folder.text("photos"), "--split", "validation"]);
    assert!(said.contains("5 images") && said.contains("calibration error"), "{said}");
    let path = folder.path("model.onnx");
    assert_eq!(json_entry(&path, "anywidth.evaluation"), json!({"split": "validation", "images": 5}));

    let model = folder.text("model.onnx");
    let evaluated = run(&["evaluate", "--data", &folder.text("photos"), "--model", &model, "--json"]);
    let evaluated: Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    let measured: Value =
        evaluated["widths"].as_array().unwrap().iter().map(|w| json!([w["width"], w["accuracy"]])).collect();
    assert_eq!(json_entry(&path, "anywidth.accuracy"), measured);
    let temperatures = json_entry(&path, "anywidth.temperature");
    let widths = |curve: &Value| curve.as_array().unwrap().iter().map(|point| point[0].clone()).collect::<Vec<_>>();
    assert_eq!(widths(&temperatures), widths(&measured));
    let gain = json_entry(&path, "anywidth.gain");
    for row in gain.as_array().unwrap() {
        let sum = |field: &str| row[field].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
        let stated = measured.as_array().unwrap().iter().find(|point| point[0] == row["width"]).unwrap();
        assert_eq!((sum("images"), sum("correct") as f64 / 5.0), (5, stated[1].as_f64().unwrap()));
    }
    // Five images say little: nothing becomes certain, or worthless.
    assert!(
        temperatures.as_array().unwrap().iter().all(|t| (0.2..5.0).contains(&t[1].as_f64().unwrap())),
        "{temperatures}"
    );
}

#[test]
fn any_entry_can_be_set_and_removed() {
    let folder = Folder::new();
    folder.label(&["--set", r#"preprocessing={"crop": 0.875}"#, "--set", "anywidth.training="]);
    assert_eq!(entry(&folder.path("model.onnx"), "anywidth.preprocessing").as_deref(), Some(r#"{"crop": 0.875}"#));
    assert_eq!(entry(&folder.path("model.onnx"), "anywidth.training"), None);
    let before = fs::read(folder.path("model.onnx")).unwrap();
    folder.label(&["--set", r#"preprocessing={"crop": 0.875}"#]);
    assert_eq!(fs::read(folder.path("model.onnx")).unwrap(), before);
}

#[test]
fn metadata_that_cannot_be_read_are_mended() {
    let folder = Folder::new();
    let mut model = OnnxFile::lenet([3, 32, 32], 8, 3);
    model.metadata("anywidth.labels", "cat");
    fs::write(folder.path("model.onnx"), model.bytes()).unwrap();
    folder.label(&["--labels", "cat,dog,fox"]);
    assert_eq!(json_entry(&folder.path("model.onnx"), "anywidth.labels"), json!(["cat", "dog", "fox"]));
}

#[test]
fn a_new_file_is_written_beside_the_old_one_and_never_over_another_network() {
    let folder = Folder::new();
    let before = fs::read(folder.path("model.onnx")).unwrap();
    let output = folder.text("labelled.onnx");
    folder.label(&["--labels", "cat,dog,fox", "--output", &output]);
    assert_eq!(fs::read(folder.path("model.onnx")).unwrap(), before);
    // The same network may be written again.
    folder.label(&["--labels", "a,b,c", "--output", &output]);
    assert_eq!(json_entry(Path::new(&output), "anywidth.labels"), json!(["a", "b", "c"]));

    for other in [OnnxFile::lenet([3, 32, 32], 9, 3).bytes(), b"my diary".to_vec()] {
        fs::write(&output, &other).unwrap();
        let error = folder.refuses(&["--labels", "a,b,c", "--output", &output], 1);
        assert!(error.contains("exists and is a different model"), "{error}");
        assert_eq!(fs::read(&output).unwrap(), other);
    }
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new();
    fs::rename(folder.path("model.onnx"), folder.path("real.onnx")).unwrap();
    fs::set_permissions(folder.path("real.onnx"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink(folder.path("real.onnx"), folder.path("model.onnx")).unwrap();
    folder.label(&["--labels", "cat,dog,fox"]);
    assert!(folder.path("model.onnx").is_symlink());
    assert_eq!(json_entry(&folder.path("real.onnx"), "anywidth.labels"), json!(["cat", "dog", "fox"]));
    assert_eq!(fs::metadata(folder.path("real.onnx")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_cannot_be_written_changes_nothing_and_is_said() {
    let folder = Folder::new();
    folder.images(&["photos/cow/1.png"]);
    fs::write(folder.path("gap.txt"), "cat\n\nfox\n").unwrap();
    let (photos, gap) = (folder.text("photos"), folder.text("gap.txt"));
    let cases: [(&[&str], i32, &str); 13] = [
        (&[], 2, "nothing to write: use --labels, --evaluate or --set"),
        (&["--labels", "cat,dog"], 1, "model.onnx: metadata anywidth.labels: 2 labels for 3 classes"),
        (&["--labels", "labels.txt"], 1, "there is no file or folder \"labels.txt\""),
        (&["--labels", "cat,,fox"], 1, "label 1 of cat,,fox is empty"),
        (&["--labels", &gap], 1, "label 1 of "),
        (&["--labels", "cat,dog,fox", "--evaluate", &photos], 1, "the folder \"cow\" is not a class of the model"),
        (&["--evaluate", "/nowhere"], 1, "cannot list /nowhere"),
        (&["--set", "preprocesing={}"], 2, "there is no key \"preprocesing\", did you mean \"preprocessing\"?"),
        (&["--set", "preprocessing=centre"], 2, "preprocessing is not JSON"),
        (&["--set", "preprocessing"], 2, "KEY=JSON is expected"),
        (&["--set", r#"preprocessing={"crop": 2}"#], 1, "crop is 2"),
        (&["--split", "test", "--labels", "a,b,c"], 2, "--evaluate"),
        (&["--split", "", "--evaluate", &photos], 2, "--split must be a word"),
    ];
    for (arguments, code, part) in cases {
        let error = folder.refuses(arguments, code);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    fs::write(folder.path("model.onnx"), b"no model").unwrap();
    assert!(folder.refuses(&["--labels", "a,b,c"], 1).contains("not a readable ONNX file"));
}
