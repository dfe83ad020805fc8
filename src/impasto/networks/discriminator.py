"""The critic: tells painted pictures from real paintings, patch by patch.

A patch discriminator (Isola et al. 2017, arXiv:1611.07004) with spectral normalization and hinge losses (Miyato et al.
2018, arXiv:1802.05957): the normalization bounds its slope, so that its gradient stays useful when it is always right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from impasto.networks.layers import SLOPE


class DownBlock(nn.Module):
    """Half the side: a 4 × 4 convolution of stride 2 and leaky ReLU. The discriminator of faces has the same blocks.

    The kernel is a multiple of the stride, so that all pixels weigh the same in the gradient.

    ``spectral`` normalizes the weights; where the loss bounds the gradient itself, that is not needed.
    """

    def __init__(self, inputs: int, outputs: int, *, spectral: bool = True) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, padding_mode="replicate")
        self.convolution = spectral_norm(convolution) if spectral else convolution

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / 2, W / 2), rounded down."""
        return F.leaky_relu(self.convolution(features), SLOPE)


class Critic(nn.Module, PyTorchModelHubMixin, library_name="impasto", license="mit"):
    """A number for every patch of a picture: above zero where it looks painted by a person.

    Args:
        widths: channels after every halving.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 128)) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(DownBlock(wide, wider) for wide, wider in zip((3, *widths[:-1]), widths, strict=True))
        )
        self.answer = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1, padding_mode="replicate"))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 1, H / 16, W / 16) of ``image`` (B, 3, H, W; sRGB in [0, 1]; 16 pixels a side at least)."""
        logits: Tensor = self.answer(self.blocks(2 * image - 1))
        return logits


def critic_loss(real: Tensor, painted: Tensor) -> Tensor:
    """Hinge loss of logits of any shape: real paintings above 1, painted pictures below -1, and no reward beyond."""
    return F.relu(1 - real).mean() + F.relu(1 + painted).mean()


def painter_loss(painted: Tensor) -> Tensor:
    """The discriminator term of the painter: it wants high logits for what it painted."""
    return -painted.mean()


@torch.no_grad()
def verdicts(critic: nn.Module, images: Tensor) -> Tensor:
    """What the critic says of every picture as a whole, (B,): the mean of its patches, real where above zero."""
    said: Tensor = critic(images).flatten(1).mean(1)
    return said
