"""The exact gradient of a picture that is larger than memory.

The extractor's stages, see :class:`impasto.features.extractor.Stage`, are gone through one after the other, each tile
by tile. Within a stage an output depends on a few positions around it only, so a tile needs a narrow border of the
tiles beside it: one to four positions, where the way through all stages at once would ask for seventy pixels. What a
stage gives to the next one lies on the disk.

Two passes. Forward, the tiles' Gram matrices and content losses are summed: they are those of the whole picture. The
derivative of the style loss by each sum is then known, and with it everything that a tile's gradient depends on.
Backward, from the last stage to the first, each tile's maps are had again, and its gradient is added into that of the
stage's input. So every number is the one that a machine with enough memory would have found, up to rounding.

The maps of the deep stages, where there are few positions, and each has cost the most to find, are kept on the disk
from one pass to the other. Those of the others are found anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.features.extractor import Extractor, Stage
from impasto.losses import (
    SMALLEST_ENERGY,
    StyleLoss,
    blend_grams,
    content_loss,
    gram_matrix,
    style_loss,
    target_energy,
    total_loss,
)
from impasto.machine import give_memory_back, resident_memory
from impasto.refine.budget import Tiling
from impasto.refine.cut import Tile, cut
from impasto.refine.objective import Losses, Weights
from impasto.refine.shelf import StoredMaps, StoredPile

__all__ = ["TiledObjective"]

#: From this stage on, counted from 0, maps are kept on the disk; but not of a GPU, which computes faster than it reads.
KEPT_FROM = 3


@dataclass
class Passed:
    """A stage that the picture has gone through.

    Attributes:
        source: its input.
        maps: those of its convolutions, tile by tile, in windows; None if they are to be found anew.
    """

    source: Tensor | StoredMaps
    maps: StoredPile | None = None


class TiledObjective:
    """As :class:`impasto.refine.objective.Objective`, in bounded memory.

    Beside the image and its gradient, there is never more in memory than one tile with all that its way back needs.

    Args:
        extractor: where the features come from.
        content: the photograph at this scale (1, 3, h, w).
        styles: the paintings, each (1, 3, h', w'), asked for one after the other.
        weights: what counts how much.
        tiling: the tiles, see :meth:`impasto.refine.budget.Budget.tiling`.
        area: pixels of this scale over pixels of the finished picture.
        bf16: run the extractor in bfloat16.
    """

    def __init__(
        self,
        extractor: Extractor,
        content: Tensor,
        styles: Iterable[Tensor],
        weights: Weights,
        tiling: Tiling,
        *,
        area: float = 1.0,
        bf16: bool = False,
    ) -> None:
        self.weights, self.tiling, self.bf16 = weights, tiling, bf16
        give_memory_back()
        self.resident = resident_memory()
        self.extractor, self.device = extractor, content.device
        self.layers = sorted({*weights.content_layers, *weights.style_layers}, key=extractor.layers.index)
        self.metrics = {layer: extractor.metric(layer) for layer in self.layers}
        self.targets: dict[str, StoredMaps] = {}
        self.energies = dict.fromkeys(weights.content_layers, 0.0)
        self._run(content, list(weights.content_layers), self._keep_target, keep=False)
        grams = [self._grams(style, list(weights.style_layers)) for style in styles]
        self.style_loss = StyleLoss(
            {
                layer: blend_grams([gram[layer] for gram in grams], list(weights.style_weights))
                for layer in weights.style_layers
            },
            weights.style_layers,
            weights.normalization,
            {layer: extractor.channels(layer) for layer in weights.style_layers},
            self.metrics,
        )
        self.content_weight = weights.content_weight
        if weights.normalization == "gatys":
            self.content_weight /= area

    def __call__(self, image: Tensor) -> tuple[Tensor, Losses]:
        """Gradient of the total loss with respect to ``image`` (1, 3, h, w), and the losses."""
        sums: dict[str, Tensor] = {}
        errors = torch.zeros((), dtype=torch.float64)

        def look(layer: str, size: tuple[int, int], tile: Tile, maps: Tensor) -> None:
            if layer in self.weights.style_layers:
                _add(sums, layer, self._share(maps, size))
            if layer in self.weights.content_layers:
                errors.add_(self._content(layer, tile, maps).cpu())

        passed = self._run(image, self.layers, look)
        grams = {layer: gram.to(image).requires_grad_() for layer, gram in sums.items()}
        terms = [
            weight
            * style_loss(
                grams[layer],
                self.style_loss.targets[layer],
                self.weights.normalization,
                channels=self.style_loss.channels[layer],
                metric=self.metrics[layer],
                energy=self.style_loss.energies[layer],
            )
            for layer, weight in self.weights.style_layers.items()
        ]
        content = errors.to(image).requires_grad_()
        style = torch.stack(terms).sum()
        total = total_loss(content, style, self.content_weight, self.weights.normalization)
        by_content, *by_gram = torch.autograd.grad(total, [content, *grams.values()])
        gradient = self._back(image, passed, dict(zip(grams, by_gram, strict=True)), by_content)
        value = total.item()
        if self.weights.tv_weight:
            value += _add_total_variation(image, gradient, self.weights.tv_weight)
        return gradient, Losses(content.item(), style.item(), value)

    def _run(
        self,
        picture: Tensor,
        layers: Sequence[str],
        look: Callable[[str, tuple[int, int], Tile, Tensor], None],
        *,
        keep: bool = True,
    ) -> list[Passed]:
        """Go through the stages without gradients, showing each tile of ``layers``.

        Args:
            picture: (1, 3, h, w).
            layers: whose maps are shown.
            look: is given the layer, the size of its maps, the tile, and that tile of the maps.
            keep: False if there is no way back: only the last stage's input is returned then.
        """
        passed = [Passed(picture)]
        stages = self.extractor.stages(layers)
        for number, stage in enumerate(stages):
            here = passed[-1]
            height, width = size = _size(here.source)
            following: StoredMaps | None = None
            for tile in cut(height, width, stage.reach, self.tiling.sides[number]):
                for name, maps in self._walk(stage, here.source, tile):
                    if name in stage.layers:
                        look(name, size, tile, tile.inside(maps))
                    if keep and number >= KEPT_FROM and self.device.type == "cpu":
                        here.maps = here.maps or StoredPile(maps.dtype, self.device)
                        here.maps.push(maps)
                if number + 1 < len(stages):
                    pooled = stage.pool(tile.inside(maps))
                    if following is None:
                        shape = (1, stage.widths[-1], height // 2, width // 2)
                        following = StoredMaps(shape, pooled.dtype, self.device)
                    following.write(*tile.pooled, pooled)
                    del pooled
                del maps
                self._tidy()
            if following is not None:
                passed = [*passed, Passed(following)] if keep else [Passed(following)]
        return passed

    def _walk(self, stage: Stage, source: Tensor | StoredMaps, tile: Tile) -> Iterator[tuple[str, Tensor]]:
        """A stage's convolutions and their maps, for the window of a tile."""
        steps = stage.walk(_read(source, tile))
        while True:
            # Around every step of its own: what is between them is the caller's.
            with torch.no_grad(), self._precision():
                step = next(steps, None)
            if step is None:
                return
            yield step

    def _back(self, image: Tensor, passed: list[Passed], slopes: Mapping[str, Tensor], by_content: Tensor) -> Tensor:
        """The gradient for the pixels.

        Args:
            image: (1, 3, h, w).
            passed: the stages; they are used up.
            slopes: derivative of the total loss by each Gram matrix.
            by_content: derivative of the total loss by the content loss.
        """
        outer: Tensor | StoredMaps | None = None
        stages = self.extractor.stages(self.layers)
        for number in reversed(range(len(stages))):
            stage, here = stages[number], passed.pop()
            height, width = size = _size(here.source)
            inner: Tensor | StoredMaps
            if number:
                assert isinstance(here.source, StoredMaps)
                inner = StoredMaps(here.source.shape, here.source.dtype, self.device)
            else:
                inner = torch.zeros_like(image)
            # What was kept last is had first.
            for tile in reversed(list(cut(height, width, stage.reach, self.tiling.sides[number]))):
                slope: Tensor | None = None
                for name, maps in self._way_back(stage, here, tile):
                    part = tile.inside(maps).requires_grad_()
                    ends = self._ends(name, size, tile, part, slopes, by_content)
                    if slope is None:
                        slope = torch.zeros_like(maps)
                        if outer is not None:
                            with self._precision():
                                ends.append((stage.pool(part), _at(outer, *tile.pooled)))
                    if ends:
                        values, pulls = zip(*ends, strict=True)
                        tile.inside(slope).add_(torch.autograd.grad(values, part, pulls)[0])
                    with torch.no_grad(), self._precision():
                        slope = stage.back(name, maps, slope)
                    del maps, part, ends
                assert slope is not None
                _put(inner, tile, slope)
                self._tidy()
            outer = inner
            del here
        assert isinstance(outer, Tensor)
        return outer

    def _ends(
        self,
        name: str,
        size: tuple[int, int],
        tile: Tile,
        maps: Tensor,
        slopes: Mapping[str, Tensor],
        by_content: Tensor,
    ) -> list[tuple[Tensor, Tensor]]:
        """What losses see of a tile's ``maps`` (1, C, h, w), each with the derivative of the total loss by it."""
        ends = []
        if name in slopes:
            ends.append((self._share(maps, size), slopes[name]))
        if name in self.weights.content_layers:
            ends.append((self._content(name, tile, maps), by_content))
        return ends

    def _way_back(self, stage: Stage, here: Passed, tile: Tile) -> Iterator[tuple[str, Tensor]]:
        """A stage's convolutions and their maps, for the window of a tile, from the last one to the first."""
        if here.maps is not None:
            for name in reversed(stage.names):
                yield name, here.maps.pop()
        else:
            found = list(self._walk(stage, here.source, tile))
            while found:
                yield found.pop()

    def _tidy(self) -> None:
        """Give memory back if there might be too little for the next tile.

        Not always: what is given back has to be mapped and cleared again, which takes as long as a small network does.
        """
        if resident_memory() - self.resident > self.tiling.spare:
            give_memory_back()

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def _exact(self, maps: Tensor) -> Tensor:
        """What losses are made of: the maps in the precision of pixels."""
        return maps.float() if self.bf16 else maps

    def _share(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """What a tile of maps (1, C, h, w) adds to the Gram matrix of maps that have ``size``."""
        part = self._exact(maps).contiguous(memory_format=torch.channels_last)
        return gram_matrix(part) * (part.shape[-2] * part.shape[-1] / (size[0] * size[1]))

    def _content(self, layer: str, tile: Tile, maps: Tensor) -> Tensor:
        """What a tile adds to the content loss."""
        target = self.targets[layer].read(tile.rows, tile.columns)
        energy = maps.new_tensor([max(self.energies[layer], SMALLEST_ENERGY)], dtype=target.dtype)
        weight, normalization = self.weights.content_layers[layer], self.weights.normalization
        return weight * content_loss(
            self._exact(maps), target, normalization, metric=self.metrics[layer], energy=energy
        )

    def _keep_target(self, layer: str, size: tuple[int, int], tile: Tile, maps: Tensor) -> None:
        """Take the photograph's maps for the target, and its energy."""
        maps = self._exact(maps)
        if layer not in self.targets:
            self.targets[layer] = StoredMaps((1, maps.shape[1], *size), maps.dtype, self.device)
        self.targets[layer].write(tile.rows, tile.columns, maps)
        self.energies[layer] += target_energy(maps, self.metrics[layer]).item()

    def _grams(self, picture: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Gram matrices of a picture (1, 3, h, w)."""
        sums: dict[str, Tensor] = {}
        self._run(
            picture,
            layers,
            lambda layer, size, tile, maps: _add(sums, layer, self._share(maps, size)),
            keep=False,
        )
        return {layer: gram.to(picture) for layer, gram in sums.items()}


def _add(sums: dict[str, Tensor], layer: str, share: Tensor) -> None:
    """Add in float64, always in the same order: the same bits on every run."""
    share = share.cpu().double()
    sums[layer] = sums[layer] + share if layer in sums else share


def _read(source: Tensor | StoredMaps, tile: Tile) -> Tensor:
    """The window of a tile, a copy."""
    return _at(source, tile.window_rows, tile.window_columns)


def _size(maps: Tensor | StoredMaps) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def _at(source: Tensor | StoredMaps, rows: slice, columns: slice) -> Tensor:
    if isinstance(source, StoredMaps):
        return source.read(rows, columns)
    return source[..., rows, columns].clone()


def _put(target: Tensor | StoredMaps, tile: Tile, gradient: Tensor) -> None:
    """Add a tile's gradient for its window. Windows overlap: each position gets its share from several tiles."""
    window = tile.window_rows, tile.window_columns
    if isinstance(target, StoredMaps):
        target.write(*window, target.read(*window) + gradient)
    else:
        target[(..., *window)] += gradient


def _add_total_variation(image: Tensor, gradient: Tensor, weight: float, strip: int = 256) -> float:
    """Add the gradient of ``weight`` times the total variation to ``gradient``; that term's value.

    The mean over the whole picture, as :func:`impasto.losses.total_variation` has it, from sums over strips of rows.
    """
    channels, height, width = image.shape[1:]
    across, down = channels * height * (width - 1), channels * (height - 1) * width
    value = 0.0
    for top in range(0, height, strip):
        bottom = min(top + strip, height)
        # With the first row of the next strip, for the differences between the two.
        rows = image[..., top : bottom + 1, :].clone().requires_grad_()
        beside = rows[..., : bottom - top, 1:] - rows[..., : bottom - top, :-1]
        below = rows[..., 1:, :] - rows[..., :-1, :]
        term = weight * (beside.square().sum() / across + below.square().sum() / down)
        (slope,) = torch.autograd.grad(term, rows)
        gradient[..., top : bottom + 1, :] += slope
        value += term.item()
    return value
