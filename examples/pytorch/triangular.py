"""Triangular layers: networks run at any width, because no channel reads a channel that is inactive at a narrower width.

Channel `c` of a layer with `C` channels exists at width `w` when `c / C < w`. Output channel `i` may therefore read input
channel `j` only if `j` exists at every width at which `i` does: `j / C_in <= i / C_out`.
"""

import torch
from torch import nn


def active(width, channels):
    """Returns `ceil(width * channels)`, the number of active channels; exact, because widths are integer millionths."""
    return -(-round(width * 1_000_000) * channels // 1_000_000)


def triangle(outputs, inputs):
    """Returns the mask `[outputs, inputs]`: 1 where an output channel may read an input channel, else 0."""
    i, j = torch.arange(outputs)[:, None], torch.arange(inputs)[None, :]
    return (j * outputs <= i * inputs).float()


class Conv2d(nn.Conv2d):
    """A hidden convolution. The first convolution of a network reads the whole image and is a plain `nn.Conv2d`."""

    def __init__(self, inputs, outputs, kernel_size, **options):
        super().__init__(inputs, outputs, kernel_size, **options)
        self.register_buffer("mask", triangle(outputs, inputs)[:, :, None, None], persistent=False)

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class Linear(nn.Linear):
    """A hidden linear layer. The last linear layer of a network writes every class and is a plain `nn.Linear`.

    After a flattened map, `pixels` is the map's height times its width, the number of consecutive features per channel.
    """

    def __init__(self, inputs, outputs, pixels=1, **options):
        super().__init__(inputs, outputs, **options)
        mask = triangle(outputs, inputs // pixels).repeat_interleave(pixels, dim=1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        return nn.functional.linear(x, self.weight * self.mask, self.bias)
