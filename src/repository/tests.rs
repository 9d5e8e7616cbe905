//! Model folders and files, good and bad, are served or refused with the reason.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::image::Filter;
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
        "model zebra has no version 3; available: 2, 10"
    );
    assert_eq!(
        repository.find(Some("cat"), None).unwrap_err().to_string(),
        "there is no model \"cat\"; available: ant, zebra"
    );
}

#[test]
fn the_default_is_the_one_asked_for_else_cifar10_else_the_first() {
    let model = digits();
    let root = folder(&[("ant/1/model.onnx", &model), ("cifar10/1/model.onnx", &model)]);
    assert_eq!(load(&root, None).unwrap().default_name(), "cifar10");
    assert_eq!(load(&root, Some("ant")).unwrap().default_name(), "ant");
    let error = load(&root, Some("bee")).unwrap_err().to_string();
    assert_eq!(error, "the default model \"bee\" is not served; available: ant, cifar10");
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
    let paths: Vec<_> = repository.rejected().iter().map(|model| model.path.as_str()).collect();
    assert_eq!(paths, ["bad name", "empty", "fileless/1", "good/007", "good/2", "good/latest"]);
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

fn served(preprocessing: &str) -> Result<ServedModel, ModelError> {
    ServedModel::from_onnx(
        "tiny",
        1,
        &OnnxFile::lenet([1, 28, 28], 8, 10).metadata("anywidth.preprocessing", preprocessing).bytes(),
    )
}

#[test]
fn a_model_gets_its_images_as_its_file_asks() {
    let whole = Preprocessing::default();
    assert_eq!(ServedModel::from_onnx("tiny", 1, &digits()).unwrap().input.preprocessing(), whole);
    for (preprocessing, crop, range) in [
        ("{}", 1.0, [0.0, 1.0]),
        (r#"{"crop": 0.875}"#, 0.875, [0.0, 1.0]),
        (r#"{"range": [-1, 1]}"#, 1.0, [-1.0, 1.0]),
        (r#"{"range": [255, 0], "crop": 0.5}"#, 0.5, [255.0, 0.0]),
    ] {
        let expected = Preprocessing::new(crop, range).unwrap();
        assert_eq!(served(preprocessing).unwrap().input.preprocessing(), expected, "{preprocessing}");
        // Writing and reading again is the identity.
        assert_eq!(served(&serde_json::to_string(&expected).unwrap()).unwrap().input.preprocessing(), expected);
    }
    for filter in Filter::ALL {
        let found = served(&format!(r#"{{"filter": "{}"}}"#, filter.name())).unwrap().input.preprocessing();
        assert_eq!(found, whole.filtered(filter));
        assert_eq!(served(&serde_json::to_string(&found).unwrap()).unwrap().input.preprocessing(), found);
    }
    assert_eq!(whole.filter(), Filter::Bilinear, "the default of a file that names none");
}

#[test]
fn a_file_that_asks_for_an_impossible_image_is_refused_by_name() {
    for (preprocessing, what) in [
        (r#"{"crop": 0}"#, "crop is 0; it must be from 0.01 to 1"),
        (r#"{"crop": 1.01}"#, "crop is 1.01; it must be"),
        (r#"{"crop": 0.009}"#, "crop is 0.009; it must be"),
        (r#"{"range": [0.5, 0.5]}"#, "range is from 0.5 to 0.5; it must be from one finite number to another"),
        (r#"{"range": [0, 1e39]}"#, "range is from 0 to inf; it must be"),
        (r#"{"range": [-3e38, 3e38]}"#, "range is from"),
        (r#"{"range": [0]}"#, r#""range" is [0]; allowed are"#),
        (r#"{"crop": "centre"}"#, r#""crop" is "centre"; allowed are crop (a number)"#),
        (r#"{"padding": 4}"#, r#""padding" is 4; allowed are crop"#),
        (r#"{"filter": "nearest"}"#, r#""filter" is "nearest"; allowed are"#),
        (r#"{"filter": 3}"#, r#""filter" is 3; allowed are"#),
        ("7", "it must be an object"),
    ] {
        let said = served(preprocessing).unwrap_err().to_string();
        assert!(said.starts_with(&format!("metadata anywidth.preprocessing: {what}")), "{preprocessing}: {said}");
    }
}

#[test]
fn the_embedded_models_load() {
    let repository = Repository::load(&Source::Embedded, None).unwrap();
    let names: Vec<_> = repository.by_name().map(|(name, _)| name).collect();
    assert_eq!(names, ["cifar10", "cifar10-lenet", "cifar100", "fashion-mnist", "mnist"]);
    assert_eq!(repository.default_name(), "cifar10");
}

/// What docs/operating.md promises of a worker's memory: that of the largest batch of any model, however many there are.
#[test]
fn one_workers_batches_of_all_embedded_models_fit_ten_megabytes() {
    let repository = Repository::load(&Source::Embedded, None).unwrap();
    let served = repository.by_name().flat_map(|(_, versions)| versions);
    let models: Vec<Arc<Model>> = served.map(|served| served.model.clone()).collect();
    let batch = 16;
    let run = |pass: &mut crate::engine::Pass, model: &Arc<Model>| {
        pass.restart(model);
        (0..batch).for_each(|_| _ = pass.push(&vec![0.5; model.input().len()]));
        pass.finish(&vec![Width::FULL; batch]);
        pass.bytes()
    };
    let alone = models.iter().map(|model| run(&mut crate::engine::Pass::new(model.clone(), batch), model));
    let largest = alone.max().unwrap();
    let mut pass = crate::engine::Pass::new(models[0].clone(), batch);
    let together = models.iter().chain(&models).map(|model| run(&mut pass, model)).last().unwrap();
    assert!(
        together <= 10_000_000 && together <= largest + largest / 20,
        "{together}, and {largest} for the largest alone"
    );
}

/// A file that states this accuracy with bfloat16 at both widths of its grid, and 0.9 with `f32`.
fn stating(bf16: &str) -> Vec<u8> {
    let mut file = OnnxFile::lenet([1, 28, 28], 8, 10);
    file.metadata("anywidth.accuracy", "[[0.5, 0.9], [1, 0.9]]");
    file.metadata("anywidth.precision", &format!(r#"{{"bf16": [[0.5, 0.9], [1, {bf16}]]}}"#)).bytes()
}

#[test]
fn a_model_runs_with_the_precision_asked_for_or_the_fastest_that_loses_little() {
    let precision = |file: &[u8], precisions: &str| {
        let root = folder(&[("ant/1/model.onnx", file)]);
        let source = Source::Folder(root.path().to_owned());
        let repository =
            Repository::load_with(&source, None, &precisions.parse().unwrap()).map_err(|error| error.to_string())?;
        Ok::<Precision, String>(repository.find(None, None).unwrap().model.precision())
    };
    let fastest = if Precision::Bf16.is_available() { Precision::Bf16 } else { Precision::F32 };
    for (stated, precisions, expected) in [
        ("0.8975", "auto", fastest),
        ("0.95", "auto", fastest),
        ("0.897", "auto", Precision::F32),
        ("0.9", "f32", Precision::F32),
        ("0.9", "ant=f32", Precision::F32),
    ] {
        assert_eq!(precision(&stating(stated), precisions), Ok(expected), "{stated} {precisions}");
    }
    assert_eq!(precision(&digits(), "auto"), Ok(Precision::F32));
    // It says nothing of half the width.
    let mut sparse = OnnxFile::lenet([1, 28, 28], 8, 10);
    sparse.metadata("anywidth.accuracy", "[[1, 0.9]]").metadata("anywidth.precision", r#"{"bf16": [[1, 0.9]]}"#);
    assert_eq!(precision(&sparse.bytes(), "auto"), Ok(Precision::F32));
    match Precision::Bf16.is_available() {
        true => assert_eq!(precision(&digits(), "f32,ant=bf16"), Ok(Precision::Bf16)),
        false => assert!(
            precision(&digits(), "bf16")
                .unwrap_err()
                .contains("bf16 needs AVX-512 with BF16, which this processor lacks")
        ),
    }
    assert_eq!(precision(&digits(), "bee=f32").unwrap_err(), "there is no model \"bee\" to set the precision of");
}

/// A model file whose weights lie in `weights.bin`, and the weights.
fn with_data_file(location: &str) -> (Vec<u8>, Vec<u8>) {
    use tract_onnx::pb::StringStringEntryProto;
    let mut file = OnnxFile::lenet([1, 28, 28], 8, 10);
    let mut data = Vec::new();
    for tensor in &mut file.graph().initializer {
        let bytes = std::mem::take(&mut tensor.raw_data);
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
        tensor.data_location = Some(1);
        tensor.external_data = vec![
            entry("location", location.into()),
            entry("offset", data.len().to_string()),
            entry("length", bytes.len().to_string()),
        ];
        data.extend(bytes);
    }
    (file.bytes(), data)
}

/// The error of the folder's only model.
fn refusal(root: &TempDir) -> String {
    let path = root.path().join("ant/1/model.onnx");
    match Repository::load(&Source::File(path), None) {
        Ok(_) => panic!("the model is served"),
        Err(RepositoryError::File { reason, .. }) => {
            let said = reason.to_string();
            assert!(said.chars().count() <= 300, "{said}");
            said
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn weights_are_read_from_a_data_file_in_the_models_own_folder() {
    let (model, data) = with_data_file("weights/all.bin");
    let root = folder(&[("ant/1/model.onnx", &model), ("ant/1/weights/all.bin", &data)]);
    let ant = load(&root, None).unwrap();
    let plain = ServedModel::from_onnx("ant", 1, &digits()).unwrap();
    let logits = |model: &Arc<Model>| {
        let mut pass = crate::engine::Pass::new(model.clone(), 1);
        pass.push(&[0.5; 28 * 28]);
        pass.widen(&[Width::FULL]);
        pass.logits(0).to_vec()
    };
    assert_eq!(logits(&ant.find(None, None).unwrap().model), logits(&plain.model));
    let one = Repository::load(&Source::File(root.path().join("ant/1/model.onnx")), None).unwrap();
    assert_eq!(logits(&one.find(None, None).unwrap().model), logits(&plain.model));
}

#[test]
fn a_data_file_that_cannot_be_read_is_named_with_the_reason() {
    let (model, data) = with_data_file("model.onnx.data");
    let missing = refusal(&folder(&[("ant/1/model.onnx", &model)]));
    assert!(missing.contains("model.onnx.data: there is no such file beside the model"), "{missing}");
    let short = refusal(&folder(&[("ant/1/model.onnx", &model), ("ant/1/model.onnx.data", &data[..100])]));
    assert!(short.contains("it has 100 bytes;"), "{short}");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let pointer = refusal(&folder(&[("ant/1/model.onnx", &model), ("ant/1/model.onnx.data", pointer)]));
    assert!(pointer.contains("run `git lfs pull`"), "{pointer}");
    let directory = refusal(&folder(&[("ant/1/model.onnx", &model), ("ant/1/model.onnx.data/x", b"")]));
    assert!(directory.contains("it is a folder"), "{directory}");
    let bytes = ServedModel::from_onnx("ant", 1, &model).unwrap_err().to_string();
    assert!(bytes.contains("load the model by its path"), "{bytes}");
    for location in ["../secret.bin", "/etc/passwd", "weights/../../secret.bin", "", "a//b", "x\0y"] {
        let (model, data) = with_data_file(location);
        let said = refusal(&folder(&[("ant/1/model.onnx", &model), ("ant/secret.bin", &data)]));
        assert!(said.contains("own folder") || said.contains("not named"), "{location}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_told_and_a_name_is_one_line() {
    let root = folder(&[("ant/1/model.onnx", &digits())]);
    std::os::unix::fs::symlink("gone", root.path().join("bee")).unwrap();
    fs::create_dir(root.path().join("c\nd")).unwrap();
    let repository = load(&root, None).unwrap();
    let paths: Vec<&str> = repository.rejected().iter().map(|rejected| rejected.path.as_str()).collect();
    assert_eq!(paths, ["bee", "c\u{fffd}d"]);
}

#[test]
fn a_file_of_any_name_is_a_model() {
    for (stem, name) in [("my model (1)", "my-model--1"), ("\u{fc}", "model"), ("..", "model"), ("a.b", "a.b")] {
        let root = folder(&[(&format!("{stem}.onnx"), &digits())]);
        let source = Source::File(root.path().join(format!("{stem}.onnx")));
        assert_eq!(Repository::load(&source, None).unwrap().default_name(), name);
    }
}

#[cfg(unix)]
#[test]
fn links_lead_a_data_file_nowhere_outside_of_the_folder() {
    use std::os::unix::fs::symlink;
    let (model, data) = with_data_file("model.onnx.data");
    let root = folder(&[("ant/1/model.onnx", &model), ("ant/1/..v1/weights", &data), ("secret.bin", &data)]);
    let link = root.path().join("ant/1/model.onnx.data");
    symlink(root.path().join("secret.bin"), &link).unwrap();
    assert!(refusal(&root).contains("a link that leaves the model's folder"), "{}", refusal(&root));
    // Kubernetes mounts a volume with links inside it.
    fs::remove_file(&link).unwrap();
    symlink("..v1/weights", &link).unwrap();
    load(&root, None).unwrap();
}

#[test]
fn a_length_that_the_dimensions_deny_or_no_file_has_allocates_nothing() {
    let (model, data) = with_data_file("model.onnx.data");
    let spoilt = |spoil: &dyn Fn(&mut tract_onnx::pb::TensorProto)| {
        use prost::Message;
        let mut proto = tract_onnx::pb::ModelProto::decode(&*model).unwrap();
        spoil(&mut proto.graph.as_mut().unwrap().initializer[2]);
        refusal(&folder(&[("ant/1/model.onnx", &proto.encode_to_vec()), ("ant/1/model.onnx.data", &data)]))
    };
    let said = spoilt(&|tensor| tensor.external_data[2].value = (1u64 << 60).to_string());
    assert!(said.contains("require 288 bytes, but it has 1152921504606846976"), "{said}");
    let said = spoilt(&|tensor| tensor.external_data[1].value = u64::MAX.to_string());
    assert!(said.contains("it has"), "{said}");
    let said = spoilt(&|tensor| tensor.external_data[1].value = "-4".into());
    assert!(said.contains("offset of its external data is not a number"), "{said}");
    let said = spoilt(&|tensor| tensor.dims = vec![1 << 28, 1, 1, 1]);
    assert!(said.contains("1073741824 bytes"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    let (model, _) = with_data_file("model.onnx.data");
    let pipe = |path: &str, files: &[(&str, &[u8])]| {
        let root = folder(files);
        let made = std::process::Command::new("mkfifo").arg(root.path().join(path)).status().unwrap();
        assert!(made.success());
        refusal(&root)
    };
    let said = pipe("ant/1/model.onnx", &[("ant/1/README.md", b"")]);
    assert!(said.contains("a pipe, a socket or a device"), "{said}");
    let said = pipe("ant/1/model.onnx.data", &[("ant/1/model.onnx", &model)]);
    assert!(said.contains("a pipe, a socket or a device"), "{said}");
    let said = refusal(&folder(&[("ant/1/model.onnx/x", b"")]));
    assert!(said.contains("it is a folder"), "{said}");
}

#[test]
fn a_model_whose_scores_are_no_numbers_is_refused_at_load() {
    let path = format!("{}/tests/data/onnx/overflows-to-nan.onnx", env!("CARGO_MANIFEST_DIR"));
    let bytes = fs::read(path).unwrap();
    let root = folder(&[("ant/1/model.onnx", &bytes), ("bee/1/model.onnx", &digits())]);
    assert!(refusal(&root).contains("its scores are not finite: at width"), "{}", refusal(&root));
    assert_eq!(load(&root, None).unwrap().rejected()[0].path, "ant/1");
}
