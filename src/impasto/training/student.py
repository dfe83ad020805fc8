"""The compact extractor as it trains, and the file that it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.compact import ARCHITECTURE, FORMAT, LAYERS, PIXEL_MEAN, Architecture, Compact, walk
from impasto.files.atomic import write_atomically
from impasto.files.cards import halved, pack
from impasto.layers import VGG19_CHANNELS

#: The last layer that does not train, as training would not improve it; and those of the metric that do.
FROZEN = "relu2_1"
TAUGHT = tuple(layer for layer in LAYERS if layer > FROZEN)


class Student(nn.Module):
    """Convolutions, each but the first with batch norm, and projections. Down to :data:`FROZEN` nothing trains."""

    mean: Tensor
    scales: Tensor

    def __init__(self, architecture: Architecture = ARCHITECTURE) -> None:
        super().__init__()
        self.architecture = tuple(architecture)
        self.convolutions, self.norms, self.projections = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        width = 3
        for name, channels in self.architecture:
            stem = width == 3
            self.convolutions[name] = nn.Conv2d(width, channels, 3, padding=1, bias=stem)
            if not stem:
                self.norms[name] = nn.BatchNorm2d(channels)
            if name in LAYERS:
                self.projections[name] = nn.Conv2d(channels, VGG19_CHANNELS[name], 1, bias=False)
            width = channels
        for part in (self.convolutions, self.norms, self.projections):
            for name, module in part.items():
                module.requires_grad_(name > FROZEN)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        # Root mean square of the teacher's features: the unit of the projections.
        self.register_buffer("scales", torch.ones(len(LAYERS)))

    def train(self, mode: bool = True) -> Student:
        """As in torch, but batch norm of the frozen layers keeps its statistics."""
        super().train(mode)
        for name, norm in self.norms.items():
            norm.train(mode and name > FROZEN)
        return self

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features F at every layer, before the projection."""
        maps = walk(self.architecture, image - self.mean, self.convolve)
        return {name: features for name, features in maps if name in LAYERS}

    def convolve(self, name: str, hidden: Tensor) -> Tensor:
        """The convolution of that name, and its batch norm."""
        hidden = self.convolutions[name](hidden)
        return self.norms[name](hidden) if name in self.norms else hidden

    def see(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """P F at every layer, (B, channels of VGG-19, H, W): the student's estimate of the teacher's maps."""
        features = self(images)
        return {layer: F.conv2d(features[layer], self.projection(layer)[:, :, None, None]) for layer in layers}

    def projection(self, layer: str) -> Tensor:
        """P of ``layer`` (channels of VGG-19, channels of the student)."""
        return cast(nn.Conv2d, self.projections[layer]).weight[:, :, 0, 0] * self.scales[LAYERS.index(layer)]


def fold(student: Student) -> dict[str, Tensor]:
    """The tensors of the shipped file, in float64: batch norm folded into the convolutions, and the projections."""
    tensors = {}
    for name, module in student.convolutions.items():
        convolution = cast(nn.Conv2d, module)
        weight = convolution.weight.detach().double()
        if name in student.norms:
            norm = cast(nn.BatchNorm2d, student.norms[name])
            gain = norm.weight.detach().double() / (cast(Tensor, norm.running_var).double() + norm.eps).sqrt()
            weight = weight * gain.view(-1, 1, 1, 1)
            bias = norm.bias.detach().double() - cast(Tensor, norm.running_mean).double() * gain
        else:
            bias = cast(Tensor, convolution.bias).detach().double()
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight, bias
    for layer in LAYERS:
        tensors[f"{layer}.projection"] = student.projection(layer).detach().double()
    return tensors


def export(student: Student, path: str | Path, card: Mapping[str, Any]) -> None:
    """Write the file that :class:`impasto.features.compact.Compact` reads (fp16), with ``card`` in its metadata."""
    about = {"format": FORMAT, "architecture": student.architecture, **card}
    write_atomically(Path(path), pack(halved(fold(student)), about))


def read_start(path: str | Path, architecture: Architecture) -> dict[str, Tensor]:
    """The weights of an earlier training. Raises ImpastoError for a damaged file or another architecture."""
    if Compact.from_file(path).architecture != tuple(architecture):
        raise ImpastoError(f"{path} holds a network of other widths; leave it out", setting="start_from")
    return load_file(path)
