"""Writes scikit-learn's handwritten digits as a folder of 1797 images of 8x8 pixels.

    python digits.py digits

writes digits/train/<digit>/*.png and digits/test/<digit>/*.png; every fourth image is a test image.
"""

import sys
from pathlib import Path

import numpy
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

digits = load_digits()
for number, (pixels, digit) in enumerate(zip(digits.images, digits.target)):
    folder = Path(sys.argv[1], "test" if number % 4 == 3 else "train", NAMES[digit])
    folder.mkdir(parents=True, exist_ok=True)
    # Values range from 0 to 16.
    Image.fromarray((pixels * 255 / 16).round().astype(numpy.uint8)).save(folder / f"{number:04}.png")
