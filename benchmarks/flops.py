"""How much VGG-19 has to compute for one step of the descent, counted from its architecture."""

from __future__ import annotations

#: Channels of the convolutions (3 × 3) of each stage up to relu5_1; a pooling that halves both sides lies between two.
STAGES = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))


def forward(width: int, height: int) -> int:
    """FLOP of the convolutions, a multiplication and an addition counted as two; for one picture of this size."""
    total, before = 0, 3
    for stage, channels in enumerate(STAGES):
        if stage:
            width, height = width // 2, height // 2
        for after in channels:
            total += 2 * 9 * before * after * width * height
            before = after
    return total


def step(width: int, height: int) -> int:
    """FLOP of a step: forward, and backward to the pixels, which for a convolution is as much again.

    The Gram matrices, a twentieth of it, and everything else are left out: a share of the machine's rate that is
    reckoned with this is a little too low.
    """
    return 2 * forward(width, height)
