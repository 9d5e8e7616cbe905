use std::fs;

use tempfile::TempDir;

use super::*;
use crate::picture::Filter;
use crate::test_onnx::OnnxFile;

fn digits() -> Vec<u8> {
    OnnxFile::lenet([1, 28, 28], 8, 10).bytes()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

fn load(root: &TempDir, default: Option<&str>) -> Result<Repository, RepositoryError> {
    Repository::load(&Source::Folder(root.path().to_owned()), default)
}

#[test]
fn a_folder_is_served_by_name_and_the_highest_version_is_the_default() {
    let model = digits();
    let root = folder(&[
        ("zebra/2/model.onnx", &model),
        ("zebra/10/model.onnx", &model),
        ("ant/1/model.onnx", &model),
        ("ant/README.md", b"a card"),
        ("README.md", b"a list"),
    ]);
    let repository = load(&root, None).unwrap();
    assert!(repository.rejected().is_empty());
    let names: Vec<_> = repository.by_name().map(|(name, versions)| (name, versions.len())).collect();
    assert_eq!(names, [("ant", 1), ("zebra", 2)]);
    assert_eq!(repository.find(Some("zebra"), None).unwrap().version, 10);
    assert_eq!(repository.find(Some("zebra"), Some(2)).unwrap().version, 2);
    assert_eq!(repository.find(None, None).unwrap().name, "ant");
    assert_eq!(
        repository.find(Some("zebra"), Some(3)).unwrap_err().to_string(),
        "model zebra has no version 3; there are: 2, 10"
    );
    assert_eq!(
        repository.find(Some("cat"), None).unwrap_err().to_string(),
        "there is no model \"cat\"; there are: ant, zebra"
    );
}

#[test]
fn the_default_is_the_one_asked_for_else_cifar10_else_the_first() {
    let model = digits();
    let root = folder(&[("ant/1/model.onnx", &model), ("cifar10/1/model.onnx", &model)]);
    assert_eq!(load(&root, None).unwrap().default_name(), "cifar10");
    assert_eq!(load(&root, Some("ant")).unwrap().default_name(), "ant");
    let error = load(&root, Some("bee")).unwrap_err().to_string();
    assert_eq!(error, "the default model \"bee\" is not served; there are: ant, cifar10");
}

#[test]
fn a_bad_model_leaves_the_good_ones_served_and_keeps_its_reason() {
    let model = digits();
    let root = folder(&[
        ("good/1/model.onnx", &model),
        ("good/2/model.onnx", b"some text"),
        ("good/latest/model.onnx", &model),
        ("good/007/model.onnx", &model),
        ("bad name/1/model.onnx", &model),
        ("empty/notes.txt", b"no version"),
        ("fileless/1/notes.txt", b"no model"),
    ]);
    let repository = load(&root, None).unwrap();
    assert_eq!(repository.find(Some("good"), None).unwrap().version, 1);
    let places: Vec<_> = repository.rejected().iter().map(|model| model.place.as_str()).collect();
    assert_eq!(places, ["bad name", "empty", "fileless/1", "good/007", "good/2", "good/latest"]);
}

#[test]
fn nothing_to_serve_is_an_error_that_names_every_reason() {
    let root = folder(&[("bad/1/model.onnx", b"some text"), ("worse/x/model.onnx", b"")]);
    let error = load(&root, None).unwrap_err().to_string();
    assert!(error.contains("; bad/1: ") && error.contains("; worse/x: a version is a whole number"), "{error}");
    let nowhere = Source::Folder(root.path().join("nowhere"));
    assert!(matches!(Repository::load(&nowhere, None), Err(RepositoryError::Folder { .. })));
}

#[test]
fn one_file_is_served_under_its_own_name() {
    let root = folder(&[("digits.onnx", &digits()), ("ant/7/model.onnx", &digits()), ("text.onnx", b"some text")]);
    let load = |name: &str| Repository::load(&Source::File(root.path().join(name)), None);
    assert_eq!(load("digits.onnx").unwrap().find(None, None).unwrap().name, "digits");
    let ant = load("ant/7/model.onnx").unwrap();
    assert_eq!(ant.find(Some("ant"), None).unwrap().version, 7);
    assert!(matches!(load("text.onnx"), Err(RepositoryError::File { reason: ModelError::Load(_), .. })));
    assert!(matches!(load("missing.onnx"), Err(RepositoryError::File { reason: ModelError::Unreadable(_), .. })));
}

fn served(picture: &str) -> Result<ServedModel, ModelError> {
    ServedModel::from_onnx(
        "tiny",
        1,
        &OnnxFile::lenet([1, 28, 28], 8, 10).metadata("anywidth.picture", picture).bytes(),
    )
}

#[test]
fn a_model_gets_its_pictures_as_its_file_asks() {
    let whole = Preparation::default();
    assert_eq!(ServedModel::from_onnx("tiny", 1, &digits()).unwrap().frame.preparation(), whole);
    for (picture, crop, range) in [
        ("{}", 1.0, [0.0, 1.0]),
        (r#"{"crop": 0.875}"#, 0.875, [0.0, 1.0]),
        (r#"{"range": [-1, 1]}"#, 1.0, [-1.0, 1.0]),
        (r#"{"range": [255, 0], "crop": 0.5}"#, 0.5, [255.0, 0.0]),
    ] {
        let expected = Preparation::new(crop, range).unwrap();
        assert_eq!(served(picture).unwrap().frame.preparation(), expected, "{picture}");
        // What is read can be written, and is read as the same again.
        assert_eq!(served(&serde_json::to_string(&expected).unwrap()).unwrap().frame.preparation(), expected);
    }
    for filter in Filter::ALL {
        let found = served(&format!(r#"{{"filter": "{}"}}"#, filter.name())).unwrap().frame.preparation();
        assert_eq!(found, whole.filtered(filter));
        assert_eq!(served(&serde_json::to_string(&found).unwrap()).unwrap().frame.preparation(), found);
    }
    assert_eq!(whole.filter(), Filter::Bilinear, "as files were served that name none");
}

#[test]
fn a_file_that_asks_for_an_impossible_picture_is_refused_by_name() {
    for (picture, what) in [
        (r#"{"crop": 0}"#, "crop is 0; it must be from 0.01 to 1"),
        (r#"{"crop": 1.01}"#, "crop is 1.01; it must be"),
        (r#"{"crop": 0.009}"#, "crop is 0.009; it must be"),
        (r#"{"range": [0.5, 0.5]}"#, "range is from 0.5 to 0.5; it must be from one finite number to another"),
        (r#"{"range": [0, 1e39]}"#, "range is from 0 to inf; it must be"),
        (r#"{"range": [-3e38, 3e38]}"#, "range is from"),
        (r#"{"range": [0]}"#, "invalid length 1"),
        (r#"{"crop": "centre"}"#, "invalid type: string"),
        (r#"{"padding": 4}"#, "unknown field `padding`, expected one of `crop`, `range`, `filter`"),
        (
            r#"{"filter": "nearest"}"#,
            "unknown variant `nearest`, expected one of `box`, `bilinear`, `bicubic`, `lanczos`",
        ),
        (r#"{"filter": 3}"#, "invalid type: integer"),
        ("7", "invalid type: integer"),
    ] {
        let said = served(picture).unwrap_err().to_string();
        assert!(said.starts_with(&format!("metadata anywidth.picture: {what}")), "{picture}: {said}");
    }
}

#[test]
fn the_embedded_models_load() {
    let repository = Repository::load(&Source::Embedded, None).unwrap();
    let names: Vec<_> = repository.by_name().map(|(name, _)| name).collect();
    assert_eq!(names, ["cifar10", "cifar10-lenet", "cifar100", "fashion-mnist", "mnist"]);
    assert_eq!(repository.default_name(), "cifar10");
}
