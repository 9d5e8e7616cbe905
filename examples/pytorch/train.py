"""Trains a small triangular network on a folder of images, at all widths at once, and exports it.

    python train.py photos/train --size 32 --output models/photos/1/model.onnx

`photos/train` has one folder per class, as for torchvision's ImageFolder.
"""

import argparse
from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional

from triangular import Conv2d, active

WIDTHS = [0.25, 0.5, 0.75, 1.0]


class Network(nn.Module):
    """Three stages of convolution, BatchNorm and ReLU, global average pooling, and a linear layer."""

    def __init__(self, image_channels, classes, channels=(16, 24, 32)):
        super().__init__()
        first, second, third = channels
        self.features = nn.Sequential(
            # The first convolution reads the whole image at every width, so it is a plain one.
            nn.Conv2d(image_channels, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU(),
            Conv2d(first, second, 3, padding=1, bias=False), nn.BatchNorm2d(second), nn.ReLU(), nn.MaxPool2d(2),
            Conv2d(second, third, 3, padding=1, bias=False), nn.BatchNorm2d(third), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten())
        # The last linear layer writes every class at every width, so it is a plain one.
        self.head = nn.Linear(third, classes)

    def forward(self, image):
        """Returns the logits at full width for images in 0..1; this is exported."""
        return self.head(self.features(image * 2 - 1))

    def at_widths(self, image):
        """Returns the logits at each of `WIDTHS` from one pass: narrower features are a prefix of the widest."""
        features = self.features(image * 2 - 1)
        counts = [active(width, features.shape[1]) for width in WIDTHS]
        return [functional.linear(features[:, :n], self.head.weight[:, :n], self.head.bias) for n in counts]


def load(folder, size, mode):
    """Returns the images `[N, C, size, size]` in 0..1, their class indices, and the class names."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    images, classes = [], []
    for index, name in enumerate(names):
        for path in sorted((folder / name).iterdir()):
            # Like the server: the centre of the image, scaled to the network's input.
            image = ImageOps.fit(Image.open(path).convert(mode), (size, size), Image.Resampling.LANCZOS)
            images.append(numpy.asarray(image, dtype=numpy.float32).reshape(size, size, -1) / 255)
            classes.append(index)
    return torch.tensor(numpy.stack(images)).permute(0, 3, 1, 2), torch.tensor(classes), names


def train(network, images, classes, epochs, batch=32):
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-2)
    steps = epochs * -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for epoch in range(epochs):
        total = 0.0
        for at in torch.randperm(len(images)).split(batch):
            scores = network.at_widths(images[at])
            loss = sum(functional.cross_entropy(narrow, classes[at]) for narrow in scores) / len(WIDTHS)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(at)
        print(f"epoch {epoch + 1}/{epochs}: loss {total / len(images):.3f}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path, help="one folder of images per class")
    options.add_argument("--size", type=int, default=32, help="image size in pixels per side")
    options.add_argument("--grey", action="store_true", help="use one channel instead of three")
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--output", type=Path, default=Path("model.onnx"))
    options = options.parse_args()

    torch.manual_seed(options.seed)
    images, classes, names = load(options.folder, options.size, "L" if options.grey else "RGB")
    network = Network(images.shape[1], len(names))
    train(network, images, classes, options.epochs)

    network.eval()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(network, (torch.rand(1, *images.shape[1:]),), options.output)
    print(f"wrote {options.output}, trained on {len(images)} images of {len(names)} classes: {', '.join(names)}")


if __name__ == "__main__":
    main()
