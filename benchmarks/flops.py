"""How much VGG-19 has to compute for one step of the descent, counted from its architecture."""

from __future__ import annotations

from impasto.layers import STYLE_LAYERS, VGG19_CHANNELS


def forward(width: int, height: int) -> int:
    """FLOP of the convolutions (3 × 3) up to relu5_1 for one picture; a multiplication and an addition count as two."""
    total, before = 0, 3
    for layer, channels in VGG19_CHANNELS.items():
        poolings = int(layer[4]) - 1
        total += 2 * 9 * before * channels * (width >> poolings) * (height >> poolings)
        before = channels
        if layer == STYLE_LAYERS[-1]:
            break
    return total


def step(width: int, height: int) -> int:
    """FLOP of a step: forward, and backward to the pixels, which for a convolution is as much again.

    The Gram matrices, a twentieth of it, and everything else are left out: a share of the machine's rate that is
    reckoned with this is a little too low.
    """
    return 2 * forward(width, height)
