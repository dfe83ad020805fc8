"""What the auto-encoder is made of: convolutions without normalization, and what is done to maps and pictures."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Sides are padded to a multiple of this; the corners of tiles have to be multiples of it.
MULTIPLE = 16
SLOPE = 0.2  # of leaky ReLU, below zero
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # undoes what it takes of the variance


class Weight(nn.Module):
    """A matrix or kernel with entries of order 1, scaled by its fan-in when it is used.

    Else Adam's steps, as long for every entry, would change wide layers far more than narrow ones (Karras et al. 2018,
    "equalized learning rate", arXiv:1710.10196).

    Args:
        shape: outputs, inputs and what a kernel has besides.
        gain: keeps the variance that an activation takes away.
        start: what the entries are multiplied by in the beginning.
    """

    def __init__(self, *shape: int, gain: float = 1.0, start: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(start * torch.randn(shape))
        self.scale = gain / math.prod(shape[1:]) ** 0.5

    def forward(self) -> Tensor:
        """As it is used."""
        return self.scale * self.weight


class Linear(nn.Module):
    """A matrix and an offset."""

    def __init__(self, inputs: int, outputs: int, gain: float = GAIN) -> None:
        super().__init__()
        self.matrix, self.bias = Weight(outputs, inputs, gain=gain), nn.Parameter(torch.zeros(outputs))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, C) -> (B, C')."""
        return F.linear(rows, self.matrix(), self.bias)


class Convolution(nn.Module):
    """A 3 × 3 convolution that continues the picture beyond its border, so that no frame appears."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, gain: float = GAIN, start: float = 1.0) -> None:
        super().__init__()
        self.kernel = Weight(outputs, inputs, 3, 3, gain=gain, start=start)
        self.bias, self.stride = nn.Parameter(torch.zeros(outputs)), stride

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        return F.conv2d(F.pad(features, (1, 1, 1, 1), mode="replicate"), self.kernel(), self.bias, self.stride)


class Block(nn.Module):
    """Residual block whose hidden channels the style scales and shifts."""

    def __init__(self, channels: int, hints: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.second = Convolution(channels, channels, start=0.1)
        self.modulation = Linear(hints, 2 * channels, gain=0.3)

    def forward(self, features: Tensor, hint: Tensor) -> Tensor:
        """Features (B, C, H, W) and hint (B, hints) -> (B, C, H, W)."""
        scale, shift = self.modulation(hint)[:, :, None, None].chunk(2, dim=1)
        hidden = F.leaky_relu(torch.addcmul(shift, self.first(features), 1 + scale), SLOPE)
        changed: Tensor = features + self.second(hidden)
        return changed


def pad(image: Tensor) -> Tensor:
    """Continue the picture to the right and below until its sides are multiples of :data:`MULTIPLE`."""
    return F.pad(image, (0, -image.shape[-1] % MULTIPLE, 0, -image.shape[-2] % MULTIPLE), mode="replicate")


def enlarge(features: Tensor, times: int = 2) -> Tensor:
    """Bilinear: every output pixel is made the same way, so no checkerboard appears."""
    return F.interpolate(features, scale_factor=float(times), mode="bilinear", align_corners=False)


def apply_map(features: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """A x + b at every position of (B, C, H, W), with one matrix (B, C', C) and offset (B, C') a picture."""
    rows = torch.baddbmm(offset[..., None], matrix, features.flatten(2))
    return rows.view(*rows.shape[:2], *features.shape[2:])


class _Clamp(torch.autograd.Function):
    """Clamps to [0, 1]; a pixel outside still feels what pulls it back, or it would stay there for good."""

    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        ctx.save_for_backward(image)
        return image.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (image,) = ctx.saved_tensors
        (gradient,) = gradients
        outwards = ((image < 0) & (gradient > 0)) | ((image > 1) & (gradient < 0))
        return gradient.masked_fill(outwards, 0)


def clamp(image: Tensor, training: bool) -> Tensor:
    """To [0, 1]."""
    clamped: Tensor = _Clamp.apply(image) if training else image.clamp(0, 1)
    return clamped
