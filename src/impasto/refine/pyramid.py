"""Coarse to fine: which sizes a picture passes through, and what it takes along from one to the next.

A step at 128 px costs a sixteenth of one at 512 px, and moves larger strokes. The idea of several resolutions is in
Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style Transfer" (arXiv:1611.07865), section 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.color import luminance
from impasto.images import fit_size, resize
from impasto.refine.shelf import StoredMaps

#: The picture starts at the size of the form size / 2^k that lies between this and its double.
SMALLEST = 48
#: Default steps by the longest side of a scale; between two entries, in between.
STEPS = {64: 90, 128: 60, 256: 46, 512: 28, 1024: 16, 2048: 10, 4096: 6, 8192: 4}
#: Where more steps than the default ones are asked for, coarse scales take at most this many times theirs, and the
#: finest scale the rest.
ENOUGH = 1.5
#: A refinement that begins with a network's picture leaves out the scales below this longest side, and takes this share
#: of the default steps at the others.
HYBRID_SMALLEST, HYBRID_SHARE = 96, 0.4
#: Rows that are drawn at a time.
ROWS = 256


@dataclass(frozen=True)
class Scale:
    """One level of the pyramid: ``steps`` steps at ``longest`` pixels on the longer side."""

    longest: int
    steps: int


def size_of(maps: Tensor | StoredMaps) -> tuple[int, int]:
    """Height and width."""
    return maps.shape[-2], maps.shape[-1]


def fit(image: Tensor, longest: int) -> Tensor:
    """The image (1, 3, H, W) with its longer side ``longest`` pixels long."""
    return resize(image, fit_size(*size_of(image), longest))


def fit_style(style: Tensor, longest: int, smallest: int) -> Tensor:
    """The painting with its longer side ``longest`` pixels long, or longer if the shorter one is below ``smallest``."""
    sides = size_of(style)
    return fit(style, max(longest, math.ceil(smallest * max(sides) / min(sides))))


def default_steps(longest: int) -> int:
    """How many steps pay at a scale: many where they are cheap, few where they are dear."""
    return round(float(np.interp(math.log2(longest), [math.log2(side) for side in STEPS], list(STEPS.values()))))


def plan(size: int, steps: int | None = None, smallest: int = SMALLEST) -> tuple[Scale, ...]:
    """The scales for a picture of ``size`` pixels on its longer side, coarsest first.

    Args:
        size: longest side of the finished picture, at least 1.
        smallest: the coarsest scale is at least as long as this.
        steps: in all, shared out like the default ones; many more mostly go to the finest scale. None for the default.
            Every scale gets at least one as long as there are enough, the last scale always.

    Example:
        >>> [(s.longest, s.steps) for s in plan(512)]
        [(64, 90), (128, 60), (256, 46), (512, 28)]
    """
    sizes = [size]
    while sizes[0] / 2 >= max(SMALLEST, smallest):
        sizes.insert(0, round(sizes[0] / 2))
    counts = [default_steps(longest) for longest in sizes]
    if steps is not None:
        sizes, counts = sizes[-steps:], counts[-steps:]
        factor = steps / sum(counts)
        if factor >= ENOUGH:
            counts = [int(count * ENOUGH) for count in counts]
            counts[-1] += steps - sum(counts)
        else:
            counts = [max(1, int(count * factor)) for count in counts]
        # What rounding left over, or took too much, is the coarsest scale's.
        counts[0] = max(1, counts[0] + steps - sum(counts))
        while sum(counts) > steps:
            counts[counts.index(max(counts))] -= 1
    return tuple(Scale(longest, count) for longest, count in zip(sizes, counts, strict=True))


def hybrid_plan(size: int, steps: int | None = None, smallest: int = 1) -> tuple[Scale, ...]:
    """:func:`plan` for a picture that a network begins: without the coarsest scales, and with few steps.

    Example:
        >>> [(s.longest, s.steps) for s in hybrid_plan(512)]
        [(128, 25), (256, 18), (512, 11)]
    """
    smallest = max(smallest, HYBRID_SMALLEST)
    if steps is None:
        steps = max(1, round(HYBRID_SHARE * sum(scale.steps for scale in plan(size, smallest=smallest))))
    return plan(size, steps, smallest)


def finest(picture: Tensor, coarse: Tensor) -> Iterator[Tensor]:
    """The luminance of ``picture`` (1, 3, H, W) that is missing in ``coarse`` (1, 3, h, w), a few rows at a time."""
    blurred = coarse if coarse.shape == picture.shape else resize(coarse, size_of(picture))
    for sharp, soft in zip(picture.split(ROWS, -2), blurred.split(ROWS, -2), strict=True):
        yield luminance(sharp - soft)


def brushwork(style: Tensor, longest: int) -> float:
    """How strong the finest strokes of a painting are at a scale: the deviation of the luminance that is new there."""
    sharp = fit(style[:, :3], longest)
    rows = torch.cat(list(finest(sharp, fit(sharp, -(-longest // 2)))), -2)
    return rows.square().mean().sqrt().item()


def enlarge(image: Tensor, coarse_content: Tensor, content: Tensor, detail: float, limit: float = math.inf) -> Tensor:
    """The picture at the next scale, with the photograph's drawing finer than the old pixels times ``detail``, 0 to 1.

    Steps at the new scale are too dear to draw it. Only light and dark are drawn, colors are the paint's; and nothing
    stands out by more than ``limit`` or so, or it would lie over the paint like a second exposure. ``image`` and the
    photograph ``coarse_content`` (1, 3, h, w) are of the old scale, ``content`` (1, 3, H, W) is of the new one.
    """
    larger = image.clone() if image.shape == content.shape else resize(image, size_of(content))
    if detail and limit > 0:
        for rows, drawn in zip(larger.split(ROWS, -2), finest(content, coarse_content), strict=True):
            rows += detail * (drawn if math.isinf(limit) else limit * torch.tanh(drawn / limit))
    return larger.clamp_(0, 1)


def carry_over(moment: Tensor, size: tuple[int, int]) -> Tensor:
    """A tensor of the optimizer's state (1, 3, h, w), enlarged to ``size``."""
    return F.interpolate(moment, size=size, mode="bilinear", align_corners=False)
