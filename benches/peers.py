"""Other runtimes as peers of benches/latency.rs: ONNX Runtime, OpenVINO, ncnn and MNN.

First writes, for each model and width, the dense network of that width: the same channels, cut out of the same weights.
Then answers requests on standard input, one a line, with seconds per run on standard output.

    peers.py OUT_DIR WIDTH[,WIDTH...] MODEL.onnx [MODEL.onnx ...]
    < ready NAME=VERSION ...
    > NAME OUT_DIR/MODEL-WIDTH.onnx BATCH RUNS
    < 0.000123

A runtime's scores of the first image must be those of ONNX Runtime, or the program ends. Each runs at its best: one thread, a fixed
shape, inputs bound or in place. A runtime that is not installed is not named.
"""

import importlib.util
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def active(width, channels):
    """Channels that exist at a width: ceil(width * channels), in exact arithmetic."""
    return -(-round(width * 1_000_000) * channels // 1_000_000)


def slice_model(model, width):
    """The dense network of one width. Knows convolutions (depthwise too), linear layers, BatchNorm,
    rescalings and additions."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    sliced, nodes = {}, []
    # Channels of each value at full width, and how many of them exist; those of the image are not sliced.
    channels = {}
    for original in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        nodes.append(node)
        names = [name for name in node.input if name in constants]
        full, kept = next((channels[name] for name in node.input if name in channels), (None, None))
        if node.op_type == "Conv":
            weights = constants[node.input[1]]
            group = next((attribute for attribute in node.attribute if attribute.name == "group"), None)
            depthwise = group is not None and group.i > 1
            outputs = kept if depthwise else active(width, weights.shape[0])
            sliced[node.input[1]] = weights[:outputs] if depthwise else weights[:outputs, :kept]
            if len(node.input) > 2:
                sliced[node.input[2]] = constants[node.input[2]][:outputs]
            if depthwise:
                group.i = kept
            full, kept = weights.shape[0], outputs
        elif node.op_type == "Gemm":
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            weights = constants[node.input[1]] if transposed else constants[node.input[1]].T
            features = weights.shape[1] if kept is None else weights.shape[1] * kept // full
            is_head = node.output[0] == model.graph.output[0].name
            outputs = weights.shape[0] if is_head else active(width, weights.shape[0])
            cut = weights[:outputs, :features]
            sliced[node.input[1]] = cut if transposed else cut.T
            sliced[node.input[2]] = constants[node.input[2]][:outputs]
            full, kept = weights.shape[0], outputs
        elif node.op_type == "BatchNormalization":
            sliced.update((name, constants[name][:kept]) for name in names)
        else:
            for name in names:
                value = constants[name]
                per_channel = kept is not None and value.ndim == 4 and value.shape[1] == full
                sliced[name] = value[:, :kept] if per_channel else value
        if kept is not None:
            channels[node.output[0]] = full, kept
    tensors = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in sliced.items()]
    graph = helper.make_graph(nodes, "slice", model.graph.input, model.graph.output, tensors)
    result = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(result, full_check=True)
    return result


def idle_model():
    """A network that does nothing to a single number."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, 1, 1]) for name in ("image", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["logits"])], "idle", info[:1], info[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def images(path, batch):
    """The images of a batch: those of benches/latency.rs."""
    (value,) = [value for value in onnx.load(path).graph.input]
    shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim][1:]
    image = (np.arange(np.prod(shape)) % 97 / 97).astype(np.float32).reshape(shape)
    return np.repeat(image[None], batch, axis=0)


def convert(program, *arguments):
    """Runs a converter."""
    quiet = subprocess.DEVNULL
    subprocess.run([program, *arguments], check=True, stdout=quiet, stderr=quiet)


class OnnxRuntime:
    """A session with its input and output bound."""

    tolerance = 1e-4

    def __init__(self, path, batch):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.image = onnxruntime.OrtValue.ortvalue_from_numpy(images(path, batch))
        self.binding.bind_ortvalue_input(self.session.get_inputs()[0].name, self.image)
        self.binding.bind_output(self.session.get_outputs()[0].name)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def scores(self):
        return self.binding.copy_outputs_to_cpu()[0][0]


class OpenVino:
    """A request with its input bound."""

    precision, tolerance = "f32", 1e-4

    def __init__(self, path, batch):
        import openvino

        model = openvino.Core().read_model(path)
        self.image = images(path, batch)
        model.reshape(self.image.shape)
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": self.precision}
        self.request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        self.request.set_input_tensor(openvino.Tensor(self.image, shared_memory=True))

    def run(self):
        self.request.start_async()
        self.request.wait()

    def scores(self):
        return self.request.get_output_tensor().data[0].copy()


class OpenVinoBf16(OpenVino):
    precision, tolerance = "bf16", 0.1


class Ncnn:
    """A network converted by pnnx, one image after another: ncnn has no batches."""

    tolerance = 1e-2

    def __init__(self, path, batch):
        import ncnn

        self.images = images(path, batch)
        # pnnx names its files so.
        base = Path(path).parent / Path(path).stem.replace("-", "_")
        if not Path(f"{base}.ncnn.param").exists():
            shape = str([1, *self.images.shape[1:]]).replace(" ", "")
            # The program alone; what the package imports is PyTorch.
            (package,) = importlib.util.find_spec("pnnx").submodule_search_locations
            convert(Path(package) / "pnnx", path, f"inputshape={shape}", "fp16=0")
        self.net = ncnn.Net()
        options = self.net.opt
        options.num_threads = 1
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = options.use_bf16_storage = False
        self.net.load_param(f"{base}.ncnn.param")
        self.net.load_model(f"{base}.ncnn.bin")
        self.inputs = [ncnn.Mat(image) for image in self.images]
        self.result = None

    def run(self):
        for image in self.inputs:
            extractor = self.net.create_extractor()
            # Layers may work in place.
            extractor.input("in0", image.clone())
            _, self.result = extractor.extract("out0")

    def scores(self):
        return np.array(self.result)


class Mnn:
    """A session with its input in place."""

    tolerance = 1e-2

    def __init__(self, path, batch):
        import MNN

        converted = Path(path).with_suffix(".mnn")
        if not converted.exists():
            program = Path(sys.executable).parent / "mnnconvert"
            convert(program, "-f", "ONNX", "--modelFile", path, "--MNNModel", converted, "--bizCode", "bench")
        self.interpreter = MNN.Interpreter(str(converted))
        self.session = self.interpreter.createSession({"backend": "CPU", "numThread": 1, "precision": "high"})
        image = images(path, batch)
        tensor = self.interpreter.getSessionInput(self.session)
        self.interpreter.resizeTensor(tensor, image.shape)
        self.interpreter.resizeSession(self.session)
        data = MNN.Tensor(image.shape, MNN.Halide_Type_Float, image, MNN.Tensor_DimensionType_Caffe)
        self.interpreter.getSessionInput(self.session).copyFrom(data)
        self.batch, self.mnn = batch, MNN

    def run(self):
        self.interpreter.runSession(self.session)

    def scores(self):
        output = self.interpreter.getSessionOutput(self.session)
        zeros = np.zeros(output.getShape(), np.float32)
        host = self.mnn.Tensor(zeros.shape, self.mnn.Halide_Type_Float, zeros, self.mnn.Tensor_DimensionType_Caffe)
        output.copyToHostTensor(host)
        return np.array(host.getData(), np.float32).reshape(self.batch, -1)[0]


PEERS = {
    "onnxruntime": (OnnxRuntime, "onnxruntime"),
    "openvino": (OpenVino, "openvino"),
    "openvino-bf16": (OpenVinoBf16, "openvino"),
    "ncnn": (Ncnn, "ncnn"),
    "mnn": (Mnn, "MNN"),
}


def prepared(name, path, batch):
    """A runner of this runtime, after one run whose scores are right."""
    kind = PEERS[name][0]
    runner = kind(path, batch)
    runner.run()
    if name != "onnxruntime" and "idle" not in path:
        expected = OnnxRuntime(path, 1)
        expected.run()
        error = np.abs(runner.scores() - expected.scores()).max() / np.abs(expected.scores()).max()
        if not error <= kind.tolerance:
            sys.exit(f"{name} computes other scores for {path}: a relative error of {error}")
    return runner


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(idle_model(), out / "idle.onnx")
    for path in map(Path, sys.argv[3:]):
        model = onnx.load(path)
        for width in sys.argv[2].split(","):
            onnx.save(slice_model(model, float(width)), out / f"{path.parts[-3]}-{width}.onnx")
    found = [name for name, (_, module) in PEERS.items() if importlib.util.find_spec(module)]
    print("ready", *(f"{name}={version(PEERS[name][1])}" for name in found), flush=True)
    runners = {}
    for line in sys.stdin:
        name, path, batch, runs = line.split()
        key = name, path, int(batch)
        if key not in runners:
            runners[key] = prepared(*key)
        run, start = runners[key].run, time.perf_counter()
        for _ in range(int(runs)):
            run()
        print((time.perf_counter() - start) / int(runs), flush=True)


if __name__ == "__main__":
    main()
