"""The exact gradient of a picture that is larger than memory.

The extractor's stages, see :class:`impasto.features.extractor.Stage`, are gone through one by one, each tile by tile: a
tile then needs a border of one to four positions, where all stages at once would take seventy pixels. What one stage
gives to the next lies on the disk, and so do the maps of the deep stages, which are few and take longest to find.

Forward, the tiles' statistics are summed, which gives the derivative of the loss by each sum. Backward, from the last
stage to the first, each tile's maps are had again, and its gradient is added into that of the stage's input. So every
number is the one that a machine with enough memory would have found, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.features.extractor import Extractor, Stage
from impasto.machine import give_memory_back, resident_memory
from impasto.refine.budget import Tiling
from impasto.refine.objective import Look, Losses, Objective, add_share, precision
from impasto.refine.pyramid import size_of
from impasto.refine.shelf import StoredMaps, StoredPile, read_maps
from impasto.refine.terms import PIXELS
from impasto.tiles import Tile, cut, equal_parts, even_parts

#: From this stage on, counted from 0, maps are kept on the disk; not a GPU's, which computes faster than it reads.
KEPT_FROM = 3
#: Rows of the picture that terms of the pixels are shown at a time.
STRIP = 256


@dataclass
class _Passed:
    """A stage that was gone through: its input, and the maps of its tiles, None if they are to be found anew."""

    source: Tensor | StoredMaps
    maps: StoredPile | None = None


class Tiled:
    """Looks at a picture on ``device`` tile by tile, with an extractor that may run in bfloat16."""

    def __init__(
        self,
        extractor: Extractor,
        tiling: Tiling,
        device: torch.device,
        *,
        bf16: bool = False,
        kept_from: int = KEPT_FROM,
    ) -> None:
        self.extractor, self.tiling, self.device, self.bf16, self.kept_from = extractor, tiling, device, bf16, kept_from
        give_memory_back()
        self.resident = resident_memory()

    def show(self, picture: Tensor, layers: Sequence[str], look: Look) -> None:
        """See :meth:`View.show`."""
        self._run(picture, layers, look, keep=False)

    def keep(self, kept: Tensor | StoredMaps | None, tile: Tile, maps: Tensor) -> StoredMaps:
        """See :meth:`View.keep`."""
        kept = StoredMaps((1, maps.shape[1], *tile.size), maps.dtype, self.device) if kept is None else kept
        assert isinstance(kept, StoredMaps)
        kept.write(tile.rows, tile.columns, maps)
        return kept

    def descend(self, image: Tensor, objective: Objective) -> tuple[Tensor, Losses]:
        """See :meth:`View.descend`."""
        sums: dict[int, Tensor] = {}

        def look(layer: str, tile: Tile, maps: Tensor) -> None:
            for index, term in objective.at(layer):
                add_share(sums, index, term.look(maps, tile))

        passed = self._run(image, objective.layers, look)
        for tile in _strips(image):
            look(PIXELS, tile, image[(..., *tile.window)])
        statistics = [sums[index].to(image).requires_grad_() for index in range(len(objective.terms))]
        total, losses = objective.total(statistics)
        slopes = torch.autograd.grad(total, statistics)
        gradient = self._back(image, passed, objective, slopes)
        for tile in _strips(image):
            for index, term in objective.at(PIXELS):
                window = image[(..., *tile.window)].clone().requires_grad_()
                gradient[(..., *tile.window)] += torch.autograd.grad(term.look(window, tile), window, slopes[index])[0]
        return gradient, losses

    def _run(self, picture: Tensor, layers: Sequence[str], look: Look, *, keep: bool = True) -> list[_Passed]:
        """Go through the stages without gradients, showing tiles of ``layers``; ``keep`` what the way back needs."""
        passed = [_Passed(picture)]
        stages = self.extractor.stages(layers)
        for number, stage in enumerate(stages):
            here = passed[-1]
            height, width = size = size_of(here.source)
            following: StoredMaps | None = None
            for tile in self._tiles(stage, number, size):
                for name, maps in self._walk(stage, here.source, tile):
                    if name in stage.layers:
                        look(name, tile, self._exact(tile.inside(maps)))
                    if keep and number >= self.kept_from and self.device.type == "cpu":
                        here.maps = here.maps or StoredPile(maps.dtype, self.device)
                        here.maps.push(maps)
                if number + 1 < len(stages):
                    pooled = stage.pool(tile.inside(maps))
                    shape = (1, stage.widths[-1], height // 2, width // 2)
                    following = following or StoredMaps(shape, pooled.dtype, self.device)
                    following.write(*_pooled(tile), pooled)
                    del pooled
                del maps
                self._tidy()
            if following is not None:
                passed = [*passed, _Passed(following)] if keep else [_Passed(following)]
        return passed

    def _walk(self, stage: Stage, source: Tensor | StoredMaps, tile: Tile) -> Iterator[tuple[str, Tensor]]:
        """A stage's convolutions and their maps, for the window of a tile."""
        steps = stage.walk(read_maps(source, *tile.window))
        while True:
            # Around every step of its own: the caller runs between them.
            with torch.no_grad(), precision(self.device, self.bf16):
                step = next(steps, None)
            if step is None:
                return
            yield step

    def _back(self, image: Tensor, passed: list[_Passed], objective: Objective, slopes: Sequence[Tensor]) -> Tensor:
        """The gradient of the pixels, from the derivatives of the loss by the terms' statistics; uses ``passed`` up."""
        outer: Tensor | StoredMaps | None = None
        for number, stage in reversed(list(enumerate(self.extractor.stages(objective.layers)))):
            here = passed.pop()
            inner = StoredMaps.like(here.source) if isinstance(here.source, StoredMaps) else torch.zeros_like(image)
            # What was kept last is had first.
            for tile in reversed(list(self._tiles(stage, number, size_of(here.source)))):
                slope: Tensor | None = None
                for name, maps in self._way_back(stage, here, tile):
                    part = tile.inside(maps).requires_grad_()
                    exact = self._exact(part)
                    ends = [(term.look(exact, tile), slopes[index]) for index, term in objective.at(name)]
                    if slope is None:
                        slope = torch.zeros_like(maps)
                        if outer is not None:
                            with precision(self.device, self.bf16):
                                ends.append((stage.pool(part), read_maps(outer, *_pooled(tile))))
                    if ends:
                        values, pulls = zip(*ends, strict=True)
                        tile.inside(slope).add_(torch.autograd.grad(values, part, pulls)[0])
                    with torch.no_grad(), precision(self.device, self.bf16):
                        slope = stage.back(name, maps, slope)
                    del maps, part, exact, ends
                assert slope is not None
                _put(inner, tile, slope)
                self._tidy()
            outer = inner
            del here
        return outer if isinstance(outer, Tensor) else torch.zeros_like(image)

    def _tiles(self, stage: Stage, number: int, size: tuple[int, int]) -> Iterator[Tile]:
        rows, columns = (even_parts(length, self.tiling.sides[number]) for length in size)
        return cut(rows, columns, stage.reach, size)

    def _way_back(self, stage: Stage, here: _Passed, tile: Tile) -> Iterator[tuple[str, Tensor]]:
        """A stage's convolutions and their maps, for the window of a tile, from the last one to the first."""
        if here.maps is not None:
            for name in reversed(stage.names):
                yield name, here.maps.pop()
        else:
            found = list(self._walk(stage, here.source, tile))
            while found:
                yield found.pop()

    def _tidy(self) -> None:
        """Give memory back where the next tile might lack it: to map it anew takes as long as a small network does."""
        if resident_memory() - self.resident > self.tiling.spare:
            give_memory_back()

    def _exact(self, maps: Tensor) -> Tensor:
        return maps.float() if self.bf16 else maps


def _put(target: Tensor | StoredMaps, tile: Tile, gradient: Tensor) -> None:
    """Add a tile's gradient for its window; windows overlap."""
    if isinstance(target, StoredMaps):
        target.write(*tile.window, target.read(*tile.window) + gradient)
    else:
        target[(..., *tile.window)] += gradient


def _pooled(tile: Tile) -> tuple[slice, slice]:
    """Rows and columns of the next stage's input that the pooled tile fills."""
    return slice(tile.rows.start // 2, tile.rows.stop // 2), slice(tile.columns.start // 2, tile.columns.stop // 2)


def _strips(image: Tensor) -> Iterator[Tile]:
    """Strips of rows of a picture (1, 3, h, w), shown with the first row of the next one."""
    height, width = size = size_of(image)
    columns = slice(0, width)
    for rows in equal_parts(height, STRIP):
        yield Tile(rows, columns, (slice(rows.start, min(rows.stop + 1, height)), columns), size)
