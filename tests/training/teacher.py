"""What the tests of the student share: a teacher that is quick to learn from, and a narrow architecture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.features.compact import PIXEL_MEAN
from impasto.features.extractor import Extractor
from impasto.layers import VGG19_CHANNELS

#: The shipped network, but narrow.
NARROW = (
    ("relu1_1", 64),
    ("relu1_2", 8),
    ("relu2_1", 12),
    ("relu3_1", 16),
    ("relu3_2", 16),
    ("relu4_1", 16),
    ("relu4_2", 16),
    ("relu5_1", 16),
)


class Teacher(Extractor):
    """One random convolution a layer, with VGG-19's channels and strides: something to learn in no time."""

    name = "teacher"
    layers = tuple(VGG19_CHANNELS)

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        found = {}
        for layer in layers:
            generator = torch.Generator().manual_seed(int(layer[4]))
            kernel = torch.randn(VGG19_CHANNELS[layer], 3, 3, 3, generator=generator)
            pooled = F.avg_pool2d(image - torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), 2 ** (int(layer[4]) - 1))
            found[layer] = F.conv2d(pooled, kernel, torch.full((len(kernel),), 0.05), padding=1).relu()
        return found
