//! Files that are almost models: whatever is wrong with one, it is read or refused in a sentence, and nothing panics.
//!
//! A program of its own, for the panic hook that counts is the process's.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use anywidth::engine::Model;
use prost::Message;
use support::onnx::{OnnxFile, int, ints};
use support::seeds::check_seed;
use tract_onnx::pb::{GraphProto, ModelProto};

/// Mutants of each model.
const MUTANTS: usize = 700;
/// Longest message, in characters.
const LONGEST: usize = 300;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A stream of numbers: splitmix64, as in Steele, Lea and Flood (2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A number that is likely to be one too many.
    fn number(&mut self) -> i64 {
        const EDGES: [i64; 22] = [
            0,
            1,
            2,
            3,
            4,
            7,
            99,
            4096,
            1_000_001,
            1 << 31,
            1 << 40,
            1 << 62,
            i64::MAX,
            -1,
            -2,
            -3,
            -99,
            -(1 << 31),
            -(1 << 40),
            i64::MIN,
            i64::MIN + 1,
            255,
        ];
        *self.pick(&EDGES)
    }

    fn text(&mut self) -> String {
        self.pick(&[
            "",
            "image",
            "a\nb\u{1b}[31m\"{}",
            "x.y::z",
            &"very long ".repeat(50),
            "SAME_UPPER",
            "reflect",
            "☃",
        ])
        .to_string()
    }
}

const OPERATORS: [&str; 46] = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Relu",
    "Clip",
    "Max",
    "Min",
    "Conv",
    "Gemm",
    "MatMul",
    "MaxPool",
    "AveragePool",
    "Pad",
    "Shape",
    "Size",
    "Gather",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Concat",
    "Reshape",
    "Flatten",
    "Transpose",
    "ReduceMean",
    "ReduceProd",
    "Softmax",
    "Dropout",
    "Cast",
    "CastLike",
    "Expand",
    "ConstantOfShape",
    "Range",
    "Trilu",
    "Where",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Gelu",
    "Swish",
    "Tanh",
    "Erf",
    "Pow",
    "BatchNormalization",
    "Identity",
];
const ATTRIBUTES: [&str; 16] = [
    "axis",
    "axes",
    "perm",
    "pads",
    "strides",
    "kernel_shape",
    "dilations",
    "group",
    "auto_pad",
    "ceil_mode",
    "keepdims",
    "to",
    "start",
    "transB",
    "training_mode",
    "allowzero",
];

/// Small models that together have all that is read.
fn models() -> Vec<ModelProto> {
    let mut shapes = OnnxFile::new([3, 8, 8], "N", 17);
    shapes.conv(6, 3, 1).node("Relu").max_pool().global_pool("ReduceMean").view().gemm(3).node("Softmax");
    let mut masked = OnnxFile::new([1, 6, 6], "1", 18);
    masked
        .masked_conv(5, 3)
        .batch_norm()
        .clip(0.0, 6.0)
        .pad([1, 0, 0, 1])
        .conv(7, 2, 0)
        .global_pool("GlobalAveragePool");
    masked.squeeze(&[-1]).squeeze(&[2]).matmul_add(4);
    let mut indexed = OnnxFile::new([3, 9, 7], "batch", 13);
    indexed
        .rescale("Div", 0.25)
        .conv_with(4, [3, 2], [2, 1])
        .bound("Max", 0.0)
        .node("GlobalMaxPool")
        .index_pixel()
        .gemm(2);
    let mut lenet = OnnxFile::lenet([1, 16, 16], 4, 3);
    let mut gated = OnnxFile::new([3, 8, 8], "N", 20);
    let dilated = vec![ints("dilations", &[2, 1]), ints("pads", &[2, 1, 2, 1])];
    gated.conv_of(5, 3, dilated, [8, 8]).node("HardSwish").depthwise(3).node("Gelu");
    gated.squeeze_excitation(2, "Relu", "HardSigmoid").conv(6, 1, 0);
    let x = gated.top();
    gated.node("Sigmoid").times(x).global_pool("GlobalAveragePool").node("Flatten").gemm(3);
    [&mut shapes, &mut masked, &mut indexed, &mut lenet, &mut gated]
        .map(|file| ModelProto::decode(&*file.bytes()).unwrap())
        .into()
}

/// Changes one thing.
fn mutate(model: &mut ModelProto, random: &mut Random) {
    if random.below(20) == 0 {
        model.opset_import[0].version = random.number();
        return;
    }
    let graph = model.graph.as_mut().unwrap();
    match random.below(12) {
        0 => mutate_initializer(graph, random),
        1 => {
            let dim = random.below(4);
            mutate_input(graph, dim, random.number());
        }
        2 => graph.output[0].name = any_name(graph, random),
        3 if graph.node.len() > 1 => {
            let at = random.below(graph.node.len());
            graph.node.remove(at);
        }
        4 => {
            let (a, b) = (random.below(graph.node.len()), random.below(graph.node.len()));
            graph.node.swap(a, b);
        }
        5 => {
            let copy = random.pick(&graph.node).clone();
            graph.node.push(copy);
        }
        _ => mutate_node(graph, random),
    }
}

fn any_name(graph: &GraphProto, random: &mut Random) -> String {
    let names: Vec<&String> = graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output)).collect();
    if names.is_empty() || random.below(6) == 0 { random.text() } else { (*random.pick(&names)).clone() }
}

fn mutate_node(graph: &mut GraphProto, random: &mut Random) {
    let name = any_name(graph, random);
    let at = random.below(graph.node.len());
    let node = &mut graph.node[at];
    match random.below(9) {
        0 => node.op_type = random.pick(&OPERATORS).to_string(),
        1 => node.name = random.text(),
        2 if !node.input.is_empty() => {
            let at = random.below(node.input.len());
            node.input[at] = name;
        }
        3 => node.input.push(name),
        4 => {
            node.input.pop();
        }
        5 => node.output.push(name),
        6 if !node.output.is_empty() => node.output[0] = name,
        7 => {
            let (key, value) = (*random.pick(&ATTRIBUTES), random.number());
            let list: Vec<i64> = (0..random.below(6)).map(|_| random.number()).collect();
            node.attribute.push(if random.below(2) == 0 { int(key, value) } else { ints(key, &list) });
        }
        _ => {
            let Some(count) = Some(node.attribute.len()).filter(|&count| count > 0) else { return };
            let at = random.below(count);
            let attribute = &mut node.attribute[at];
            attribute.i = random.number();
            if attribute.ints.is_empty() || random.below(4) == 0 {
                attribute.ints.push(random.number());
            } else {
                let at = random.below(attribute.ints.len());
                attribute.ints[at] = random.number();
            }
            attribute.s = random.text().into_bytes();
        }
    }
}

fn mutate_initializer(graph: &mut GraphProto, random: &mut Random) {
    let at = random.below(graph.initializer.len());
    let tensor = &mut graph.initializer[at];
    match random.below(7) {
        0 => tensor.dims.push(random.number()),
        1 => {
            tensor.dims.pop();
        }
        2 if !tensor.dims.is_empty() => {
            let at = random.below(tensor.dims.len());
            tensor.dims[at] = random.number();
        }
        3 => tensor.data_type = random.below(25) as i32,
        4 => tensor.raw_data.truncate(random.below(40)),
        5 => tensor.data_location = Some(1),
        _ => tensor.name = random.text(),
    }
}

fn mutate_input(graph: &mut GraphProto, dim: usize, value: i64) {
    use tract_onnx::pb::{tensor_shape_proto::dimension::Value, type_proto};
    let of = graph.input[0].r#type.as_mut().and_then(|of| of.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = of else { return };
    let Some(shape) = &mut tensor.shape else { return };
    shape.dim[dim].value = Some(Value::DimValue(value));
}

/// What is said of a file that is refused, which must be a sentence.
fn check(bytes: &[u8], what: &str) -> bool {
    let before = PANICS.load(Ordering::Relaxed);
    let outcome = std::panic::catch_unwind(|| Model::from_onnx(bytes).map(|_| ()));
    assert_eq!(PANICS.load(Ordering::Relaxed), before, "{what} panics");
    let Err(error) = outcome.unwrap() else { return true };
    let said = error.to_string();
    assert!(said.chars().count() <= LONGEST, "{what}: {} characters: {said}", said.chars().count());
    assert!(!said.is_empty() && !said.chars().any(char::is_control), "{what}: {said:?}");
    for debug in ["Some(", "None", "Ok(", "Err(", "{ ", " }", "Int::", "Known(", "Shape {", "ModelProto {"] {
        assert!(!said.contains(debug), "{what}: debug notation: {said}");
    }
    false
}

#[test]
fn no_file_makes_the_reader_panic_and_every_refusal_is_a_sentence() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(panic);
    }));
    let mut random = Random(21);
    let (mut read, mut refused) = (0, 0);
    for (index, model) in models().into_iter().enumerate() {
        assert!(check(&model.encode_to_vec(), "the model itself"), "model {index} is refused");
        for mutant in 0..MUTANTS {
            let mut changed = model.clone();
            for _ in 0..1 + random.below(3) {
                mutate(&mut changed, &mut random);
            }
            let mut bytes = changed.encode_to_vec();
            if random.below(4) == 0 {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
            match check(&bytes, &format!("mutant {mutant} of model {index}")) {
                true => read += 1,
                false => refused += 1,
            }
        }
    }
    // Neither does nearly every mutant live, nor does none.
    assert!(read > 100 && refused > 1000, "{read} read, {refused} refused");
}

#[test]
fn the_fuzz_target_starts_from_the_same_models() {
    for (index, model) in models().into_iter().enumerate() {
        check_seed(&format!("onnx/model-{index}.onnx"), &model.encode_to_vec());
    }
}
