"""Everyday triangular networks, written as people write them, and how each is exported.

`CASES` names them all; `slicing.py` explains the marks `image`, `last`, `pixels` and `sliced_features`.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Callable

import torch
import torch.nn.functional as F
from torch import nn


def conv(inputs, outputs, kernel=3, stride=1, padding=1, bias=False, **options):
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=bias, **options)


def image_conv(inputs, outputs, kernel=3, stride=1, padding=1, bias=False, **options):
    return marked(conv(inputs, outputs, kernel, stride, padding, bias, **options), image=True)


def depthwise(channels, stride=1, kernel=3):
    return conv(channels, channels, kernel, stride, kernel // 2, groups=channels)


def head(inputs, classes=5, pixels=1, **options):
    return marked(nn.Linear(inputs, classes, **options), last=True, pixels=pixels)


def hidden(inputs, outputs, pixels=1, **options):
    return marked(nn.Linear(inputs, outputs, **options), pixels=pixels)


def marked(layer, **marks):
    for name, value in marks.items():
        setattr(layer, name, value)
    return layer


class Apply(nn.Module):
    """A function as a layer, for what people write in `forward`."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def flatten(x):
    return torch.flatten(x, 1)


class Vgg(nn.Module):
    """Convolution, BatchNorm, ReLU; pooling between stages; a mean over the map. Each part can be another."""

    def __init__(self, neck=flatten, *, image=3, stages=(8, 12), classes=5, activation=nn.ReLU, pool=lambda: nn.MaxPool2d(2),
                 mean=lambda: nn.AdaptiveAvgPool2d(1), stem=None, tail=None, conv=conv, image_conv=image_conv, bias=False,
                 norm=nn.BatchNorm2d, last=None):
        super().__init__()
        layers = []
        for at, outputs in enumerate(stages):
            inputs = stages[at - 1] if at else image
            layers += [(conv if at else image_conv)(inputs, outputs, bias=bias), norm(outputs), activation()]
            layers += [conv(outputs, outputs, bias=bias), norm(outputs), activation(), pool()]
        self.stem = stem() if stem else nn.Identity()
        self.features = nn.Sequential(*layers)
        self.mean = mean() if mean else nn.Identity()
        self.neck = neck
        self.head = last(stages[-1]) if last else head(stages[-1], classes)
        self.tail = tail or (lambda scores: scores)

    def forward(self, x):
        x = self.mean(self.features(self.stem(x)))
        return self.tail(self.head(self.neck(x)))


class ViewNumber(Vgg):
    """`view(-1, 12)`, with the number of features written out."""

    def __init__(self):
        super().__init__()
        self.channels = self.sliced_features = 12

    def forward(self, x):
        x = self.mean(self.features(x))
        return self.head(x.view(-1, self.sliced_features))


class ResidualBlock(nn.Module):
    """He et al., 2015: the shortcut is a strided 1x1 convolution where the extent changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.norm1 = conv(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride, 0), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = F.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class PreActivationBlock(nn.Module):
    """He et al., 2016: BatchNorm and ReLU before each convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, stride=stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs)
        self.shortcut = conv(inputs, outputs, 1, stride, 0) if stride != 1 or inputs != outputs else None

    def forward(self, x):
        out = F.relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        return self.conv2(F.relu(self.norm2(self.conv1(out)))) + shortcut


class Resnet(nn.Module):
    def __init__(self, block=ResidualBlock, stem="small", channels=(8, 8, 12), neck=lambda x: x.view(x.size(0), -1)):
        super().__init__()
        first = channels[0]
        if stem == "small":
            self.stem = nn.Sequential(image_conv(3, first), nn.BatchNorm2d(first), nn.ReLU(inplace=True))
        else:
            self.stem = nn.Sequential(image_conv(3, first, 7, 2, 3), nn.BatchNorm2d(first), nn.ReLU(inplace=True),
                                      nn.MaxPool2d(3, 2, 1))
        blocks = [block(a, b, 1 if a == b else 2) for a, b in zip((first, *channels), channels)]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(nn.BatchNorm2d(channels[-1]), nn.ReLU()) if block is PreActivationBlock else nn.Identity()
        self.mean, self.neck, self.fc = nn.AdaptiveAvgPool2d((1, 1)), neck, head(channels[-1])

    def forward(self, x):
        return self.fc(self.neck(self.mean(self.last(self.blocks(self.stem(x))))))


class Separable(nn.Module):
    """MobileNet: depthwise and pointwise convolutions with ReLU6."""

    def __init__(self, activation=nn.ReLU6):
        super().__init__()

        def block(inputs, outputs, stride):
            return nn.Sequential(
                depthwise(inputs, stride), nn.BatchNorm2d(inputs), activation(),
                conv(inputs, outputs, 1, padding=0), nn.BatchNorm2d(outputs), activation())

        self.model = nn.Sequential(
            image_conv(3, 8, stride=2), nn.BatchNorm2d(8), activation(),
            block(8, 12, 1), block(12, 12, 2), block(12, 16, 1), nn.AvgPool2d(4))
        self.fc = head(16)

    def forward(self, x):
        x = self.model(x)
        x = x.view(x.size(0), -1)
        return self.fc(x)


class InvertedResidual(nn.Module):
    """MobileNetV2: expand, depthwise, project without an activation, add."""

    def __init__(self, inputs, outputs, stride, expansion=2):
        super().__init__()
        wide = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            conv(inputs, wide, 1, padding=0), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True),
            depthwise(wide, stride), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True),
            conv(wide, outputs, 1, padding=0), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            image_conv(3, 8, stride=2), nn.BatchNorm2d(8), nn.ReLU6(), InvertedResidual(8, 8, 1),
            InvertedResidual(8, 12, 2), InvertedResidual(12, 12, 1), conv(12, 20, 1, padding=0), nn.BatchNorm2d(20), nn.ReLU6())
        self.classifier = nn.Sequential(nn.Dropout(0.2), head(20))

    def forward(self, x):
        x = self.features(x)
        x = F.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(torch.flatten(x, 1))


class SqueezeExcitation(nn.Module):
    """Hu et al., 2018: factors of the channels from their means, by 1x1 convolutions as torchvision writes it."""

    def __init__(self, channels, squeezed, activation=nn.ReLU, gate=nn.Hardsigmoid):
        super().__init__()
        self.fc1, self.fc2 = conv(channels, squeezed, 1, padding=0, bias=True), conv(squeezed, channels, 1, padding=0, bias=True)
        self.activation, self.gate = activation(), gate()

    def forward(self, x):
        scale = F.adaptive_avg_pool2d(x, 1)
        return self.gate(self.fc2(self.activation(self.fc1(scale)))) * x


class LinearExcitation(nn.Module):
    """The same as its authors write it, by linear layers."""

    def __init__(self, channels, squeezed, expand=True):
        super().__init__()
        self.fc = nn.Sequential(hidden(channels, squeezed), nn.ReLU(), hidden(squeezed, channels), nn.Sigmoid())
        self.expand = expand

    def forward(self, x):
        batch, channels = x.size(0), x.size(1)
        scale = self.fc(x.mean((2, 3))).view(batch, channels, 1, 1)
        return x * (scale.expand_as(x) if self.expand else scale)


class MobileNetV3Block(nn.Module):
    """Howard et al., 2019: expand, depthwise, squeeze and excite, project, add. EfficientNet's blocks are the same with SiLU."""

    def __init__(self, inputs, wide, outputs, kernel=3, stride=1, activation=nn.Hardswish, excitation=SqueezeExcitation):
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        layers = [conv(inputs, wide, 1, padding=0), nn.BatchNorm2d(wide), activation()] if wide != inputs else []
        layers += [depthwise(wide, stride, kernel), nn.BatchNorm2d(wide), activation()]
        layers += [excitation(wide, max(wide // 4, 1))] if excitation else []
        self.block = nn.Sequential(*layers, conv(wide, outputs, 1, padding=0), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.block(x) if self.adds else self.block(x)


class MobileNetV3(nn.Module):
    def __init__(self, **options):
        super().__init__()

        def block(*sizes, **more):
            return MobileNetV3Block(*sizes, **{**options, **more})

        activation = options.get("activation", nn.Hardswish)
        self.features = nn.Sequential(
            image_conv(3, 8, stride=2), nn.BatchNorm2d(8), activation(),
            block(8, 8, 8), block(8, 20, 12, stride=2, activation=nn.ReLU, excitation=None), block(12, 36, 12, 5), block(12, 24, 16, 5),
            conv(16, 40, 1, padding=0), nn.BatchNorm2d(40), activation())
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(hidden(40, 32), activation(), nn.Dropout(0.2), head(32))

    def forward(self, x):
        return self.classifier(torch.flatten(self.mean(self.features(x)), 1))


def efficientnet():
    def excitation(channels, squeezed):
        return SqueezeExcitation(channels, squeezed, nn.SiLU, nn.Sigmoid)

    return MobileNetV3(activation=nn.SiLU, excitation=excitation)


def hard_swish_by_hand(x):
    return x * F.relu6(x + 3) / 6


class LeNet(nn.Module):
    """PyTorch's first tutorial: two convolutions without BatchNorm, hidden linear layers."""

    def __init__(self, neck=lambda x, features: x.view(-1, features), image=1, norm=False):
        super().__init__()
        self.conv1, self.conv2 = image_conv(image, 6, 5, padding=0, bias=True), conv(6, 10, 5, padding=0, bias=True)
        self.fc1, self.fc2, self.fc3 = hidden(160, 24, pixels=16), hidden(24, 14), head(14, 10)
        self.norm = nn.BatchNorm1d(24) if norm else nn.Identity()
        self.channels, self.sliced_features, self.neck = 10, 160, neck

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), (2, 2))
        x = self.neck(x, self.sliced_features)
        x = F.relu(self.norm(self.fc1(x)))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def alexnet():
    return nn.Sequential(
        image_conv(3, 8, 5, 1, 2, bias=True), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        conv(8, 12, bias=True), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
        nn.Dropout(), hidden(12, 16), nn.ReLU(inplace=True), nn.Dropout(), hidden(16, 16), nn.ReLU(inplace=True), head(16))


def wide_flatten(after=nn.Flatten):
    """The classifier reads the whole last map."""
    return nn.Sequential(OrderedDict(
        conv1=image_conv(3, 6, bias=True), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2), conv2=conv(6, 9, bias=True), relu2=nn.ReLU(),
        pool2=nn.AvgPool2d(2), flat=after(), fc=head(9 * 16, pixels=16)))


def strided():
    """Convolutions that stride instead of pooling, BatchNorm after the activation."""
    return nn.Sequential(
        image_conv(3, 8, stride=2, bias=True), nn.ReLU(), nn.BatchNorm2d(8),
        conv(8, 12, stride=2, bias=True), nn.ReLU(), nn.BatchNorm2d(12),
        conv(12, 12, 2, 2, 0, bias=True), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head(12))


class OnPixels(nn.Module):
    """A linear layer on the channels of each pixel."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = hidden(inputs, outputs)

    def forward(self, x):
        return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Difference(nn.Module):
    """What a convolution changes."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.conv2 = conv(inputs, outputs), conv(outputs, outputs)

    def forward(self, x):
        x = self.conv1(x)
        return -(x - self.conv2(x))


def all_convolutional(order, mean=None):
    """A 1x1 convolution gives the scores: before the mean, or after it."""
    last = marked(conv(12, 5, 1, padding=0, bias=True), last=True)
    mean = mean or nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(
        image_conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), conv(8, 12), nn.BatchNorm2d(12), nn.ReLU(),
        *((last, mean) if order == "before" else (mean, last)), nn.Flatten())


def perceptron():
    first = marked(nn.Linear(64, 20), image=True)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), hidden(20, 12), nn.ReLU(), head(12))


class Normalised(nn.Module):
    """Mean and deviation of the data set are part of the network."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.net = Vgg()

    def forward(self, x):
        return self.net((x - self.mean) / self.std)


class MaskedConv2d(nn.Conv2d):
    """The mask is applied in `forward`, and so becomes part of the file."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        rows, columns = torch.arange(self.out_channels)[:, None], torch.arange(self.in_channels)
        mask = columns * self.out_channels <= rows * self.in_channels
        self.register_buffer("mask", mask.float()[:, :, None, None])

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class MaskedLinear(nn.Linear):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        rows, columns = torch.arange(self.out_features)[:, None], torch.arange(self.in_features)
        self.register_buffer("mask", (columns * self.out_features <= rows * self.in_features).float())

    def forward(self, x):
        return F.linear(x, self.weight * self.mask, self.bias)


def masked_conv(inputs, outputs, kernel=3, stride=1, padding=1, bias=False):
    return MaskedConv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=bias)


def masked_wide():
    """So many weights that the product of both constants' lengths is far more than the file could hold."""
    return nn.Sequential(
        image_conv(1, 8, stride=4), nn.ReLU(), nn.Flatten(), hidden(8 * 4, 128, pixels=4), nn.ReLU(), MaskedLinear(128, 136),
        nn.ReLU(), head(136, 2))


DYNAMIC = dict(dynamic_shapes=({0: "batch"},))
LEGACY = dict(dynamo=False)
LEGACY_DYNAMIC = dict(
    dynamo=False, input_names=["input"], output_names=["output"], dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})
EXTERNAL = dict(external_data=True)
TRAINING = dict(dynamo=False, training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False)


@dataclass
class Case:
    """A network and how it is exported: the arguments of `torch.onnx.export` beside the network, the image and the path.

    `batch` is the number of images, 1 unless it is said; `channels_last` is how network and images lie in memory.
    """

    build: Callable[[], nn.Module]
    export: dict = field(default_factory=dict)
    shape: tuple = (3, 16, 16)
    #: What the file's output is: `scores`, `probabilities` or `log-probabilities` of them.
    output: str = "scores"
    #: Written anew by ONNX Runtime after its basic optimization.
    optimized: bool = False
    #: The network is exported in training mode.
    training: bool = False
    #: For a file that is refused: words of the message.
    refused: tuple = ()


def vgg(neck=flatten, export=None, **options):
    case = {name: options.pop(name) for name in ("output", "optimized", "shape", "refused", "training") if name in options}
    return Case(lambda: Vgg(neck, **options), export or {}, **case)


CASES = {
    # As torch.onnx.export writes them by default: weights beside the file, static batch.
    "vgg-default": vgg(export=EXTERNAL),
    "resnet-default": Case(Resnet, EXTERNAL),
    "mobilenet-v2-default": Case(MobileNetV2, EXTERNAL, (3, 24, 24)),
    "vgg-dynamic-batch": vgg(export=DYNAMIC),
    "vgg-legacy": vgg(export=LEGACY),
    "vgg-legacy-dynamic-batch": vgg(export=LEGACY_DYNAMIC),

    # Networks.
    "resnet-view": Case(Resnet, DYNAMIC),
    "resnet-view-legacy-dynamic": Case(Resnet, LEGACY_DYNAMIC),
    "resnet-large-stem": Case(lambda: Resnet(stem="large"), LEGACY, (3, 32, 32)),
    "resnet-pre-activation": Case(lambda: Resnet(PreActivationBlock)),
    "resnet-pre-activation-legacy": Case(lambda: Resnet(PreActivationBlock), LEGACY_DYNAMIC, (3, 20, 20)),
    "separable": Case(Separable, {}, (3, 16, 16)),
    "separable-legacy-dynamic": Case(Separable, LEGACY_DYNAMIC),
    "separable-hardtanh": Case(lambda: Separable(lambda: nn.Hardtanh(0, 4)), LEGACY),
    "mobilenet-v2-legacy": Case(MobileNetV2, LEGACY_DYNAMIC),
    "lenet-view": Case(LeNet, {}, (1, 28, 28)),
    "lenet-view-legacy-dynamic": Case(LeNet, LEGACY_DYNAMIC, (1, 28, 28)),
    "lenet-batch-norm-1d": Case(lambda: LeNet(lambda x, _: x.flatten(1), norm=True), DYNAMIC, (1, 28, 28)),
    "lenet-batch-norm-1d-legacy": Case(
        lambda: LeNet(lambda x, _: x.view(x.shape[0], -1), norm=True), LEGACY_DYNAMIC, (1, 28, 28)),
    "alexnet": Case(alexnet, {}, (3, 24, 24)),
    "alexnet-legacy": Case(alexnet, LEGACY_DYNAMIC, (3, 24, 24)),
    "wide-flatten": Case(wide_flatten),
    "wide-flatten-legacy-view": Case(lambda: wide_flatten(lambda: Apply(lambda x: x.view(x.size(0), -1))), LEGACY_DYNAMIC),
    "strided-norm-after-relu": Case(strided),
    "strided-norm-after-relu-legacy": Case(strided, LEGACY),
    "perceptron": Case(perceptron, {}, (1, 8, 8)),
    "normalised-inside": Case(Normalised),
    "normalised-inside-legacy": Case(Normalised, LEGACY_DYNAMIC),
    "average-pool": vgg(pool=lambda: nn.AvgPool2d(2)),
    "average-pool-padded": vgg(pool=lambda: nn.AvgPool2d(3, 2, 1), shape=(3, 20, 20)),
    "average-pool-padding-not-counted": vgg(pool=lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), export=LEGACY),
    "max-pool-overlapping": vgg(pool=lambda: nn.MaxPool2d(3, 2, 1), shape=(3, 18, 22)),
    "wide-image": vgg(shape=(3, 12, 30)),
    "masked-in-forward": vgg(conv=masked_conv),
    "masked-in-forward-legacy": vgg(conv=masked_conv, export={**LEGACY, "do_constant_folding": False}),
    "masked-many-weights": Case(masked_wide, {}, (1, 8, 8)),

    # From the map to the features.
    "neck-nn-flatten": Case(lambda: nn.Sequential(Vgg().features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head(12))),
    "neck-reshape-shape": vgg(lambda x: x.reshape(x.shape[0], -1), LEGACY_DYNAMIC),
    "neck-reshape-shape-dynamo": vgg(lambda x: x.reshape(x.shape[0], -1), DYNAMIC),
    "neck-reshape-len": vgg(lambda x: x.reshape(len(x), -1), LEGACY_DYNAMIC),
    "neck-view-number": Case(ViewNumber, LEGACY_DYNAMIC),
    "neck-view-number-dynamo": Case(ViewNumber, DYNAMIC),
    "neck-squeeze-negative": vgg(lambda x: x.squeeze(-1).squeeze(-1)),
    "neck-squeeze-negative-legacy": vgg(lambda x: x.squeeze(-1).squeeze(-1), LEGACY_DYNAMIC),
    "neck-squeeze-positive": vgg(lambda x: x.squeeze(3).squeeze(2), LEGACY),
    "neck-squeeze-two": vgg(lambda x: x.squeeze((2, 3)), DYNAMIC),
    "neck-squeeze-bare": vgg(lambda x: x.squeeze(), dict(batch=2)),
    "neck-squeeze-bare-legacy": vgg(lambda x: x.squeeze(), dict(batch=2, **LEGACY)),
    "neck-max-pool-of-size": vgg(lambda x: F.max_pool2d(x, x.size()[2:]).flatten(1), LEGACY, mean=None),
    "neck-mean-mean": vgg(lambda x: x.mean(3).mean(2), mean=None),
    "neck-mean-mean-legacy": vgg(lambda x: x.mean(3).mean(2), LEGACY_DYNAMIC, mean=None),
    "neck-mean-axes": vgg(lambda x: x.mean((2, 3)), DYNAMIC, mean=None),
    "neck-mean-negative-axes": vgg(lambda x: x.mean([-1, -2]), LEGACY, mean=None),
    "neck-mean-keepdim": vgg(lambda x: x.mean((2, 3), keepdim=True).flatten(1), LEGACY, mean=None),
    "neck-amax": vgg(lambda x: torch.amax(x, (2, 3)), mean=None),
    "neck-adaptive-max": vgg(lambda x: torch.flatten(F.adaptive_max_pool2d(x, 1), 1), LEGACY, mean=None),
    "neck-avg-pool-of-size": vgg(lambda x: F.avg_pool2d(x, x.size()[2:]).view(x.size(0), -1), LEGACY, mean=None),
    "neck-index": vgg(lambda x: x[:, :, 0, 0]),
    "neck-index-legacy": vgg(lambda x: x[:, :, 0, 0], LEGACY_DYNAMIC),
    "neck-contiguous-view": vgg(lambda x: x.contiguous().view(x.size(0), x.size(1)), LEGACY_DYNAMIC),
    "neck-unflattened-dropout": vgg(
        lambda x: F.dropout(torch.flatten(F.dropout2d(x, training=False), 1), training=False), LEGACY),
    "classifier-1x1-before-mean": Case(lambda: all_convolutional("before")),
    "classifier-1x1-before-mean-legacy": Case(lambda: all_convolutional("before"), LEGACY_DYNAMIC),
    "classifier-1x1-after-mean": Case(lambda: all_convolutional("after"), LEGACY),
    "classifier-1x1-before-pool-of-size": Case(lambda: all_convolutional("before", nn.AvgPool2d(8))),
    "neck-permute-mean": vgg(lambda x: x.permute(0, 2, 3, 1).mean((1, 2)), mean=None),
    "neck-tokens-mean-legacy": vgg(lambda x: x.flatten(2).transpose(1, 2).mean(1), LEGACY_DYNAMIC, mean=None),
    "head-without-bias": vgg(last=lambda channels: head(channels, bias=False)),

    # Activations and padding.
    "clamp-min": vgg(activation=lambda: Apply(lambda x: x.clamp(min=0))),
    "clamp-min-legacy": vgg(activation=lambda: Apply(lambda x: torch.clamp(x, min=0)), export=LEGACY_DYNAMIC),
    "clamp-both": vgg(activation=lambda: Apply(lambda x: x.clamp(0, 6)), export=LEGACY),
    "maximum-zero": vgg(activation=lambda: Apply(lambda x: torch.maximum(x, torch.zeros(1))), export=LEGACY),
    "relu6-functional": vgg(activation=lambda: Apply(F.relu6)),
    "padding-same": vgg(conv=lambda i, o, bias: conv(i, o, 3, padding="same", bias=bias)),
    "padding-same-legacy": vgg(conv=lambda i, o, bias: conv(i, o, 3, padding="same", bias=bias), export=LEGACY),
    "padding-same-even-kernel": vgg(conv=lambda i, o, bias: conv(i, o, 4, padding="same", bias=bias)),
    "padding-functional": vgg(conv=lambda i, o, bias: nn.Sequential(nn.ZeroPad2d(1), conv(i, o, 3, padding=0, bias=bias))),
    "padding-functional-legacy": vgg(
        conv=lambda i, o, bias: nn.Sequential(Apply(lambda x: F.pad(x, (1, 1, 1, 1))), conv(i, o, 3, padding=0, bias=bias)),
        export=LEGACY_DYNAMIC),
    "padding-of-one-side": vgg(
        conv=lambda i, o, bias: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), conv(i, o, 2, padding=0, bias=bias)), export=LEGACY),
    "ceil-mode-without-effect": vgg(pool=lambda: nn.MaxPool2d(2, ceil_mode=True)),
    "ceil-mode-without-effect-legacy": vgg(pool=lambda: nn.AvgPool2d(2, ceil_mode=True), export=LEGACY),
    "ceil-mode-average": vgg(pool=lambda: nn.AvgPool2d(2, ceil_mode=True), shape=(3, 18, 18)),
    "ceil-mode-with-effect": vgg(pool=lambda: nn.MaxPool2d(2, ceil_mode=True), shape=(3, 18, 18)),
    "padding-of-a-pixel": vgg(
        conv=lambda i, o, bias: nn.Sequential(conv(i, o, 1, padding=1, bias=bias), conv(o, o, 3, padding=0, bias=bias))),
    "padding-twice": vgg(conv=lambda i, o, bias: nn.Sequential(nn.ZeroPad2d(2), conv(i, o, 3, padding=1, bias=bias))),
    "maximum-zeros-like": vgg(
        activation=lambda: Apply(lambda x: torch.max(x, torch.zeros_like(x))), export=DYNAMIC),
    "normalised-expanded": vgg(stem=lambda: Apply(lambda x: x - torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1).expand_as(x)),
                               export=DYNAMIC),
    "normalised-channels-last": vgg(
        stem=lambda: Apply(lambda x: (x.permute(0, 2, 3, 1) - torch.tensor([0.4, 0.5, 0.6])).permute(0, 3, 1, 2))),
    "linear-on-pixels": vgg(conv=lambda i, o, bias: OnPixels(i, o)),
    "every-second-pixel": vgg(pool=lambda: Apply(lambda x: x[:, :, ::2, ::2])),
    "difference": vgg(conv=lambda i, o, bias: Difference(i, o)),
    "cast-to-float": vgg(stem=lambda: Apply(lambda x: x.float())),
    "cast-to-float-legacy": vgg(stem=lambda: Apply(lambda x: x.to(torch.float32)), export=LEGACY),

    "leaky-relu": vgg(activation=nn.LeakyReLU),
    "leaky-relu-legacy": vgg(activation=lambda: nn.LeakyReLU(0.2), export=LEGACY_DYNAMIC),
    "sigmoid-inside": vgg(activation=nn.Sigmoid),
    "sigmoid-inside-legacy": vgg(activation=nn.Sigmoid, export=LEGACY_DYNAMIC),
    "tanh": vgg(activation=nn.Tanh),
    "tanh-legacy": vgg(activation=nn.Tanh, export=LEGACY_DYNAMIC),
    "hard-sigmoid": vgg(activation=nn.Hardsigmoid),
    "hard-sigmoid-legacy": vgg(activation=nn.Hardsigmoid, export=LEGACY_DYNAMIC),
    "hard-swish": vgg(activation=nn.Hardswish),
    "hard-swish-legacy": vgg(activation=nn.Hardswish, export=LEGACY_DYNAMIC),
    "hard-swish-opset-13-legacy": vgg(activation=nn.Hardswish, export=dict(opset_version=13, **LEGACY)),
    "hard-swish-by-hand": vgg(activation=lambda: Apply(hard_swish_by_hand)),
    "hard-swish-by-hand-legacy": vgg(activation=lambda: Apply(hard_swish_by_hand), export=LEGACY),
    "silu": vgg(activation=nn.SiLU),
    "silu-legacy": vgg(activation=nn.SiLU, export=LEGACY_DYNAMIC),
    "silu-opset-newest": vgg(activation=nn.SiLU, export=dict(opset_version=25)),
    "silu-by-hand": vgg(activation=lambda: Apply(lambda x: x * torch.sigmoid(x))),
    "gelu": vgg(activation=nn.GELU),
    "gelu-opset-18": vgg(activation=nn.GELU, export=dict(opset_version=18)),
    "gelu-legacy": vgg(activation=nn.GELU, export=LEGACY_DYNAMIC),
    "gelu-opset-18-legacy": vgg(activation=nn.GELU, export=dict(opset_version=18, **LEGACY)),
    "gelu-tanh": vgg(activation=lambda: nn.GELU(approximate="tanh")),
    "gelu-tanh-opset-18": vgg(activation=lambda: nn.GELU(approximate="tanh"), export=dict(opset_version=18)),
    "gelu-tanh-opset-13-legacy": vgg(
        activation=lambda: nn.GELU(approximate="tanh"), export=dict(opset_version=13, **LEGACY)),
    "gelu-tanh-legacy": vgg(activation=lambda: nn.GELU(approximate="tanh"), export=LEGACY),
    "optimized-gelu-legacy": vgg(activation=nn.GELU, export=dict(opset_version=18, **LEGACY), optimized=True),

    # Dilation, and squeeze-and-excitation.
    "dilation": vgg(conv=lambda i, o, bias: conv(i, o, 3, padding=2, dilation=2, bias=bias)),
    "dilation-legacy": vgg(conv=lambda i, o, bias: conv(i, o, 3, padding=(2, 3), dilation=(2, 3), bias=bias), export=LEGACY_DYNAMIC),
    "dilation-of-the-image": vgg(image_conv=lambda i, o, bias: image_conv(i, o, 3, 1, 2, dilation=2, bias=bias)),
    "dilation-padding-same": vgg(conv=lambda i, o, bias: conv(i, o, 3, padding="same", dilation=2, bias=bias)),
    "mobilenet-v3": Case(MobileNetV3, {}, (3, 24, 24)),
    "mobilenet-v3-dynamic": Case(MobileNetV3, DYNAMIC, (3, 24, 24)),
    "mobilenet-v3-legacy": Case(MobileNetV3, LEGACY_DYNAMIC, (3, 24, 24)),
    "mobilenet-v3-opset-13-legacy": Case(MobileNetV3, dict(opset_version=13, **LEGACY), (3, 24, 24)),
    "mobilenet-v3-unoptimised": Case(MobileNetV3, dict(optimize=False, **DYNAMIC), (3, 24, 24)),
    "optimized-mobilenet-v3": Case(MobileNetV3, LEGACY_DYNAMIC, (3, 24, 24), optimized=True),
    "mobilenet-v3-linear-excitation": Case(lambda: MobileNetV3(excitation=LinearExcitation), DYNAMIC, (3, 24, 24)),
    "mobilenet-v3-linear-excitation-legacy": Case(
        lambda: MobileNetV3(excitation=LinearExcitation), LEGACY_DYNAMIC, (3, 24, 24)),
    "mobilenet-v3-linear-excitation-broadcast": Case(
        lambda: MobileNetV3(excitation=lambda c, s: LinearExcitation(c, s, expand=False)), {}, (3, 24, 24)),
    "efficientnet": Case(efficientnet, {}, (3, 24, 24)),
    "efficientnet-legacy": Case(efficientnet, LEGACY_DYNAMIC, (3, 24, 24)),
    "efficientnet-opset-18": Case(efficientnet, dict(opset_version=18, **DYNAMIC), (3, 24, 24)),

    # The end.
    "softmax": vgg(tail=lambda x: torch.softmax(x, 1), output="probabilities"),
    "softmax-legacy": vgg(tail=lambda x: F.softmax(x, dim=-1), export=LEGACY_DYNAMIC, output="probabilities"),
    "log-softmax": vgg(tail=lambda x: F.log_softmax(x, dim=1), output="log-probabilities"),
    "log-softmax-legacy": vgg(tail=lambda x: nn.LogSoftmax(dim=-1)(x), export=LEGACY, output="log-probabilities"),

    # How it was exported.
    "unoptimised-vgg": vgg(export=dict(optimize=False)),
    "unoptimised-resnet": Case(Resnet, dict(optimize=False, **DYNAMIC)),
    "unoptimised-separable": Case(Separable, dict(optimize=False)),
    "unoptimised-lenet": Case(LeNet, dict(optimize=False, **DYNAMIC), (1, 28, 28)),
    "unoptimised-mean-mean": vgg(lambda x: x.mean(3).mean(2), dict(optimize=False), mean=None),
    "unoptimised-index": vgg(lambda x: x[:, :, 0, 0], dict(optimize=False, **DYNAMIC)),
    "unoptimised-clamp-min": vgg(activation=lambda: Apply(lambda x: x.clamp(min=0)), export=dict(optimize=False)),
    "unoptimised-softmax": vgg(tail=lambda x: torch.softmax(x, 1), export=dict(optimize=False), output="probabilities"),
    "unoptimised-masked": vgg(conv=masked_conv, export=dict(optimize=False)),
    "no-constant-folding-legacy": Case(
        Resnet, dict(do_constant_folding=False, training=torch.onnx.TrainingMode.EVAL, **LEGACY_DYNAMIC)),
    "preserved-mode-legacy": Case(
        Resnet, dict(do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE, **LEGACY_DYNAMIC)),
    "initializers-as-inputs-legacy": vgg(export=dict(keep_initializers_as_inputs=True, **LEGACY)),
    "opset-13-legacy": Case(Resnet, dict(opset_version=13, **LEGACY_DYNAMIC)),
    "opset-14-legacy": vgg(lambda x: x.mean((2, 3)), dict(opset_version=14, **LEGACY), mean=None),
    "opset-16-legacy": Case(MobileNetV2, dict(opset_version=16, **LEGACY)),
    "opset-18-legacy": vgg(lambda x: x.mean((2, 3)), dict(opset_version=18, **LEGACY), mean=None),
    "opset-20-legacy": Case(LeNet, dict(opset_version=20, **LEGACY), (1, 28, 28)),
    "opset-17": Case(LeNet, dict(opset_version=17, **DYNAMIC), (1, 28, 28)),
    "opset-18": vgg(export=dict(opset_version=18)),
    "opset-20": Case(Resnet, dict(opset_version=20, **DYNAMIC)),
    "opset-21": vgg(lambda x: x.mean((2, 3)), dict(opset_version=21), mean=None),
    "opset-22": Case(Separable, dict(opset_version=22, **DYNAMIC)),
    "opset-23": Case(MobileNetV2, dict(opset_version=23)),
    "opset-newest-dynamo": vgg(export=dict(opset_version=25)),
    "batch-of-four": vgg(export=dict(batch=4)),
    "channels-last-memory": vgg(export=dict(channels_last=True)),
    "channels-last-memory-dynamic": Case(Resnet, dict(channels_last=True, **DYNAMIC)),
    "channels-last-memory-legacy": Case(Resnet, dict(channels_last=True, **LEGACY_DYNAMIC)),

    # After ONNX Runtime's basic optimization.
    "optimized-vgg": vgg(optimized=True),
    "optimized-resnet-legacy": Case(Resnet, LEGACY_DYNAMIC, optimized=True),
    "optimized-separable": Case(Separable, DYNAMIC, optimized=True),
    "optimized-mean-mean": vgg(lambda x: x.mean(3).mean(2), LEGACY, mean=None, optimized=True),
    "optimized-softmax-view": vgg(lambda x: x.view(x.size(0), -1), LEGACY_DYNAMIC, tail=lambda x: torch.softmax(x, 1),
                                  output="probabilities", optimized=True),
    "optimized-normalised": Case(Normalised, optimized=True),

    # Refused, with words that help.
    "refused-training-mode": vgg(export=TRAINING, training=True, refused=("eval()",)),
    "refused-training-mode-dynamo": Case(lambda: nn.Sequential(Vgg(), nn.Dropout()), {}, training=True, refused=("eval()",)),
    "refused-softmax-inside": vgg(lambda x: torch.softmax(flatten(x), 1), refused=("softmax may only be the last layer",)),
    "refused-sigmoid": vgg(tail=torch.sigmoid, refused=("Sigmoid",)),
    "refused-one-output": Case(lambda: Vgg(classes=1, tail=lambda x: x), refused=("class",)),
    "refused-index-of-a-larger-map": vgg(lambda x: x[:, :, 0, 0], mean=None, refused=()),
    "refused-half-precision": Case(lambda: marked(Vgg(), half_precision=True), refused=("float32",)),
    "refused-channels-last": Case(
        lambda: nn.Sequential(Apply(lambda x: x.permute(0, 3, 1, 2)), Vgg()), LEGACY, (16, 16, 3), refused=()),
    "refused-channels-last-memory-of-two": vgg(export=dict(channels_last=True, batch=2), refused=("contiguous",)),
    "refused-elu": vgg(activation=nn.ELU, refused=("Elu", "LeakyReLU")),
    "refused-reflected-padding": vgg(stem=lambda: nn.ReflectionPad2d(1), refused=("Pad",)),
    "refused-group-norm": vgg(norm=lambda channels: nn.GroupNorm(2, channels), export=LEGACY, refused=()),
    "refused-dense": Case(lambda: marked(Vgg(), dense=True), refused=("not triangular",)),
    "refused-two-outputs": vgg(tail=lambda x: (x, torch.softmax(x, 1)), refused=("outputs",)),
}
