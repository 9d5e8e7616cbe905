"""What the tests of clients of the Open Inference Protocol share."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import requests
from PIL import Image
from served import ROOT

MODEL = "cifar10-lenet"
PNG = (ROOT / "samples/ship.png").read_bytes()
PIXELS = np.asarray(Image.open(io.BytesIO(PNG)).convert("RGB"), dtype=np.uint8)
# [1, 3, 32, 32], as the model reads it.
UINT8 = np.ascontiguousarray(
    np.asarray(
        Image.fromarray(PIXELS).resize((32, 32), Image.Resampling.NEAREST)
    ).transpose(2, 0, 1)[None]
)
FP32 = UINT8.astype(np.float32) / 255


def wait_until_ready(url: str) -> None:
    """Returns once every worker of the server has warmed up."""
    while not requests.get(f"{url}/readyz").ok:
        pass


def png_of(pixels: np.ndarray) -> bytes:
    """A PNG of one image, [3, H, W]: the same pixels, for `/classify`."""
    file = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def classify(url: str, image: bytes, width: float) -> list[float]:
    """The probabilities of all classes that `/classify` answers, by index."""
    parameters: dict[str, Any] = {"model": MODEL, "width": width, "top_k": 10}
    response = requests.post(f"{url}/classify", params=parameters, data=image)
    response.raise_for_status()
    predictions = response.json()["predictions"]
    predictions.sort(key=lambda prediction: prediction["index"])
    return [prediction["probability"] for prediction in predictions]
