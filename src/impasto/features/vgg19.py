"""VGG-19 (Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.convert import read_weights
from impasto.features.extractor import Chain
from impasto.features.layouts import CONVOLUTIONS
from impasto.layers import VGG19_CHANNELS

POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"max": F.max_pool2d, "avg": F.avg_pool2d}


class VGG19(Chain):
    """16 convolutions, 3 × 3 with zero padding, each followed by a ReLU; 2 × 2 pooling between the five stages.

    Pooling drops the last row or column of an odd side, as in Keras and in both PyTorch ports.

    Args:
        pooling: ``max``, as the network was trained, or ``avg``, which Gatys et al. found to paint a little smoother.

    Raises:
        ImpastoError: another pooling.
    """

    name = "vgg19"
    layers = tuple(VGG19_CHANNELS)
    architecture = tuple(VGG19_CHANNELS.items())

    def __init__(self, pooling: str = "max") -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ImpastoError(f"pooling: '{pooling}' is unknown; give max or avg")
        self.pooling = pooling
        self.convolutions = nn.ModuleDict(
            {name: nn.Conv2d(width, channels, 3, padding=1) for name, (channels, width) in CONVOLUTIONS.items()}
        )
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_file(cls, path: str | Path, pooling: str = "max", convention: str | None = None) -> VGG19:
        """Read a file of :func:`impasto.features.convert.read_weights`, which also says what ``convention`` is.

        Raises:
            ImpastoError: the file is missing, cut, tampered with, not VGG-19, or does not tell its convention.
        """
        weights = read_weights(path, convention)
        with torch.device("meta"):  # There is never a second set of parameters.
            extractor = cls(pooling)
        state = {f"convolutions.{key}": weights.tensors[key].float() for key in weights.tensors if "." in key}
        scale = weights.tensors["scale"].view(1, 3, 1, 1)
        state["convolutions.conv1_1.weight"] = (weights.tensors["conv1_1.weight"].double() * scale).float()
        state["mean"] = weights.tensors["mean"].float().view(1, 3, 1, 1)
        extractor.load_state_dict(state, assign=True)
        # The layout of the maps: else every convolution would convert its weights at every step.
        extractor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        extractor.sha256 = weights.sha256
        return extractor

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`Extractor.forward`."""
        return self.maps(image, layers)

    def convolution(self, name: str) -> nn.Conv2d:
        """See :meth:`Chain.convolution`."""
        return cast(nn.Conv2d, self.convolutions[name.replace("relu", "conv")])

    def pool(self, maps: Tensor) -> Tensor:
        """See :meth:`Chain.pool`."""
        return POOLINGS[self.pooling](maps, 2)
