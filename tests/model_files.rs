//! What the engine reads: files as exporters write them, in each of the forms that it promises to know, and files that are
//! wrong in every way that it promises to name.
#![allow(clippy::unwrap_used)]

#[path = "model_files/exporters.rs"]
mod exporters;
#[path = "model_files/operators.rs"]
mod operators;
mod support;

use std::sync::Arc;

use anywidth::engine::{LoadError, Model, Pass, Shape, Width};
use proptest::prelude::*;
use support::onnx::{OnnxFile, int, ints};
use tract_onnx::prelude::{DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, Tensor, tvec};

/// The class scores at full width.
fn logits(model: Model, image: &[f32]) -> Vec<f32> {
    let mut pass = Pass::new(Arc::new(model), 1);
    pass.push(image);
    pass.widen(&[Width::FULL]);
    pass.logits(0).to_vec()
}

/// The class scores of tract's plain runner.
fn peer_logits(bytes: &[u8], image: &[f32], shape: Shape) -> Vec<f32> {
    let dims = [1, shape.channels, shape.height, shape.width];
    let plain = tract_onnx::onnx().model_for_read(&mut &*bytes).unwrap();
    let plain = plain.with_input_fact(0, InferenceFact::dt_shape(DatumType::F32, dims)).unwrap();
    let runnable = plain.into_optimized().unwrap().into_runnable().unwrap();
    let tensor = Tensor::from_shape(&dims, image).unwrap();
    let outputs = runnable.run(tvec!(tensor.into())).unwrap();
    outputs[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn assert_agrees_with_peer(file: &mut OnnxFile) {
    let bytes = file.bytes();
    let shape = Model::from_onnx(&bytes).unwrap_or_else(|error| panic!("{error}")).input();
    let image: Vec<f32> = file.numbers(shape.len()).iter().map(|number| number + 0.5).collect();
    assert_agrees(&bytes, &peer_logits(&bytes, &image, shape), &image);
}

/// That a file gives these scores.
fn assert_agrees(bytes: &[u8], expected: &[f32], image: &[f32]) {
    let got = logits(Model::from_onnx(bytes).unwrap_or_else(|error| panic!("{error}")), image);
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1.0f32, |scale, value| scale.max(value.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-4 * scale, "{got} is not {expected}");
    }
}

/// What is said of a file that must be refused.
fn refusal(file: &mut OnnxFile) -> String {
    match Model::from_onnx(&file.bytes()) {
        Ok(_) => panic!("the file was accepted"),
        Err(error) => error.to_string(),
    }
}

fn lenet() -> OnnxFile {
    OnnxFile::lenet([3, 20, 20], 12, 10)
}

#[test]
fn a_file_in_the_exporters_form_gives_the_scores_of_tract() {
    assert_agrees_with_peer(&mut lenet());
    assert_agrees_with_peer(&mut OnnxFile::lenet([1, 28, 28], 45, 10));
}

#[test]
fn a_file_of_another_exporter_gives_the_scores_of_tract() {
    let mut unfolded = OnnxFile::new([3, 16, 16], "1", 13);
    unfolded.conv(10, 3, 1).batch_norm().node("Relu").conv(24, 3, 1).max_pool().batch_norm().clip(0.0, 6.0);
    unfolded.conv(7, 1, 0).node("Identity").global_pool("GlobalAveragePool").node("Flatten").matmul_add(5);
    assert_agrees_with_peer(&mut unfolded);

    let mut reduced = OnnxFile::new([1, 9, 9], "batch", 17);
    reduced.rescale("Mul", 2.0).rescale("Add", -1.0).conv(9, 5, 2).node("Relu").global_pool("ReduceMean");
    reduced.node("Flatten").gemm(3);
    assert_agrees_with_peer(&mut reduced);
}

#[test]
fn metadata_are_read() {
    let mut file = OnnxFile::lenet([1, 28, 28], 8, 2);
    file.metadata("anywidth.format", "1").metadata("anywidth.labels", r#"["cat", "dog"]"#);
    file.metadata("anywidth.accuracy", "[[0.5, 0.8], [1.0, 0.9]]").metadata("anywidth.temperature", "[[1.0, 1.5]]");
    let model = Model::from_onnx(&file.bytes()).unwrap();
    let metadata = model.metadata();
    assert_eq!(metadata.label(1), "dog");
    let accuracy = metadata.accuracy_at("0.75".parse().unwrap()).unwrap();
    assert!((accuracy - 0.85).abs() < 1e-9);
    assert_eq!(metadata.temperature_at("0.1".parse().unwrap()), 1.5);
    assert_eq!(metadata.evaluation, None);

    for (value, said) in [
        (r#"{"split":"validation","images":2000}"#, "2,000 validation images"),
        (r#"{"images":1,"split":"test"}"#, "1 test image"),
        (r#"{"split":"größe","images":18446744073709551615}"#, "18,446,744,073,709,551,615 größe images"),
    ] {
        let model = Model::from_onnx(&lenet().metadata("anywidth.evaluation", value).bytes()).unwrap();
        assert_eq!(model.metadata().evaluation.as_ref().unwrap().to_string(), said);
    }
}

#[test]
fn a_file_without_metadata_is_served_all_the_same() {
    let model = Model::from_onnx(&lenet().bytes()).unwrap();
    assert_eq!(model.metadata().label(3), "3");
    assert_eq!(model.metadata().accuracy_at(Width::FULL), None);
    assert_eq!((model.classes(), model.input()), (10, Shape { channels: 3, height: 20, width: 20 }));
}

#[test]
fn metadata_that_contradict_the_model_are_refused_by_name() {
    let long_split = format!(r#"{{"split":"{}","images":1}}"#, "a".repeat(65));
    for (key, value, expected) in [
        ("anywidth.labels", r#"["cat"]"#, "metadata anywidth.labels: 1 labels for 10 classes"),
        ("anywidth.labels", "cat", "metadata anywidth.labels: is not JSON"),
        ("anywidth.labels", "[1, 2]", "metadata anywidth.labels: is not a list of strings"),
        ("anywidth.format", r#""1""#, "metadata anywidth.format: is not a whole number"),
        ("anywidth.accuracy", "[1, 2]", "metadata anywidth.accuracy: is not a list of pairs of a width and a number"),
        ("anywidth.format", "2", "metadata anywidth.format: is 2; this version reads 1"),
        ("anywidth.accuracy", "[[1.0, 90]]", "metadata anywidth.accuracy: 90 is not from 0 to 1"),
        ("anywidth.accuracy", "[[1.5, 0.9]]", "metadata anywidth.accuracy: width 1.5: out of range"),
        ("anywidth.accuracy", "[[1, 0.9], [0.5, 0.8]]", "metadata anywidth.accuracy: widths must ascend"),
        (
            "anywidth.precision",
            r#"{"int4": [[1, 0.9]]}"#,
            "metadata anywidth.precision: \"int4\" is none that is known besides f32: bf16",
        ),
        (
            "anywidth.precision",
            r#"{"bf16": [[1, 0.9]]}"#,
            "metadata anywidth.precision: has other widths for bf16 than anywidth.accuracy",
        ),
        ("anywidth.precision", r#"{"bf16": [[1, 1.9]]}"#, "metadata anywidth.precision: 1.9 is not from 0 to 1"),
        ("anywidth.precision", "[0.9]", "metadata anywidth.precision: is not an object of lists of pairs, such as"),
        ("anywidth.preprocessing", "centre", "metadata anywidth.preprocessing: is not JSON"),
        ("anywidth.temperature", "[[1, 0]]", "metadata anywidth.temperature: 0 is not between"),
        ("anywidth.evaluation", "2000", "metadata anywidth.evaluation: is not of the form"),
        ("anywidth.evaluation", r#"{"split":"test"}"#, "metadata anywidth.evaluation: is not of the form"),
        ("anywidth.evaluation", r#"{"split":"test","images":-1}"#, "metadata anywidth.evaluation: is not of the form"),
        (
            "anywidth.evaluation",
            r#"{"split":"test","images":0}"#,
            "metadata anywidth.evaluation: images is 0; it must be at least 1",
        ),
        (
            "anywidth.evaluation",
            r#"{"split":"","images":1}"#,
            "metadata anywidth.evaluation: the split \"\" is not a word",
        ),
        (
            "anywidth.evaluation",
            &long_split,
            "metadata anywidth.evaluation: the split \"aaaaaaaaaaaaaaaaaaaa\" is not a word",
        ),
    ] {
        let said = refusal(lenet().metadata(key, value));
        assert!(said.starts_with(expected), "{said}");
    }
}

/// A consistent table: two bins at half the width, one at full width.
const GAIN: &str = r#"[{"width":0.5,"edges":[0.7],"images":[4,6],"correct":[2,5],"wider":[[[4],[6]]]},
    {"width":1,"edges":[],"images":[10],"correct":[9],"wider":[]}]"#;

#[test]
fn a_gain_table_is_read() {
    let mut file = lenet();
    file.metadata("anywidth.gain", GAIN).metadata("anywidth.accuracy", "[[0.5, 0.7], [0.75, 0.3], [1, 0.9]]");
    file.metadata("anywidth.evaluation", r#"{"split":"test","images":10}"#);
    let model = Model::from_onnx(&file.bytes()).unwrap();
    let gain = model.metadata().gain.as_ref().unwrap();
    let [half, full] = gain.rows() else { panic!("two rows") };
    assert_eq!((gain.images(), half.bin(0.7), half.bin(0.69), full.bins()), (10, 1, 0, 1));
    assert_eq!(gain.moves(half.width(), full.width()), Some(&[vec![4], vec![6]][..]));
}

#[test]
fn a_gain_table_that_contradicts_itself_or_the_accuracies_is_refused_by_name() {
    let changed = |from: &str, to: &str| {
        assert!(GAIN.contains(from), "{from}");
        refusal(lenet().metadata("anywidth.gain", &GAIN.replacen(from, to, 1)))
    };
    for (from, to, expected) in [
        (r#""wider":[]}]"#, r#""wider":[]}"#, "is not JSON"),
        (r#""images":[4,6]"#, r#""images":[4,-6]"#, "is not a list of rows"),
        (r#""edges":[]"#, r#""edge":[]"#, "is not a list of rows"),
        (r#""width":0.5"#, r#""width":1.5"#, "row 0: 1.5 is not a width"),
        (r#""width":0.5"#, r#""width":1"#, "widths must ascend to 1"),
        (r#""width":1"#, r#""width":0.9"#, "widths must ascend to 1"),
        ("[0.7]", "[1.7]", "width 0.5: edges must be"),
        ("[0.7]", "[0.7,0.7]", "width 0.5: edges must be"),
        ("[4,6]", "[4,6,0]", "width 0.5: images has 3 entries for 2 bins"),
        ("[4,6]", "[0,0]", "width 0.5: has 0 images"),
        ("[2,5]", "[2]", "width 0.5: correct has 1 entries for 2 bins"),
        ("[2,5]", "[2,7]", "width 0.5: 7 of the 6 images of bin 1 are right"),
        ("[[[4],[6]]]", "[]", "width 0.5: wider has 0 entries for 1 wider widths"),
        ("[[[4],[6]]]", "[[[4]]]", "width 0.5: an entry of wider has 1 entries for 2 bins"),
        ("[[[4],[6]]]", "[[[4,0],[6]]]", "width 0.5: a row of wider has 2 entries for 1 bins of the wider width"),
        ("[[[4],[6]]]", "[[[4],[7]]]", "width 0.5: bin 1 has 6 images, of which 7 are counted at width 1"),
        (r#""images":[10]"#, r#""images":[11]"#, "width 0.5: 10 images move to bin 0 of width 1, which has 11"),
    ] {
        let said = changed(from, to);
        assert!(said.starts_with(&format!("metadata anywidth.gain: {expected}")), "{said}");
    }
    let beside = |key: &str, value: &str| refusal(lenet().metadata("anywidth.gain", GAIN).metadata(key, value));
    let said = beside("anywidth.accuracy", "[[1, 0.91]]");
    assert_eq!(said, "metadata anywidth.gain: has accuracy 0.9000 at width 1; anywidth.accuracy says 0.9100");
    let said = beside("anywidth.evaluation", r#"{"split":"test","images":9}"#);
    assert_eq!(said, "metadata anywidth.gain: counts 10 images; anywidth.evaluation says 9");
    assert_eq!(
        refusal(lenet().metadata("anywidth.gain", "[]")),
        "metadata anywidth.gain: has 0 widths; 1 to 32 are allowed"
    );
}

#[test]
fn a_weight_above_the_triangle_is_named_with_layer_row_and_column() {
    let mut file = lenet();
    let weights = file.graph().initializer.iter_mut().find(|tensor| tensor.dims == [12, 12, 3, 3]).unwrap();
    let at = (4 * 12 + 9) * 9 + 5;
    weights.raw_data[4 * at..4 * at + 4].copy_from_slice(&0.25f32.to_le_bytes());
    assert_eq!(
        refusal(&mut file),
        "layer conv4 is not triangular: row 4, column 9 is 0.25, but output channel 4 may read only the first 5 of 12 \
         input channels; ordinary and slimmable networks (S-Net, US-Net, MutualNet) have such weights, and cannot run at any \
         width from one file"
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let said = refusal(lenet().node("Det"));
    assert!(said.starts_with("node det12: operator Det is not supported; convolutions, linear layers, "), "{said}");

    let mut file = lenet();
    file.graph().node[2].domain = "com.example".into();
    assert!(refusal(&mut file).starts_with("node conv2: operator Conv of com.example is not supported"));

    let mut old = OnnxFile::new([1, 8, 8], "N", 12);
    assert_eq!(
        refusal(old.node("Flatten").gemm(2)),
        "not a readable ONNX file: operator set 12; 13 to 28 are read: export with opset_version=18"
    );

    let mut bare = OnnxFile::new([1, 8, 8], "N", 17);
    let said = refusal(bare.conv(3, 3, 0));
    assert_eq!(
        said,
        "the output must come from a linear layer, or from a 1x1 convolution and global average pooling alone; conv0 gives [N, 3, 6, 6] instead of [N, classes]"
    );
    let said = refusal(bare.node("GlobalMaxPool"));
    assert!(said.ends_with("without an activation after it; globalmaxpool1 is none"), "{said}");
}

#[test]
fn impossible_tensors_are_refused_by_name() {
    let mut absurd = lenet();
    absurd.graph().initializer[2].dims = vec![1 << 40, 1 << 40, 3, 3];
    assert!(refusal(&mut absurd).starts_with("node constant2: dimensions [1099511627776, 1099511627776, 3, 3] are"));

    let mut short = lenet();
    short.graph().initializer[2].raw_data.truncate(40);
    let said = refusal(&mut short);
    assert_eq!(said, "node constant2: dimensions [12, 3, 3, 3] require 324 values, but there are 10");

    let mut external = lenet();
    external.graph().initializer[2].data_location = Some(1);
    assert!(refusal(&mut external).contains("its data are in another file"));

    let mut poisoned = lenet();
    poisoned.graph().initializer[2].raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(refusal(&mut poisoned), "node conv2: weight 0 is NaN, not a finite number");

    let mut tall = OnnxFile::new([3, 100_000, 8], "N", 17);
    assert_eq!(refusal(tall.node("Relu")), "the image's height is 100000; at most 4096 is served");
}

#[test]
fn what_would_take_the_machines_memory_is_refused_before_it_does() {
    for (outputs, expected) in [
        (0, "node conv0: it has no outputs"),
        (1_000_001, "the number of output channels of conv0 is 1000001; at most"),
    ] {
        let said = refusal(OnnxFile::new([1, 1, 1], "N", 17).conv(outputs, 1, 0).node("Flatten").gemm(1));
        assert!(said.starts_with(expected), "{said}");
    }
    let said = refusal(OnnxFile::new([1, 8, 8], "N", 17).node("Flatten").gemm(0));
    assert_eq!(said, "node gemm1: it has no outputs");

    let mut large = OnnxFile::new([1, 4096, 4096], "N", 17);
    let said = refusal(large.conv(2, 1, 0).node("Flatten").gemm(0));
    assert!(said.starts_with("the number of values that one image's layers hold is"), "{said}");

    let mut slow = OnnxFile::new([1, 4096, 4096], "N", 17);
    slow.operator("MaxPool", vec![], vec![ints("kernel_shape", &[2048; 2])], [1, 2049, 2049]);
    slow.global_pool("GlobalAveragePool").node("Flatten").gemm(2);
    let said = refusal(&mut slow);
    assert!(said.starts_with("the number of multiplications and comparisons that one image takes is"), "{said}");

    // Memory is for blocks of sixteen channels, where this network has one.
    let mut thin = OnnxFile::new([1, 1024, 1024], "N", 17);
    thin.conv(1, 1, 0).conv(1, 1, 0).global_pool("GlobalAveragePool").node("Flatten").gemm(2);
    assert!(refusal(&mut thin).starts_with("the number of values that the memory of one image holds is"));

    // A border that no number of 64 bits counts.
    let mut padded = OnnxFile::new([1, 1, 1], "N", 17);
    padded.conv(1_000_000, 1, 0);
    for _ in 0..1000 {
        padded.pad([0, 0, 4096, 4096]);
    }
    padded.conv_with(1, [1, 1], [4000, 4000]).global_pool("GlobalAveragePool").node("Flatten").gemm(2);
    let said = refusal(&mut padded);
    assert!(said.starts_with("the number of values that") || said.starts_with("the number of mult"), "{said}");

    // Two vectors whose product is a matrix of 160 GB.
    let mut bomb = lenet();
    bomb.constant_product(200_000);
    assert!(refusal(&mut bomb).starts_with("the size of the constant that node bomb computes is 40000000000; at most"));
}

#[test]
fn a_small_file_computes_no_large_constants() {
    let said = "the size of all constants that the file computes is";
    let mut filled = lenet();
    let size = filled.int_constant(&[1], &[1 << 23]);
    filled.plain("ConstantOfShape", vec![size], vec![]);
    assert!(refusal(&mut filled).starts_with(said));

    let mut counted = lenet();
    let ends = [0, 1 << 23, 1].map(|end| counted.int_constant(&[], &[end]));
    counted.plain("Range", ends.into(), vec![]);
    assert!(refusal(&mut counted).starts_with(said));

    // Each is small, and all of them are kept.
    for (operator, attributes) in [("Cast", vec![int("to", 7)]), ("Max", vec![]), ("ReduceSum", vec![])] {
        let mut copied = lenet();
        let weights = copied.constant(&[1 << 16], vec![1.0; 1 << 16]);
        for _ in 0..64 {
            copied.plain(operator, vec![weights.clone()], attributes.clone());
        }
        assert!(refusal(&mut copied).starts_with(said), "{operator}");
    }
}

#[test]
fn layers_that_share_weights_have_no_more_of_them_than_a_file() {
    let mut file = OnnxFile::new([1024, 1, 1], "N", 17);
    let weights = file.constant(&[1024, 1024, 1, 1], vec![0.0; 1 << 20]);
    for _ in 0..129 {
        file.operator("Conv", vec![weights.clone()], vec![], [1024, 1, 1]);
    }
    let said = refusal(file.node("Flatten").gemm(2));
    assert_eq!(said, "the number of all layers' weights is 135266304; at most 134217728 is served");
}

#[test]
fn values_have_few_axes() {
    let mut constant = lenet();
    constant.constant(&[1; 33], vec![1.0]);
    assert_eq!(refusal(&mut constant), "the number of axes of constant10 is 33; at most 32 is served");

    let many: Vec<i64> = (0..10_000).collect();
    let mut folded = lenet();
    let inputs = vec![folded.constant(&[1], vec![1.0]), folded.int_constant(&[many.len()], &many)];
    folded.plain("Unsqueeze", inputs, vec![]);
    assert!(refusal(&mut folded).contains("gives is 10001; at most 32 is served"));

    let mut renamed = OnnxFile::new([1, 8, 8], "N", 17);
    let axes = renamed.int_constant(&[many.len()], &many);
    assert!(refusal(renamed.operator("Unsqueeze", vec![axes], vec![], [1, 8, 8]).gemm(2)).contains("to 10004 axes"));

    let mut reshaped = OnnxFile::new([1, 8, 8], "N", 17);
    let target = reshaped.int_constant(&[35], &[&[-1, 64][..], &[1; 33]].concat());
    let said = refusal(reshaped.operator("Reshape", vec![target], vec![], [64, 1, 1]).gemm(2));
    assert!(said.ends_with("gives is 35; at most 32 is served"), "{said}");
}

#[test]
fn a_slice_names_no_axis_twice() {
    let mut file = lenet();
    let mut inputs = vec![file.constant(&[10], vec![0.0; 10])];
    inputs.extend([[5, 5], [10, 10], [0, 0]].map(|values| file.int_constant(&[2], &values)));
    file.plain("Slice", inputs, vec![]);
    assert!(refusal(&mut file).ends_with("Slice: an axis is named twice"));
}

/// As a stride of a picture, which is a product of steps only if an axis is named twice.
#[test]
fn a_picture_is_sliced_once_along_an_axis_and_by_any_step() {
    let sliced = |axes: &[i64], steps: &[i64]| {
        let mut file = OnnxFile::new([1, 8, 8], "N", 17);
        file.slice(axes, 8, steps).global_pool("GlobalAveragePool").node("Flatten").gemm(2);
        Model::from_onnx(&file.bytes()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(sliced(&[2, 3], &[1 << 40, 2]), Ok(()));
    assert!(sliced(&[2, 2], &[1 << 32, 1 << 32]).is_err());
}

#[test]
fn weights_that_overflow_when_they_are_folded_are_refused() {
    let mut file = OnnxFile::new([1, 8, 8], "N", 17);
    file.rescale("Add", 1.0).conv(3, 3, 0).rescale("Mul", 3e38).rescale("Mul", 3e38).node("Flatten").gemm(2);
    assert_eq!(refusal(&mut file), "node conv1: its weights overflow when the rescaling after it is folded into them");
}

#[test]
fn what_is_no_model_is_refused_with_a_reason() {
    for bytes in [&b"\x08"[..], b"", b"To whom it may concern", &[0; 64], &[0xff; 64]] {
        let error = Model::from_onnx(bytes).unwrap_err();
        assert!(error.to_string().starts_with("not a readable ONNX file: "), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_truncated_file_is_refused(keep in any::<prop::sample::Index>()) {
        let bytes = OnnxFile::lenet([1, 16, 16], 4, 3).bytes();
        prop_assert!(Model::from_onnx(&bytes[..keep.index(bytes.len())]).is_err());
    }

    /// Refused or read, but never a crash, whatever a stranger changes.
    #[test]
    fn a_damaged_file_crashes_nothing(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = OnnxFile::lenet([1, 16, 16], 4, 3).bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _: Result<Model, LoadError> = Model::from_onnx(&bytes);
    }
}
