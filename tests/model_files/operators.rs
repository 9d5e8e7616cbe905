//! Operators of everyday networks: activation functions in every spelling, dilation, squeeze-and-excitation.

use anywidth::engine::{LayerKind, Model};

use super::{assert_agrees_with_peer, refusal};
use crate::support::onnx::{OnnxFile, float, ints, text};

/// A network with an operator inside.
fn around(operator: impl Fn(&mut OnnxFile)) -> OnnxFile {
    let mut file = OnnxFile::new([3, 9, 7], "N", 20);
    operator(file.conv(20, 3, 1));
    file.conv(6, 3, 1).node("Relu").node("Flatten").gemm(4);
    file
}

/// The names of a file's activation functions other than bounds.
fn activations(file: &mut OnnxFile) -> Vec<&'static str> {
    let model = Model::from_onnx(&file.bytes()).unwrap_or_else(|error| panic!("{error}"));
    let names = model.layers().iter().filter_map(|layer| match layer.kind {
        LayerKind::Activation(name) => Some(name),
        _ => None,
    });
    names.collect()
}

/// Layers that are neither convolutions nor linear.
fn other_layers(file: &mut OnnxFile) -> Vec<String> {
    let model = Model::from_onnx(&file.bytes()).unwrap_or_else(|error| panic!("{error}"));
    let is_other = |kind: &LayerKind| !matches!(kind, LayerKind::Conv { .. } | LayerKind::Linear | LayerKind::Relu);
    model.layers().iter().map(|layer| layer.kind).filter(is_other).map(|kind| kind.to_string()).collect()
}

#[test]
fn activation_functions_give_the_scores_of_tract() {
    for (operator, attributes) in [
        ("LeakyRelu", vec![]),
        ("LeakyRelu", vec![float("alpha", 0.2)]),
        ("LeakyRelu", vec![float("alpha", 0.0)]),
        ("Sigmoid", vec![]),
        ("Tanh", vec![]),
        ("Erf", vec![]),
        ("HardSwish", vec![]),
        ("HardSigmoid", vec![]),
        ("HardSigmoid", vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]),
        ("Gelu", vec![]),
        ("Gelu", vec![text("approximate", "tanh")]),
    ] {
        let mut file = around(|file| {
            file.operator(operator, vec![], attributes.clone(), [20, 9, 7]);
        });
        assert_agrees_with_peer(&mut file);
    }
}

/// An operator with a number.
fn scaled(file: &mut OnnxFile, operator: &str, input: String, number: f32) -> String {
    let constant = file.constant(&[], vec![number]);
    file.plain(operator, vec![input, constant], vec![])
}

#[test]
fn silu_is_recognised_however_it_is_written() {
    let spellings: [&dyn Fn(&mut OnnxFile); 2] = [
        &|file| {
            let x = file.top();
            file.node("Sigmoid").times(x);
        },
        &|file| {
            let x = file.top();
            let gate = file.plain("Sigmoid", vec![x], vec![]);
            file.times(gate);
        },
    ];
    for spelling in spellings {
        let mut file = around(spelling);
        assert_eq!(other_layers(&mut file), ["silu"]);
        assert_agrees_with_peer(&mut file);
    }
    let mut quick = around(|file| {
        let x = file.top();
        let inner = scaled(file, "Mul", x, 1.702);
        let gate = file.plain("Sigmoid", vec![inner], vec![]);
        file.times(gate);
    });
    assert_eq!(other_layers(&mut quick), ["silu"]);
    assert_agrees_with_peer(&mut quick);
}

#[test]
fn hard_swish_is_recognised_however_it_is_written() {
    let sixths = |file: &mut OnnxFile, x: String| {
        let shifted = scaled(file, "Add", x, 3.0);
        let bounds = [0.0, 6.0].map(|bound| file.constant(&[], vec![bound]));
        let [low, high] = bounds;
        file.plain("Clip", vec![shifted, low, high], vec![])
    };
    let spellings: [&dyn Fn(&mut OnnxFile); 4] = [
        &|file| {
            let gate = sixths(file, file.top());
            let gate = scaled(file, "Div", gate, 6.0);
            file.times(gate);
        },
        &|file| {
            let gate = sixths(file, file.top());
            file.times(gate).rescale("Div", 6.0);
        },
        &|file| {
            let x = file.top();
            let gate = sixths(file, x.clone());
            let part = scaled(file, "Mul", x, 1.0 / 6.0);
            file.read(part).times(gate);
        },
        &|file| {
            let attributes = vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
            let gate = file.plain("HardSigmoid", vec![file.top()], attributes);
            file.times(gate);
        },
    ];
    for (index, spelling) in spellings.into_iter().enumerate() {
        let mut file = around(spelling);
        assert_eq!(other_layers(&mut file), ["hard swish"], "spelling {index}");
        assert_agrees_with_peer(&mut file);
    }
    // The bounds of another function: it runs as it is written.
    let mut other = around(|file| {
        let gate = file.plain("HardSigmoid", vec![file.top()], vec![]);
        file.times(gate);
    });
    assert_eq!(activations(&mut other), [""; 0]);
    assert_agrees_with_peer(&mut other);
}

/// `1 + erf(x / sqrt(2))`, or the approximation by tanh.
fn twice_normal(file: &mut OnnxFile, x: String, tanh: bool) -> String {
    let inner = if tanh {
        let three = file.constant(&[], vec![3.0]);
        let cube = file.plain("Pow", vec![x.clone(), three], vec![]);
        let cube = scaled(file, "Mul", cube, 0.044715);
        let sum = file.plain("Add", vec![x, cube], vec![]);
        let sum = scaled(file, "Mul", sum, 0.797_884_6);
        file.plain("Tanh", vec![sum], vec![])
    } else {
        let quotient = scaled(file, "Div", x, std::f32::consts::SQRT_2);
        file.plain("Erf", vec![quotient], vec![])
    };
    scaled(file, "Add", inner, 1.0)
}

#[test]
fn gelu_is_recognised_however_it_is_written() {
    for tanh in [false, true] {
        let spellings: [&dyn Fn(&mut OnnxFile); 3] = [
            &|file| {
                let gate = twice_normal(file, file.top(), tanh);
                file.times(gate).rescale("Mul", 0.5);
            },
            &|file| {
                let x = file.top();
                let gate = twice_normal(file, x.clone(), tanh);
                let half = scaled(file, "Mul", x, 0.5);
                file.read(gate).times(half);
            },
            &|file| {
                let gate = twice_normal(file, file.top(), tanh);
                let gate = scaled(file, "Mul", gate, 0.5);
                file.times(gate);
            },
        ];
        for (index, spelling) in spellings.into_iter().enumerate() {
            let mut file = around(spelling);
            assert_eq!(other_layers(&mut file), ["gelu"], "spelling {index}, tanh: {tanh}");
            assert_agrees_with_peer(&mut file);
        }
    }
    // Nearly a GELU, and served as what it is.
    let mut other = around(|file| {
        let gate = twice_normal(file, file.top(), false);
        file.times(gate).rescale("Mul", 0.51);
    });
    assert_eq!(activations(&mut other), ["erf"]);
    assert_agrees_with_peer(&mut other);
}

#[test]
fn what_an_activation_reads_may_have_other_readers() {
    let mut file = around(|file| {
        let x = file.top();
        let gate = file.plain("Sigmoid", vec![x.clone()], vec![]);
        let sum = file.plain("Add", vec![x, gate.clone()], vec![]);
        file.times(gate).node("Tanh");
        let gated = file.top();
        let sum = file.plain("Add", vec![sum, gated], vec![]);
        file.read(sum);
    });
    assert_agrees_with_peer(&mut file);
}

#[test]
fn convolutions_with_dilation_give_the_scores_of_tract() {
    for (kernel, dilation, stride, pads, [height, width]) in [
        (3, [2, 2], [1, 1], [2, 2, 2, 2], [11, 9]),
        (3, [1, 3], [1, 1], [1, 3, 1, 3], [11, 9]),
        (3, [3, 1], [2, 1], [0, 1, 0, 1], [3, 9]),
        (2, [4, 2], [1, 2], [1, 0, 0, 1], [8, 4]),
        (1, [5, 5], [1, 1], [0, 0, 0, 0], [11, 9]),
    ] {
        // Of the image, and of a value in blocks.
        for first in [false, true] {
            let mut file = OnnxFile::new([3, 11, 9], "N", 17);
            let attributes = vec![ints("dilations", &dilation), ints("strides", &stride), ints("pads", &pads)];
            if !first {
                file.conv(20, 3, 1).node("Relu");
            }
            file.conv_of(18, kernel, attributes, [height, width]).node("Relu").node("Flatten").gemm(4);
            assert_agrees_with_peer(&mut file);
        }
    }
    let mut depthwise = OnnxFile::new([3, 11, 9], "N", 17);
    depthwise.conv(20, 3, 1).node("Relu");
    let weights = depthwise.numbers(20 * 9);
    let weights = depthwise.constant(&[20, 1, 3, 3], weights);
    let attributes = vec![super::int("group", 20), ints("dilations", &[2, 2]), ints("pads", &[2; 4])];
    depthwise.operator("Conv", vec![weights], attributes, [20, 11, 9]).conv(5, 1, 0).node("Flatten").gemm(3);
    assert_agrees_with_peer(&mut depthwise);
    let mut same = OnnxFile::new([3, 11, 9], "N", 17);
    let attributes = || vec![ints("dilations", &[2, 2]), text("auto_pad", "SAME_UPPER")];
    same.conv_of(6, 3, attributes(), [11, 9]).conv_of(5, 2, attributes(), [11, 9]).node("Flatten").gemm(3);
    assert_agrees_with_peer(&mut same);
}

#[test]
fn squeeze_and_excitation_gives_the_scores_of_tract() {
    for (inner, gate) in [("Relu", "Sigmoid"), ("Relu", "HardSigmoid"), ("HardSwish", "HardSigmoid"), ("Tanh", "Relu")]
    {
        let mut file = OnnxFile::new([3, 9, 7], "N", 17);
        file.conv(20, 3, 1).node("HardSwish").depthwise(5).node("HardSwish").squeeze_excitation(5, inner, gate);
        file.conv(24, 1, 0).node("Relu").squeeze_excitation(30, inner, gate).global_pool("GlobalAveragePool");
        assert_agrees_with_peer(file.node("Flatten").gemm(4));
    }
}

/// As the authors of squeeze-and-excitation write it: `x * y.view(b, c, 1, 1).expand_as(x)`.
fn with_linear_layers(expand: bool) -> OnnxFile {
    let mut file = OnnxFile::new([3, 9, 7], "N", 17);
    file.conv(12, 3, 1).node("Relu");
    let map = file.top();
    let linear = |file: &mut OnnxFile, outputs: usize, inputs: usize| {
        let mut weights = file.numbers(outputs * inputs);
        for (at, weight) in weights.iter_mut().enumerate() {
            // Above the triangle.
            if at % inputs * outputs > at / inputs * inputs {
                *weight = 0.0;
            }
        }
        let weights = file.constant(&[outputs, inputs], weights);
        file.operator("Gemm", vec![weights], vec![super::int("transB", 1)], [outputs, 1, 1]);
    };
    file.global_pool("GlobalAveragePool").view();
    linear(&mut file, 4, 12);
    file.node("Relu");
    linear(&mut file, 12, 4);
    let target = file.int_constant(&[4], &[-1, 12, 1, 1]);
    file.node("Sigmoid").operator("Reshape", vec![target], vec![], [12, 9, 7]);
    if expand {
        let shape = file.plain("Shape", vec![map.clone()], vec![]);
        file.operator("Expand", vec![shape], vec![], [12, 9, 7]).node("Identity");
    }
    file.times(map);
    file
}

#[test]
fn squeeze_and_excitation_is_served_with_linear_layers_and_expanded() {
    let mut plain = with_linear_layers(false);
    plain.conv(8, 3, 0).node("Flatten").gemm(3);
    let mut expanded = with_linear_layers(true);
    expanded.conv(8, 3, 0).node("Flatten").gemm(3);
    // tract knows no computed shape; the other spelling is its own peer.
    let logits = |file: &mut OnnxFile| {
        let image: Vec<f32> = (0..189).map(|at| (at * 37 % 101) as f32 / 100.0).collect();
        super::logits(Model::from_onnx(&file.bytes()).unwrap_or_else(|error| panic!("{error}")), &image)
    };
    assert_eq!(logits(&mut plain), logits(&mut expanded));
}

/// As converters of networks with channels last write it.
#[test]
fn factors_of_channels_are_found_after_a_transposition() {
    let mut file = around(|file| {
        let map = file.plain("Transpose", vec![file.top()], vec![ints("perm", &[0, 2, 3, 1])]);
        file.global_pool("GlobalAveragePool").conv(20, 1, 0).node("Sigmoid");
        file.operator("Transpose", vec![], vec![ints("perm", &[0, 2, 3, 1])], [20, 9, 7]).times(map);
        file.operator("Transpose", vec![], vec![ints("perm", &[0, 3, 1, 2])], [20, 9, 7]);
    });
    assert_agrees_with_peer(&mut file);
}

#[test]
fn a_gates_few_channels_leave_the_grid_as_it_is() {
    let grid = |gate: bool| {
        let mut file = OnnxFile::new([3, 9, 7], "N", 17);
        file.conv(48, 3, 1).node("Relu");
        if gate {
            file.squeeze_excitation(2, "Relu", "Sigmoid");
        }
        file.global_pool("GlobalAveragePool").node("Flatten").gemm(4);
        Model::from_onnx(&file.bytes()).unwrap_or_else(|error| panic!("{error}")).grid().to_vec()
    };
    assert_eq!(grid(true), grid(false));
    assert!(grid(true).len() > 4);
}

#[test]
fn a_gate_that_reads_all_channels_is_refused_with_its_layer() {
    let mut file = OnnxFile::new([3, 9, 7], "N", 17);
    file.conv(16, 3, 1).node("Relu").squeeze_excitation(4, "Relu", "Sigmoid").node("Flatten").gemm(3);
    let second = file.graph().initializer.iter_mut().find(|tensor| tensor.dims == [16, 4, 1, 1]).unwrap();
    second.raw_data[12..16].copy_from_slice(&0.5f32.to_le_bytes());
    let said = refusal(&mut file);
    assert!(said.starts_with("layer conv5 is not triangular: row 0, column 3 is 0.5, but output channel 0"), "{said}");
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let said = |operator: &dyn Fn(&mut OnnxFile)| refusal(&mut around(operator));
    for (expected, operator) in [
        (
            "Mul of [N, 20, 9, 7] and [N, 20, 5, 4]",
            (&|file: &mut OnnxFile| {
                let map = file.top();
                file.slice(&[2, 3], 9, &[2, 2]).times(map);
            }) as &dyn Fn(&mut OnnxFile),
        ),
        ("Mul of [N, 20, 9, 7] and [N, 1, 1, 1]", &|file| {
            let map = file.top();
            file.conv(1, 1, 0).global_pool("GlobalAveragePool").times(map);
        }),
        ("Mul of a value that has all channels at every width and one that has not", &|file| {
            let rows = file.constant(&[20, 3, 1, 1], vec![0.1; 60]);
            let image = file.plain("Conv", vec!["image".into(), rows], vec![]);
            let pixel = file.plain("ReduceMean", vec!["image".into()], vec![ints("axes", &[2, 3])]);
            file.read(image).conv(3, 1, 0).times(pixel);
        }),
        ("an Expand that Conv reads is not supported; as a factor in a product it is", &|file| {
            let shape = file.int_constant(&[4], &[1, 20, 9, 7]);
            file.node("GlobalAveragePool").operator("Expand", vec![shape], vec![], [20, 9, 7]);
        }),
        ("pooling with a dilation other than 1 is not supported", &|file| {
            let attributes = vec![ints("kernel_shape", &[2; 2]), ints("dilations", &[2; 2])];
            file.operator("MaxPool", vec![], attributes, [20, 7, 5]);
        }),
        ("dilations [0, 1] must be at least 1", &|file| {
            file.conv_of(20, 3, vec![ints("dilations", &[0, 1])], [9, 7]);
        }),
        ("kernel [13, 13] is larger than the 9x7 input", &|file| {
            file.conv_of(20, 3, vec![ints("dilations", &[6; 2])], [9, 7]);
        }),
        ("approximate half is unknown to ONNX", &|file| {
            file.operator("Gelu", vec![], vec![text("approximate", "half")], [20, 9, 7]);
        }),
        ("alpha is inf, not a finite number", &|file| {
            file.operator("LeakyRelu", vec![], vec![float("alpha", f32::INFINITY)], [20, 9, 7]);
        }),
        ("Pow with the exponents [0.5] is not supported; an exponent of 1, 2 or 3 is", &|file| {
            let half = file.constant(&[], vec![0.5]);
            file.operator("Pow", vec![half], vec![], [20, 9, 7]);
        }),
        ("a Pad that Sigmoid reads", &|file| {
            file.pad([1; 4]).node("Sigmoid");
        }),
        ("operator Mish is not supported; as activations ReLU, ", &|file| {
            file.node("Mish");
        }),
    ] {
        let said = said(operator);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
