"""How much memory a refinement takes, and how small tiles have to be to keep it within a budget.

All figures are bytes above those of an interpreter with torch loaded, on the CPU, measured as resident peaks.
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
from impasto.refine.pyramid import fit, fit_style, size_of
from impasto.refine.space import IN_MEMORY, ON_DISK, Space
from impasto.settings import size_text

#: One vector of the optimizer: three numbers of four bytes a pixel.
VECTOR = 12
#: Whatever the size: code, kernels' scratch, and holes between blocks.
BASE = 160 * 2**20
#: A pixel of a run without tiles: maps, their gradients, and what L-BFGS remembers. A painting's costs the share LOOK.
PIXEL, LOOK = 4500, 0.5
#: A tile holds all maps of its stage, their input, and on the way back as much as this many more of the widest.
SPARE = 5
#: Vectors beside a tile: photograph and picture, later picture and gradient.
BESIDE = 2
#: Vectors while a scale begins: the old picture and photograph, the new picture, its detail, and room to resize. One
#: more where the photograph as it was read has another size.
BEGINNING = 3.4
#: Sides of a tile, multiples of MULTIPLE: below, its border costs too much; above, nothing is gained.
SMALLEST, LARGEST, MULTIPLE = 64, 512, 16
#: Share of a tile in the room there is: the C library keeps what one tile had for the next one.
TILE = 0.5
#: Share of the machine's memory that a run takes if no limit was set.
MEMORY = 0.7


class Tiling(NamedTuple):
    """The sides of the tiles, for each stage, and the bytes that the C library may keep as no tile needs them."""

    sides: tuple[int, ...]
    spare: int = 0


@dataclass(frozen=True)
class Budget:
    """The memory that a run may take: ``total`` bytes, with an ``extractor`` that looks at ``layers``.

    Attributes:
        held: bytes of pictures that are there all the time: the photograph and the paintings as they were read.
        breadth: of the broadest painting, the shorter side over the longer one.
        own: height and width of the photograph as it was read.
    """

    total: int
    extractor: Extractor
    layers: Sequence[str]
    held: int = 0
    breadth: float = 1.0
    own: tuple[int, int] = (0, 0)

    def holding(self, photograph: Picture, styles: Sequence[Picture], given: Picture | None) -> Budget:
        """The budget with these pictures in memory."""
        pictures = [photograph, *styles, *([given] if given else [])]
        planes = [picture.tensor for picture in pictures] + [p.alpha for p in pictures if p.alpha is not None]
        held, sizes = sum(plane.nbytes for plane in planes), [size_of(style.tensor) for style in styles]
        breadth = max(min(size) / max(size) for size in sizes)
        return replace(self, held=held, breadth=breadth, own=size_of(photograph.tensor))

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
        fitting = (math.sqrt(max(room, 0) * TILE / cost) - 2 * reach for cost, reach in costs)
        sides = [max(SMALLEST, min(LARGEST, MULTIPLE * int(side // MULTIPLE))) for side in fitting]
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
        return BASE + sum(parameter.nbytes for parameter in self.extractor.parameters()) + self.held

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


def memory_limit(limit: str | int | None, device: str) -> int | None:
    """The bytes that a run may take: ``limit``, or most of the memory that the machine has, on a CPU; None for any.

    Not of what is free at the moment: a run that is resumed has to be cut into the same tiles.
    """
    if limit is not None:
        return int(limit)
    memory = machine_memory() if device == "cpu" else None
    return None if memory is None else int(MEMORY * memory)


def limited(
    budget: Budget, size: int, photograph: Picture, styles: list[Picture], given: Picture | None
) -> tuple[Budget | None, list[Picture], Picture | None]:
    """The budget of a run from these pictures to ``size``, and the pictures no larger than it needs them.

    No budget, and the pictures as they were, where the whole run stays within it without tiles.

    Raises:
        ImpastoError: the limit is too low.
    """
    height, width = fit_size(*size_of(photograph.tensor), size)
    if budget.holding(photograph, styles, given).whole(height, width):
        return None, styles, given
    side = budget.extractor.smallest_side(budget.layers)
    styles = [
        style.with_planes(fit_style(style.planes, size, side)) if max(style.tensor.shape[-2:]) > size else style
        for style in styles
    ]
    if given is not None and max(given.tensor.shape[-2:]) > size:
        given = replace(given, tensor=fit(given.tensor, size))
    budget = budget.holding(photograph, styles, given)
    budget.tiling(height, width)
    return budget, styles, given
