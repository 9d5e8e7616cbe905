"""What a triangular network is at a width, said in PyTorch alone: the same network with only its active channels.

Independent of anywidth: layers are cut to their first channels and run by PyTorch.
"""

import copy

import torch
from torch import nn


def active(width, channels):
    """`ceil(width * channels)`, where `width` is in whole thousandths: exact."""
    return -(-round(width * 1000) * channels // 1000)


def reads(outputs, inputs):
    """`[outputs, inputs]`: may the output channel read the input channel?"""
    mask = torch.zeros(outputs, inputs)
    for i in range(outputs):
        for j in range(inputs):
            if j * outputs <= i * inputs:
                mask[i, j] = 1
    return mask


def sliced(network, width):
    """A copy of the network that has the active channels only.

    Marks on layers say what does not follow the width: `image` (a layer that reads the image), `last` (the class scores),
    `pixels` (features per channel of a linear layer that reads a flattened map).
    """
    network = copy.deepcopy(network)
    for layer in network.modules():
        if hasattr(layer, "sliced_features"):
            layer.sliced_features = active(width, layer.channels) * layer.sliced_features // layer.channels
        if isinstance(layer, nn.Conv2d):
            slice_conv(layer, width)
        elif isinstance(layer, nn.Linear):
            slice_linear(layer, width)
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) and not getattr(layer, "image", False):
            slice_norm(layer, width)
    return network


def slice_conv(layer, width):
    last = getattr(layer, "last", False)
    outputs = layer.out_channels if last else active(width, layer.out_channels)
    if layer.groups > 1:
        layer.groups = layer.in_channels = layer.out_channels = outputs
        inputs = 1
    else:
        inputs = layer.in_channels if getattr(layer, "image", False) else active(width, layer.in_channels)
        layer.in_channels, layer.out_channels = inputs, outputs
    layer.weight = nn.Parameter(layer.weight[:outputs, :inputs].detach().clone())
    if hasattr(layer, "mask"):
        layer.mask = layer.mask[:outputs, :inputs]
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[:outputs].detach().clone())


def slice_linear(layer, width):
    pixels = getattr(layer, "pixels", 1)
    outputs = layer.out_features if getattr(layer, "last", False) else active(width, layer.out_features)
    inputs = layer.in_features
    if not getattr(layer, "image", False):
        inputs = active(width, inputs // pixels) * pixels
    layer.in_features, layer.out_features = inputs, outputs
    layer.weight = nn.Parameter(layer.weight[:outputs, :inputs].detach().clone())
    if hasattr(layer, "mask"):
        layer.mask = layer.mask[:outputs, :inputs]
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[:outputs].detach().clone())


def slice_norm(layer, width):
    layer.num_features = channels = active(width, layer.num_features)
    for name in ("running_mean", "running_var"):
        setattr(layer, name, getattr(layer, name)[:channels].clone())
    if layer.affine:
        layer.weight = nn.Parameter(layer.weight[:channels].detach().clone())
        layer.bias = nn.Parameter(layer.bias[:channels].detach().clone())


def make_triangular(network, seed):
    """Random weights, as a trained network has them: zeros above the triangle, statistics that are not 0 and 1."""
    chance = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel() * (1 if layer.groups > 1 or getattr(layer, "image", False) else 0.5)
            layer.weight.data = torch.randn(layer.weight.shape, generator=chance) * (2 / fan_in) ** 0.5
            if layer.groups == 1 and not getattr(layer, "image", False) and not getattr(layer, "last", False):
                layer.weight.data *= reads(layer.out_channels, layer.in_channels)[:, :, None, None]
        elif isinstance(layer, nn.Linear):
            layer.weight.data = torch.randn(layer.weight.shape, generator=chance) * (2 / layer.in_features) ** 0.5
            if not getattr(layer, "last", False) and not getattr(layer, "image", False):
                pixels = getattr(layer, "pixels", 1)
                mask = reads(layer.out_features, layer.in_features // pixels)
                layer.weight.data *= mask.repeat_interleave(pixels, dim=1)
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.running_mean = torch.randn(layer.num_features, generator=chance) * 0.2
            layer.running_var = torch.rand(layer.num_features, generator=chance) + 0.5
            if layer.affine:
                layer.weight.data = torch.rand(layer.num_features, generator=chance) + 0.5
                layer.bias.data = torch.randn(layer.num_features, generator=chance) * 0.2
        if getattr(layer, "bias", None) is not None and isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.bias.data = torch.randn(layer.bias.shape, generator=chance) * 0.1
    return network
