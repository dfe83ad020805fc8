"""The grain: noise that is the same on every machine and for every picture, out of which plain grounds get strokes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impasto.networks.layers import MULTIPLE

#: Pixels after which the grain repeats, in both directions; a multiple of :data:`MULTIPLE`.
PERIOD = 512


def noise() -> Tensor:
    """One period of the grain, (PERIOD, PERIOD): independent numbers, mean 0 and variance 1, on every machine the same.

    Of numpy's generators only the bits are promised never to change, so the numbers are made of them here.
    """
    bits = np.random.PCG64(0).random_raw(PERIOD**2) >> np.uint64(40)
    numbers = (bits.astype(np.float32) / 2**24 - 0.5) * np.float32(12**0.5)
    return torch.from_numpy(numbers.reshape(PERIOD, PERIOD))


def cut_grain(period: Tensor, image: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """The grain (1, 1, H, W) for an image (B, 3, H, W) whose ``corner`` is at that row and column of a picture."""
    for axis, start in enumerate(corner):
        places = torch.arange(image.shape[axis + 2], device=period.device)
        period = period.index_select(axis, (places + start) % PERIOD)
    return period[None, None]


def grain_corner(seed: int) -> tuple[int, int]:
    """Where the grain of a picture begins, (row, column) in its period; 0 for 0, and 1,024 seeds until it repeats."""
    places = PERIOD // MULTIPLE
    # Any odd number would do; with this one, neighbors are far from each other.
    row, column = divmod(397 * seed % places**2, places)
    return MULTIPLE * row, MULTIPLE * column
