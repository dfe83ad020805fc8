"""How much memory a refinement takes, and how small tiles have to be to keep it within a budget.

All figures are bytes above those of an interpreter with torch loaded, on the CPU, measured as resident peaks. What a
run without tiles takes grows with the picture; what a tile takes can be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.images import Picture, fit_size
from impasto.machine import machine_memory
from impasto.refine.pyramid import fit, fit_style
from impasto.refine.space import IN_MEMORY, ON_DISK, Space
from impasto.settings import size_text

#: One vector of the optimizer: three numbers of four bytes a pixel.
VECTOR = 12
#: What there is whatever the size: code, kernels' scratch, and holes between blocks.
BASE = 160 * 2**20
#: A pixel of a run without tiles: maps, their gradients, and what L-BFGS remembers.
PIXEL = 4500
#: A tile holds all maps of its stage, their input, and on the way back as much as this many more of the widest.
SPARE = 5
#: Of what a pixel takes, the share of a pixel of a painting, which is only looked at.
LOOK = 0.5
#: Vectors beside a tile: photograph and picture, later picture and gradient.
BESIDE = 2
#: Vectors while a scale begins: the old picture and photograph, the new picture, its detail, and room to resize. One
#: more where the photograph as it was read has another size.
BEGINNING = 3.4
#: Sides of a tile: below, its border costs too much; above, nothing is gained.
SMALLEST, LARGEST = 64, 512
#: Of what there is room for, the share of a tile. The C library keeps what one tile had for the next one.
TILE = 0.5
#: Sides are multiples of this.
MULTIPLE = 16
#: Share of the machine's memory that a run takes if no limit was set.
MEMORY = 0.7


class Tiling(NamedTuple):
    """How a picture is refined in tiles.

    Attributes:
        sides: of the tiles, for each stage.
        spare: bytes that may stay with the C library after a tile, which are those that no tile needs.
    """

    sides: tuple[int, ...]
    spare: int = 0


@dataclass(frozen=True)
class Budget:
    """The memory that a run may take.

    Attributes:
        total: in bytes.
        extractor: what looks.
        layers: at which it looks.
        held: bytes of pictures that are there all the time: the photograph and the paintings as they were read.
        breadth: of the broadest painting, the shorter side over the longer one.
        own: height and width of the photograph as it was read.
    """

    total: int
    extractor: Extractor
    layers: Sequence[str]
    held: int
    breadth: float = 1.0
    own: tuple[int, int] = (0, 0)

    def whole(self, height: int, width: int) -> bool:
        """Whether a picture of that size can be refined without tiles."""
        return self._always() + PIXEL * max(height * width, LOOK * self._painting(height, width)) <= self.total

    def tiling(self, height: int, width: int) -> Tiling:
        """The tiles for a picture of that size.

        Raises:
            ImpastoError: the budget is too small for it.
        """
        vectors = VECTOR * height * width
        beside = BESIDE * vectors + VECTOR * self._painting(height, width)
        room = self.total - self._always() - beside
        costs = self._costs()
        sides = [
            max(SMALLEST, min(LARGEST, MULTIPLE * int((math.sqrt(max(room, 0) * TILE / cost) - 2 * reach) // MULTIPLE)))
            for cost, reach in costs
        ]
        beginning = (BEGINNING + (self.own != (height, width))) * vectors
        least = self._always() + max(beside + _largest(costs, [SMALLEST] * len(costs), height, width), beginning)
        if self.total < least:
            raise ImpastoError(
                f"{size_text(self.total)} is too little for {width} × {height} px; "
                f"give {math.ceil(least / 2**20)}M or more, or a smaller `size`",
                setting="max_memory",
            )
        return Tiling(tuple(sides), int(room - _largest(costs, sides, height, width)))

    def _painting(self, height: int, width: int) -> float:
        """Pixels of the broadest painting, whose longer side is as long as the picture's."""
        return self.breadth * max(height, width) ** 2

    def _always(self) -> int:
        weights = sum(parameter.numel() * parameter.element_size() for parameter in self.extractor.parameters())
        return BASE + weights + self.held

    def _costs(self) -> list[tuple[int, int]]:
        """Bytes a position of a tile, and the reach, of every stage."""
        stages = self.extractor.stages(self.layers)
        inputs = [3, *(stage.widths[-1] for stage in stages)]
        return [
            (4 * (channels + sum(stage.widths) + SPARE * max(stage.widths)), stage.reach)
            for stage, channels in zip(stages, inputs, strict=False)
        ]


def _largest(costs: Sequence[tuple[int, int]], sides: Sequence[int], height: int, width: int) -> int:
    """Bytes of the largest tile; the deep stages of a picture may be smaller than their tiles could be."""
    return max(
        cost * math.prod(min(side + 2 * reach, length >> number) for length in (height, width))
        for number, (side, (cost, reach)) in enumerate(zip(sides, costs, strict=True))
    )


def space_for(budget: Budget | None, height: int, width: int) -> Space:
    """Where the optimizer's vectors of a picture of that size are: on the disk where it is refined in tiles."""
    return IN_MEMORY if budget is None or budget.whole(height, width) else ON_DISK


def limited(
    limit: str | int | None,
    device: str,
    photograph: Picture,
    styles: list[Picture],
    given: Picture | None,
    size: int,
    extractor: Extractor,
    layers: Sequence[str],
) -> tuple[Budget | None, list[Picture], Picture | None]:
    """The budget of a run whose memory is limited, with pictures no larger than it needs them.

    No budget, and everything as it was, where the whole run stays within the limit without tiles.

    Args:
        limit: bytes; if None, most of the memory that the machine has, on a CPU. Not of what is free at the moment: a
            run that is resumed has to be cut into the same tiles.
        device: where the run computes.
        photograph: as it was read.
        styles: the paintings.
        given: the picture that the run begins with, if there is one.
        size: longest side of the finished picture.
        extractor: what looks.
        layers: at which it looks.

    Raises:
        ImpastoError: the limit is too low.
    """
    memory = machine_memory() if limit is None and device == "cpu" else None
    total = int(limit) if limit is not None else None if memory is None else int(MEMORY * memory)
    if total is None:
        return None, styles, given
    own = (photograph.tensor.shape[-2], photograph.tensor.shape[-1])
    height, width = fit_size(*own, size)

    def budget() -> Budget:
        pictures = [photograph, *styles, *([given] if given else [])]
        planes = [picture.tensor for picture in pictures] + [p.alpha for p in pictures if p.alpha is not None]
        held = sum(plane.numel() * plane.element_size() for plane in planes)
        breadth = max(min(style.tensor.shape[-2:]) / max(style.tensor.shape[-2:]) for style in styles)
        return Budget(total, extractor, layers, held, breadth, own)

    if budget().whole(height, width):
        return None, styles, given
    side = extractor.smallest_side(layers)
    styles = [
        replace(style, tensor=fit_style(style.tensor, size, side)) if max(style.tensor.shape[-2:]) > size else style
        for style in styles
    ]
    if given is not None and max(given.tensor.shape[-2:]) > size:
        given = replace(given, tensor=fit(given.tensor, size))
    found = budget()
    found.tiling(height, width)
    return found, styles, given
