//! Files as other exporters write them: each spelling gives the scores of tract, and a refusal helps its author.

use anywidth::engine::{Model, Shape};
use tract_onnx::pb::TensorProto;

use super::{assert_agrees, assert_agrees_with_peer, lenet, logits, peer_logits, refusal};
use crate::support::onnx::{OnnxFile, int, ints, text};

/// A file of a folder of small files.
fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/onnx/{name}.onnx", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Without the nodes that tract cannot type: it panics at a negative axis and knows no computed shape.
fn flattened(file: &mut OnnxFile, from: &str, to: &str) -> Vec<u8> {
    let bytes = file.bytes();
    let mut plain = file.proto.clone();
    let graph = plain.graph.as_mut().unwrap();
    let start = graph.node.iter().position(|node| node.name == from).unwrap();
    let end = graph.node.iter().position(|node| node.name == to).unwrap();
    let source = graph.node[start].input[0].clone();
    let mut flatten = graph.node[end].clone();
    (flatten.op_type, flatten.input) = ("Flatten".into(), vec![source]);
    flatten.attribute.clear();
    graph.node.splice(start..=end, [flatten]);
    assert!(Model::from_onnx(&bytes).is_ok());
    prost::Message::encode_to_vec(&plain)
}

#[test]
fn files_that_other_products_write_are_served() {
    for name in ["view-with-dynamic-batch", "squeeze-negative-axes", "auto-pad-same-upper"] {
        let model = Model::from_onnx(&data(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let image = vec![0.5; model.input().len()];
        assert!(logits(model, &image).iter().all(|score| score.is_finite()), "{name}");
    }
}

#[test]
fn files_that_cannot_be_served_say_why() {
    let said = |name: &str| Model::from_onnx(&data(name)).unwrap_err().to_string();
    assert!(said("git-lfs-pointer").contains("git lfs pull"), "{}", said("git-lfs-pointer"));
    assert!(said("one-class").contains("two outputs, trained with softmax"), "{}", said("one-class"));
}

/// A network up to its flattening, which differs.
fn pooled() -> OnnxFile {
    let mut file = OnnxFile::new([3, 9, 7], "N", 17);
    file.conv(6, 3, 1).node("Relu").conv(8, 3, 0).node("Relu");
    file
}

#[test]
fn every_spelling_of_flattening_is_the_same_network() {
    let mut view = pooled();
    view.max_pool().view().gemm(5);
    let plain = flattened(&mut view, "shape5", "reshape9");
    let image: Vec<f32> = view.numbers(3 * 9 * 7);
    let shape = Shape { channels: 3, height: 9, width: 7 };
    assert_agrees(&view.bytes(), &peer_logits(&plain, &image, shape), &image);

    let mut squeezed = pooled();
    squeezed.global_pool("GlobalAveragePool").squeeze(&[-1]).squeeze(&[-1]).gemm(5);
    let expected = peer_logits(&flattened(&mut squeezed, "squeeze5", "squeeze6"), &image, shape);
    assert_agrees(&squeezed.bytes(), &expected, &image);
    let respelled: [&dyn Fn(&mut OnnxFile); 9] = [
        &|file| {
            file.global_pool("GlobalAveragePool").squeeze(&[3, 2]);
        },
        &|file| {
            file.global_pool("GlobalAveragePool").squeeze(&[-2]).squeeze(&[2]);
        },
        &|file| {
            file.global_pool("GlobalAveragePool").index_pixel();
        },
        &|file| {
            let all = file.int_constant(&[8, 1], &[0, 1, 2, 3, 4, 5, 6, -1]);
            let shape = [8, 1, 1];
            file.global_pool("GlobalAveragePool").node("Flatten").operator(
                "Gather",
                vec![all],
                vec![int("axis", 1)],
                shape,
            );
            file.squeeze(&[2]);
        },
        &|file| {
            file.global_pool("GlobalAveragePool").view();
        },
        &|file| {
            file.global_pool("ReduceMean").node("Flatten");
        },
        &|file| {
            let mean = |axis: i64, keep: i64| vec![ints("axes", &[axis]), int("keepdims", keep)];
            file.operator("ReduceMean", vec![], mean(3, 0), [8, 7, 1]).operator(
                "ReduceMean",
                vec![],
                mean(-1, 0),
                [8, 1, 1],
            );
        },
        &|file| {
            let shape = file.int_constant(&[3], &[0, 8, -1]);
            let keep = || vec![ints("axes", &[-1]), int("keepdims", 0)];
            file.operator("Reshape", vec![shape], vec![], [8, 7, 5]).operator("ReduceMean", vec![], keep(), [8, 1, 1]);
        },
        &|file| {
            let target = file.int_constant(&[2], &[1, -1]);
            let starts = file.int_constant(&[1], &[0]);
            let ends = file.int_constant(&[1], &[i64::MAX]);
            file.global_pool("GlobalAveragePool").operator("Slice", vec![starts, ends], vec![], [8, 1, 1]);
            file.operator("Reshape", vec![target], vec![], [8, 1, 1]);
        },
    ];
    for (index, respell) in respelled.iter().enumerate() {
        // The same weights: the generator's numbers come in the order of the layers.
        let mut file = pooled();
        respell(&mut file);
        let bytes = file.gemm(5).bytes();
        let got = Model::from_onnx(&bytes).unwrap_or_else(|error| panic!("spelling {index}: {error}"));
        for (got, expected) in logits(got, &image).iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-4, "spelling {index}: {got} is not {expected}");
        }
    }
}

#[test]
fn padding_is_served_however_it_is_written() {
    for (mode, kernel, stride) in
        [("SAME_UPPER", 3, 1), ("SAME_UPPER", 2, 1), ("SAME_LOWER", 4, 1), ("SAME_UPPER", 3, 2), ("VALID", 3, 2)]
    {
        let mut file = OnnxFile::new([3, 9, 7], "N", 17);
        let out = |len: usize| if mode == "VALID" { (len - kernel) / stride + 1 } else { len.div_ceil(stride) };
        let attributes = vec![text("auto_pad", mode), ints("strides", &[stride; 2])];
        file.conv_of(6, kernel, attributes, [out(9), out(7)]).node("Relu").node("Flatten").gemm(4);
        assert_agrees_with_peer(&mut file);
    }
    let mut before_conv = OnnxFile::new([3, 9, 7], "N", 17);
    before_conv.conv(4, 3, 1).node("Relu").pad([1, 0, 2, 1]).conv(5, 4, 0).node("Flatten").gemm(3);
    assert_agrees_with_peer(&mut before_conv);
    let mut before_mean = OnnxFile::new([3, 9, 7], "N", 17);
    let kernel = vec![ints("kernel_shape", &[3; 2]), ints("strides", &[2; 2])];
    before_mean
        .conv(4, 3, 1)
        .pad([1, 1, 1, 0])
        .operator("AveragePool", vec![], kernel, [4, 5, 3])
        .node("Flatten")
        .gemm(3);
    assert_agrees_with_peer(&mut before_mean);
}

#[test]
fn bounds_are_served_however_they_are_written() {
    for operator in ["Max", "Min"] {
        let mut file = OnnxFile::new([1, 8, 8], "N", 17);
        file.conv(6, 3, 1).bound(operator, 0.1).conv(4, 3, 1).node("Flatten").gemm(3);
        assert_agrees_with_peer(&mut file);
    }
    for (low, high) in [(Some(0.0), None), (None, Some(0.25)), (Some(-0.1), Some(0.3))] {
        let mut file = OnnxFile::new([1, 8, 8], "N", 17);
        file.conv(6, 3, 1);
        let mut bound = |value: Option<f32>| value.map_or(String::new(), |value| file.constant(&[], vec![value]));
        let bounds = vec![bound(low), bound(high)];
        file.operator("Clip", bounds, vec![], [6, 8, 8]).node("Flatten").gemm(3);
        // tract knows no missing bound: its peer has infinite ones.
        let image: Vec<f32> = file.numbers(64);
        let mut infinite = file.proto.clone();
        let bounds = [low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY)];
        let graph = infinite.graph.as_mut().unwrap();
        let clip = graph.node.iter_mut().find(|node| node.op_type == "Clip").unwrap();
        for (at, bound) in bounds.into_iter().enumerate() {
            clip.input[at + 1] = format!("bound{at}");
            let raw_data = bound.to_le_bytes().to_vec();
            graph.initializer.push(TensorProto {
                name: format!("bound{at}"),
                data_type: 1,
                raw_data,
                ..TensorProto::default()
            });
        }
        let bytes = file.bytes();
        infinite.graph.as_mut().unwrap().output = file.graph().output.clone();
        let shape = Shape { channels: 1, height: 8, width: 8 };
        assert_agrees(&bytes, &peer_logits(&prost::Message::encode_to_vec(&infinite), &image, shape), &image);
    }
}

#[test]
fn pooling_that_rounds_up_is_served() {
    for operator in ["MaxPool", "AveragePool"] {
        for (kernel, stride, pad) in [(2, 2, 0), (3, 2, 1), (3, 3, 0), (3, 2, 0)] {
            let out = |len: usize| (len + 2 * pad - kernel).div_ceil(stride) + 1;
            let mut file = OnnxFile::new([3, 8, 6], "N", 17);
            let attributes = vec![
                ints("kernel_shape", &[kernel; 2]),
                ints("strides", &[stride; 2]),
                ints("pads", &[pad; 4]),
                int("ceil_mode", 1),
            ];
            let inside = |len: usize| (out(len) - 1) * stride < len + pad;
            let shape = [4, out(8) - usize::from(!inside(8)), out(6) - usize::from(!inside(6))];
            file.conv(4, 3, 1).node("Relu").operator(operator, vec![], attributes, shape).node("Flatten").gemm(3);
            let image: Vec<f32> = file.numbers(3 * 8 * 6);
            let model = Model::from_onnx(&file.bytes()).unwrap_or_else(|error| panic!("{operator} {kernel}: {error}"));
            assert!(logits(model, &image).iter().all(|score| score.is_finite()));
        }
    }
}

#[test]
fn a_classifier_that_is_averaged_is_a_classifier_of_averages() {
    let mut file = OnnxFile::new([3, 9, 7], "N", 17);
    file.conv(6, 3, 1).node("Relu");
    let weights = file.constant(&[4, 6, 1, 1], vec![0.25; 24]);
    let bias = file.constant(&[4], vec![0.1, 0.2, 0.3, 0.4]);
    file.operator("Conv", vec![weights, bias], vec![], [4, 9, 7]).node("GlobalAveragePool").node("Flatten");
    assert_agrees_with_peer(&mut file);
    assert_agrees_with_peer(file.rescale("Mul", 2.0).rescale("Add", -1.0));
    let mut model = file.node("Softmax");
    assert_eq!(Model::from_onnx(&model.bytes()).unwrap().notes().len(), 1);
    model = model.node("Identity");
    assert!(Model::from_onnx(&model.bytes()).is_ok());
}

#[test]
fn a_softmax_at_the_end_is_left_out_and_one_elsewhere_is_refused() {
    for operator in ["Softmax", "LogSoftmax"] {
        let mut file = lenet();
        let plain = logits(Model::from_onnx(&file.bytes()).unwrap(), &[0.25; 1200]);
        let model = Model::from_onnx(&file.node(operator).bytes()).unwrap();
        assert!(model.notes()[0].starts_with(&format!("{operator} ")), "{:?}", model.notes());
        assert_eq!(logits(model, &[0.25; 1200]), plain);
    }
    let said = refusal(lenet().node("Softmax").gemm(3));
    assert!(said.contains("Gemm after the Softmax softmax12 is not supported") && said.contains("remove it"), "{said}");
    let said = refusal(lenet().node("Sigmoid"));
    assert!(said.contains("two outputs, trained with softmax"), "{said}");
    assert_eq!(Model::from_onnx(&lenet().bytes()).unwrap().notes(), [""; 0]);
}

#[test]
fn refusals_say_what_the_author_can_do() {
    let mut training = lenet();
    training.batch_norm_with(vec![int("training_mode", 1)]);
    assert!(refusal(training.gemm(2)).contains("eval()"));
    let mut random = lenet();
    assert!(refusal(random.node("RandomUniformLike")).contains("eval()"));
    let mut last = OnnxFile::new([32, 32, 3], "N", 17);
    let said = refusal(last.node("Relu"));
    assert!(said.contains("NHWC") && said.contains("tf2onnx --inputs-as-nchw"), "{said}");
    let mut half = lenet();
    half.graph().initializer[2].data_type = 10;
    assert!(refusal(&mut half).contains("model.float()"));
    assert!(refusal(lenet().node("QuantizeLinear")).contains("without quantization"));
    let mut larger = pooled();
    assert!(refusal(larger.index_pixel().gemm(2)).contains("picking from axis 2 of [N, 8, 7, 5]"));
    let mut external = lenet();
    external.graph().initializer[2].data_location = Some(1);
    assert!(refusal(&mut external).contains("another file"));
}

#[test]
fn what_no_exporter_writes_is_refused_in_a_sentence() {
    let conv = |attributes| {
        let mut file = OnnxFile::new([1, 8, 8], "N", 17);
        refusal(file.conv_of(3, 3, attributes, [6, 6]).node("Flatten").gemm(2))
    };
    assert!(conv(vec![ints("strides", &[0, 1])]).contains("strides [0, 1] must be at least 1"));
    assert!(conv(vec![ints("pads", &[1, 1, 1])]).contains("pads [1, 1, 1] must be 4 numbers"));
    assert!(conv(vec![ints("pads", &[-1, 0, 0, 0])]).contains("pads"));
    let mut squeezed = pooled();
    assert!(refusal(squeezed.squeeze(&[99]).gemm(2)).contains("axis 99 of 4 axes"));
    let mut nowhere = lenet();
    nowhere.bytes();
    nowhere.graph().output[0].name = "nowhere".into();
    let said = Model::from_onnx(&prost::Message::encode_to_vec(&nowhere.proto)).unwrap_err().to_string();
    assert_eq!(said, "no node writes the graph's output nowhere");
    let mut empty = OnnxFile::new([1, 8, 8], "N", 17);
    assert_eq!(refusal(&mut empty), "the graph has no nodes");
    assert!(refusal(&mut OnnxFile::new([1, 8, 8], "N", 1 << 62)).contains("operator set 4611686018427387904"));
    let mut cyclic = lenet();
    cyclic.graph().node[3].input[0] = "gemm11".into();
    assert!(refusal(&mut cyclic).contains("which no earlier node writes"));
    let mut twice = lenet();
    let copy = twice.graph().node[2].clone();
    twice.graph().node.push(copy);
    assert!(refusal(&mut twice).contains("given to more than one value"));
}

#[test]
fn weights_that_the_file_masks_are_multiplied_at_load() {
    let mut file = OnnxFile::new([3, 8, 8], "N", 17);
    file.masked_conv(24, 3).node("Relu").masked_conv(16, 3).node("Relu").node("Flatten").gemm(4);
    assert_agrees_with_peer(&mut file);
}
