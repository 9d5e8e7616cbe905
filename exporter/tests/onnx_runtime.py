"""Checks an ONNX file and runs it: onnx_runtime.py MODEL INPUT OUTPUT N C H W (raw little-endian float32 files)."""

import sys

import numpy
import onnx
import onnxruntime

model, source, target, *shape = sys.argv[1:]
onnx.checker.check_model(onnx.load(model), full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
images = numpy.fromfile(source, "<f4").reshape([int(length) for length in shape])
[logits] = session.run(["logits"], {"image": images})
logits.astype("<f4").tofile(target)
