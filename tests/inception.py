"""The Inception network of NVIDIA's TorchScript file, with random weights: the same layers and names, saved alike."""

import torch
from torch import nn


class Convolution(nn.Module):
    """A convolution, its normalisation without a scale, and a ReLU."""

    def __init__(self, inside: int, outside: int, kernel, stride: int = 1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=0.001)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")  # the activations keep their size

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


def tower(inside, *layers):
    """Convolutions (width, kernel, padding[, stride]) in a row, named as NVIDIA names them."""
    found = nn.Sequential()
    for number, (width, kernel, padding, *stride) in enumerate(layers):
        found.add_module(
            f"conv_{number}" if number else "conv", Convolution(inside, width, kernel, *stride or [1], padding)
        )
        inside = width
    return found


def pooled(inside, width, pool):
    return nn.Sequential(pool, Convolution(inside, width, 1))


def average():
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


class Beside(nn.Module):
    """Branches of one input, side by side in the channels."""

    def __init__(self, conv, tower, tower_1, tower_2):
        super().__init__()
        self.conv, self.tower, self.tower_1, self.tower_2 = conv, tower, tower_1, tower_2

    def forward(self, x):
        return torch.cat([self.conv(x), self.tower(x), self.tower_1(x), self.tower_2(x)], 1)


class Reduction(nn.Module):
    """Branches that halve the side, beside a pooling."""

    def __init__(self, conv, tower):
        super().__init__()
        self.conv, self.tower, self.pool = conv, tower, nn.MaxPool2d(3, 2)

    def forward(self, x):
        return torch.cat([self.conv(x), self.tower(x), self.pool(x)], 1)


class Fork(nn.Module):
    """A tower whose end is two convolutions side by side."""

    def __init__(self, stem, width):
        super().__init__()
        self.stem = stem
        self.mixed_conv, self.mixed_conv_1 = (
            Convolution(width, width, kernel, 1, padding) for kernel, padding in (((1, 3), (0, 1)), ((3, 1), (1, 0)))
        )

    def forward(self, x):
        x = self.stem(x)
        return torch.cat([self.mixed_conv(x), self.mixed_conv_1(x)], 1)


def block_35(inside, pool, of):
    conv = Convolution(inside, of(64), 1)
    towers = (
        tower(inside, (of(48), 1, 0), (of(64), 5, 2)),
        tower(inside, (of(64), 1, 0), (of(96), 3, 1), (of(96), 3, 1)),
    )
    return Beside(conv, *towers, pooled(inside, pool, average()))


def block_17(inside, width, of):
    row, column = ((1, 7), (0, 3)), ((7, 1), (3, 0))
    one = tower(inside, (width, 1, 0), (width, *row), (of(192), *column))
    two = tower(inside, (width, 1, 0), (width, *column), (width, *row), (width, *column), (of(192), *row))
    return Beside(Convolution(inside, of(192), 1), one, two, pooled(inside, of(192), average()))


def block_8(inside, pool, of):
    one = Fork(tower(inside, (of(384), 1, 0)), of(384))
    two = Fork(tower(inside, (of(448), 1, 0), (of(384), 3, 1)), of(384))
    return Beside(Convolution(inside, of(320), 1), one, two, pooled(inside, of(192), pool))


class Inception(nn.Module):
    """Inception-v3 as it was trained in 2015. divide: divides the number of channels of every layer."""

    def __init__(self, divide=1, classes=1008):
        super().__init__()
        of = lambda width: width // divide  # noqa: E731
        self.layers = nn.Sequential()
        blocks = {
            "conv": Convolution(3, of(32), 3, 2),
            "conv_1": Convolution(of(32), of(32), 3),
            "conv_2": Convolution(of(32), of(64), 3, 1, 1),
            "pool0": nn.MaxPool2d(3, 2),
            "conv_3": Convolution(of(64), of(80), 1),
            "conv_4": Convolution(of(80), of(192), 3),
            "pool1": nn.MaxPool2d(3, 2),
            "mixed": block_35(of(192), of(32), of),
            "mixed_1": block_35(of(256), of(64), of),
            "mixed_2": block_35(of(288), of(64), of),
            "mixed_3": Reduction(
                Convolution(of(288), of(384), 3, 2),
                tower(of(288), (of(64), 1, 0), (of(96), 3, 1), (of(96), 3, 0, 2)),
            ),
            **{f"mixed_{4 + i}": block_17(of(768), of(width), of) for i, width in enumerate((128, 160, 160, 192))},
            "mixed_8": Reduction(
                tower(of(768), (of(192), 1, 0), (of(320), 3, 0, 2)),
                tower(
                    of(768), (of(192), 1, 0), (of(192), (1, 7), (0, 3)), (of(192), (7, 1), (3, 0)), (of(192), 3, 0, 2)
                ),
            ),
            "mixed_9": block_8(of(1280), average(), of),
            "mixed_10": block_8(of(2048), nn.MaxPool2d(3, 1, 1), of),
            "pool2": nn.AvgPool2d(8),
        }
        for name, block in blocks.items():
            self.layers.add_module(name, block)
        self.output = nn.Linear(of(2048), classes)

    def forward(self, img, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False):
        features = self.layers((img - 128) / 128).flatten(1)
        if return_features:
            return features
        logits = features @ self.output.weight.T if no_output_bias else self.output(features)
        return logits.softmax(1)


def write_inception(path, divide=1):
    """Write the network as TorchScript. Returns it."""
    torch.manual_seed(0)
    network = Inception(divide).eval()
    torch.jit.script(network).save(str(path))
    return network
