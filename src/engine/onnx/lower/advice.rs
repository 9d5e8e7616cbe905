//! Advice for rejected nodes: what to change in the author's own tool.

use super::{Call, Value};
use crate::engine::onnx::{LoadError, fold, text};

/// The operators supported on activations.
const LAYERS: &str = "Add AveragePool BatchNormalization Cast CastLike Clip Conv Div Dropout Erf Expand Flatten Gather Gelu Gemm \
    GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LeakyRelu LogSoftmax MatMul Max MaxPool Min Mul Neg \
    Pad Pow ReduceMax ReduceMean ReduceSum Relu Reshape Shape Sigmoid Size Slice Softmax Squeeze Sub Sum Swish Tanh \
    Transpose Unsqueeze";

const EVAL: &str = "the network was exported in training mode: call model.eval() before the export";
const QUANTIZED: &str = "the file is quantized to int8: export the float32 network, without quantization";
const TWO_CLASSES: &str =
    "for two classes give the last layer two outputs, trained with softmax and cross-entropy, and no sigmoid";
const ACTIVATIONS: &str =
    "as activations ReLU, ReLU6, LeakyReLU, SiLU, GELU, HardSwish, sigmoid, HardSigmoid and tanh are: train with one";
const SUPPORTED: &str = "convolutions, linear layers, BatchNorm, activations, pooling, sums, products and flattening are: docs/model-files.md";

/// Rejects a node whose operator is unsupported or in training mode. `is_output` if it computes the graph's output.
pub(super) fn check(call: &Call, is_output: bool) -> Result<(), LoadError> {
    let node = call.node;
    let operator = node.operator.as_str();
    let extra = node.outputs.iter().skip(1).any(|name| !name.is_empty());
    match operator {
        "BatchNormalization" if extra || node.flag("training_mode", false)? => {
            Err(node.unsupported("BatchNorm by the statistics of a batch", EVAL))
        }
        "Dropout" if is_training(call) => Err(node.unsupported("Dropout that drops", EVAL)),
        "Sigmoid" if is_output => Err(node.unsupported("operator Sigmoid", TWO_CLASSES)),
        _ if LAYERS.split(' ').any(|known| known == operator) || fold::folds(operator) => Ok(()),
        _ => Err(node.unsupported(format!("operator {}", text::name(operator)), advice(operator))),
    }
}

/// Whether the third input enables training mode; true if it is unknown.
fn is_training(call: &Call) -> bool {
    match call.inputs.get(2) {
        None | Some(Value::Absent) => false,
        Some(Value::Constant(mode)) => mode.known() != Some(vec![0]),
        Some(_) => true,
    }
}

/// The advice for an operator that is unsupported on activations.
pub(super) fn advice(operator: &str) -> &'static str {
    match operator {
        "RandomUniform" | "RandomUniformLike" | "RandomNormal" | "RandomNormalLike" | "Bernoulli" | "Multinomial" => {
            EVAL
        }
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger" => QUANTIZED,
        "PRelu" | "Elu" | "Selu" | "Celu" | "Mish" | "Softplus" | "Softsign" | "ThresholdedRelu" | "Abs" | "Exp"
        | "Sqrt" => ACTIVATIONS,
        "Where" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" | "Not" | "And" | "Or" => {
            "comparisons are not: write ReLU or clamp"
        }
        "Concat" => "channels cannot be joined at every width: use addition",
        "InstanceNormalization" => "normalization by the image's own statistics is not: use BatchNorm",
        "ArgMax" | "TopK" => "the class scores must be the output: remove it",
        "If" | "Loop" | "Scan" => "no branches or loops are: export with fixed shapes, and without if on the input",
        "GroupNormalization" | "LayerNormalization" | "RMSNormalization" => {
            "normalization over channels needs all of them at every width: use BatchNorm"
        }
        _ => SUPPORTED,
    }
}
