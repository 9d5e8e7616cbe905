"""ONNX Runtime as a peer of benches/latency.rs.

First writes, for each model and width, the dense network of that width: the same channels, cut out of the same weights.
Then answers requests on standard input, one a line, with seconds per run on standard output.

    peer.py OUT_DIR WIDTH[,WIDTH...] MODEL.onnx [MODEL.onnx ...]
    > OUT_DIR/NAME-WIDTH.onnx BATCH RUNS
    < 0.000123

Calls go through I/O binding and one thread; the time of an empty network, asked for as `idle`, says what the call itself costs.
"""

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def active(width, channels):
    """Channels that exist at a width: ceil(width * channels), in exact arithmetic."""
    return -(-round(width * 1_000_000) * channels // 1_000_000)


def slice_model(model, width):
    """The dense network of one width. Knows the layers of a plain chain: convolutions, BatchNorm, rescalings, one linear
    head."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    sliced = {}
    full = kept = None  # Channels of the value under way, and how many of them exist; None for the image.
    for node in model.graph.node:
        names = [name for name in node.input if name in constants]
        if node.op_type == "Conv":
            weights = constants[node.input[1]]
            outputs = active(width, weights.shape[0])
            sliced[node.input[1]] = weights[:outputs, :kept]
            if len(node.input) > 2:
                sliced[node.input[2]] = constants[node.input[2]][:outputs]
            full, kept = weights.shape[0], outputs
        elif node.op_type == "Gemm":
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            weights = constants[node.input[1]]
            features = weights.shape[1 if transposed else 0]
            features = features * kept // full
            sliced[node.input[1]] = weights[:, :features] if transposed else weights[:features]
            sliced[node.input[2]] = constants[node.input[2]]
        elif node.op_type == "BatchNormalization":
            sliced.update((name, constants[name][:kept]) for name in names)
        else:
            for name in names:
                value = constants[name]
                per_channel = kept is not None and value.ndim == 4 and value.shape[1] == full
                sliced[name] = value[:, :kept] if per_channel else value
    tensors = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in sliced.items()]
    graph = helper.make_graph(model.graph.node, "slice", model.graph.input, model.graph.output, tensors)
    result = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(result, full_check=True)
    return result


def idle_model():
    """A network that does nothing to a single number."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, 1, 1]) for name in ("image", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["logits"])], "idle", info[:1], info[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Runner:
    """A session with its input bound, for one batch size."""

    def __init__(self, path, batch):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (image,) = self.session.get_inputs()
        rng = np.random.default_rng(0)
        self.binding = self.session.io_binding()
        self.image = onnxruntime.OrtValue.ortvalue_from_numpy(rng.random([batch, *image.shape[1:]], np.float32))
        self.binding.bind_ortvalue_input(image.name, self.image)
        self.binding.bind_output(self.session.get_outputs()[0].name)

    def seconds(self, runs):
        run, binding = self.session.run_with_iobinding, self.binding
        start = time.perf_counter()
        for _ in range(runs):
            run(binding)
        return (time.perf_counter() - start) / runs


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(idle_model(), out / "idle.onnx")
    for path in map(Path, sys.argv[3:]):
        model = onnx.load(path)
        for width in sys.argv[2].split(","):
            onnx.save(slice_model(model, float(width)), out / f"{path.parts[-3]}-{width}.onnx")
    print("ready", onnxruntime.__version__, flush=True)
    runners = {}
    for line in sys.stdin:
        path, batch, runs = line.split()
        key = path, int(batch)
        if key not in runners:
            runners[key] = Runner(*key)
        print(runners[key].seconds(int(runs)), flush=True)


if __name__ == "__main__":
    main()
