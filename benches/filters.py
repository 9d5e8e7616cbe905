"""Accuracy by the filter that scales images: CIFAR-10's test images, brought to other sizes and sent as JPEG.

    python benches/filters.py target/release/anywidth FOLDER [IMAGES]

FOLDER holds test_batch.tar (docs/benchmarks/filters.md) and labels.txt. Needs numpy, onnx and Pillow.
"""
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import onnx
from PIL import Image

MODEL = pathlib.Path(__file__).parent.parent / "models/cifar10/1/model.onnx"
FILTERS = ["bilinear", "bicubic", "box", "lanczos"]
# Width, height and quality.
SETS = [(200, 200, 75), (451, 300, 85), (640, 480, 85), (64, 64, 90), (56, 56, 90), (48, 48, 90), (40, 40, 90), (24, 24, 95)]


def images(folder, count):
    """The first images of the test set, with their classes' names."""
    names = (folder / "labels.txt").read_text().split()
    with tarfile.open(folder / "test_batch.tar") as tar:
        labels = tar.extractfile("labels.bin").read()
        for index in range(count):
            if index % 100 == 0:
                strip = Image.open(io.BytesIO(tar.extractfile(f"{index // 100:03}.webp").read())).convert("RGB")
            top = 32 * (index % 100)
            yield names[labels[index]], strip.crop((0, top, 32, top + 32))


def resized(image, width, height):
    """The image in the middle of a canvas of this size, as large as fits, on its mean color."""
    side = min(width, height)
    square = image.resize((side, side), Image.BICUBIC)
    canvas = Image.new("RGB", (width, height), tuple(int(value) for value in np.array(square).mean((0, 1))))
    canvas.paste(square, ((width - side) // 2, (height - side) // 2))
    return canvas


def model_with(filter, path):
    model = onnx.load(MODEL)
    entries = [entry for entry in model.metadata_props if entry.key == "anywidth.preprocessing"]
    entry = entries[0] if entries else model.metadata_props.add(key="anywidth.preprocessing", value="{}")
    entry.value = json.dumps(json.loads(entry.value) | {"filter": filter})
    onnx.save(model, path)


def main(program, folder, count=1000):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for filter in FILTERS:
            model_with(filter, scratch / f"{filter}.onnx")
        for width, height, quality in SETS:
            data = scratch / f"{width}x{height}"
            for index, (name, image) in enumerate(images(pathlib.Path(folder), int(count))):
                (data / name).mkdir(parents=True, exist_ok=True)
                resized(image, width, height).save(data / name / f"{index:04}.jpg", quality=quality)
            for filter in FILTERS:
                command = [program, "evaluate", "--data", data, "--model", scratch / f"{filter}.onnx"]
                shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                accuracies = re.findall(r"^ +(?:0\.25|0\.5|1) +([\d.]+) %", shown, re.MULTILINE)
                print(f"{width} x {height}, quality {quality}, {filter}: {' / '.join(accuracies)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
