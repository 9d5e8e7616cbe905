"""Exports the networks of `networks.py` and records what PyTorch answers at four widths.

    generate.py FOLDER              writes the files and their manifest.json
    generate.py FOLDER --only X     only the cases whose names match X; the manifest keeps the others
    generate.py FOLDER --compare F  then compares PyTorch's answers with those of the manifest in folder F
"""

import argparse
import contextlib
import io
import json
import logging
import re
import sys
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch

from networks import CASES
from slicing import make_triangular, sliced

WIDTHS = [0.25, 0.5, 0.7, 1.0]


def image(shape):
    """The image of every test: pixel `n` is a fraction that any program can compute exactly alike."""
    count = shape[0] * shape[1] * shape[2]
    return ((torch.arange(count) * 7919 + 13) % 251).div(250).reshape(1, *shape)


def build(name, case):
    torch.manual_seed(0)
    network = case.build()
    if not getattr(network, "dense", False):
        # The seed is the name's, so that a new case leaves the other files as they are.
        make_triangular(network, seed=sum(map(ord, name)))
    if getattr(network, "half_precision", False):
        network.half()
    return network.train(case.training)


def export(network, case, path):
    options = dict(case.export)
    batch, channels_last = options.pop("batch", 1), options.pop("channels_last", False)
    options.setdefault("external_data", False)
    if options.get("dynamo") is False:
        options.pop("external_data")
    example = image(case.shape).repeat(batch, 1, 1, 1)
    if next(network.parameters()).dtype == torch.float16:
        example = example.half()
    if channels_last:
        network, example = (thing.to(memory_format=torch.channels_last) for thing in (network, example))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(network, (example,), str(path), **options)
    if case.optimized:
        optimize(path)
    forget_where(path)


def optimize(path):
    """Lets ONNX Runtime write the file anew, after the optimization that it calls basic."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def forget_where(path):
    """Takes the stack traces out of a file: they name folders of the machine that wrote it, and change with them."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    for thing in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer, graph, model]:
        kept = [entry for entry in thing.metadata_props if not entry.key.startswith("pkg.")]
        del thing.metadata_props[:]
        thing.metadata_props.extend(kept)
        thing.doc_string = ""
    path.write_bytes(model.SerializeToString())


def reference(network, case):
    """PyTorch's own answers of the network with only its active channels, by width."""
    network = network.eval()
    answers = {}
    for width in WIDTHS:
        narrow = sliced(network, width)
        with torch.no_grad():
            # As many images as the file is for: not every network can do with one.
            images = image(case.shape).repeat(case.export.get("batch", 1), 1, 1, 1)
            answers[str(width)] = narrow(images)[0].tolist()
    return answers


def check_with_onnxruntime(path, case, answers):
    """The file means what the network means: at full width ONNX Runtime agrees with PyTorch."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else 1
    found = session.run(None, {entry.name: image(case.shape).repeat(batch, 1, 1, 1).numpy()})[0][0]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(answers["1.0"]), rtol=1e-3, atol=1e-4)


def compare(manifest, folder):
    """What another manifest says otherwise."""
    other = json.loads((folder / "manifest.json").read_text())
    different = [f"{name} is in one manifest only" for name in manifest.keys() ^ other.keys()]
    for name in manifest.keys() & other.keys():
        for width, answer in manifest[name].get("answers", {}).items():
            expected = torch.tensor(other[name]["answers"][width])
            if not torch.allclose(torch.tensor(answer), expected, rtol=1e-3, atol=1e-4):
                different.append(f"{name} at {width}: {answer}, before {expected.tolist()}")
    return different


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--compare", type=Path)
    arguments = arguments.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    manifest_path = arguments.folder / "manifest.json"
    manifest = json.loads(manifest_path.read_text()) if arguments.only and manifest_path.exists() else {}
    failed = 0
    for name, case in CASES.items():
        if not re.search(arguments.only, name):
            continue
        path = arguments.folder / f"{name}.onnx"
        try:
            network = build(name, case)
            export(network, case, path)
            entry = {"image": list(case.shape)}
            if name.startswith("refused-"):
                entry["refused"] = list(case.refused)
            else:
                entry |= {"output": case.output, "answers": reference(network, case)}
                check_with_onnxruntime(path, case, entry["answers"])
            manifest[name] = entry
            print(f"{name}: {path.stat().st_size} bytes", flush=True)
        except Exception as error:
            failed += 1
            print(f"{name}: FAILED: {type(error).__name__}: {str(error)[:300]}", flush=True)
        manifest_path.write_text("{\n" + ",\n".join(f"{json.dumps(n)}: {json.dumps(e)}" for n, e in manifest.items()) + "\n}\n")
    print(f"{len(manifest)} files, {failed} failed")
    different = compare(manifest, arguments.compare) if arguments.compare else []
    for message in different:
        print(message)
    sys.exit(failed > 0 or len(different) > 0)


if __name__ == "__main__":
    main()
