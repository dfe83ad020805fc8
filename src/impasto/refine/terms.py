"""Every term of the loss: a statistic that adds up over tiles of a layer's maps, and a function of it.

The whole picture is one tile, a picture larger than memory is many. A statistic is the sum of what :meth:`Term.look`
finds in each tile, and a tile's gradient follows from the derivative of the loss by that sum. A new loss is one class
here and one word in :mod:`impasto.settings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.features.extractor import channels_last
from impasto.losses import SMALLEST_ENERGY, Normalization, content_loss, gram_matrix, style_loss, target_energy
from impasto.refine.shelf import StoredMaps, read_maps
from impasto.tiles import Tile

#: The layer of terms that look at the picture itself. They see one more row and column of a tile, where there are any.
PIXELS = "pixels"


class Term(Protocol):
    """One summand of the loss."""

    @property
    def name(self) -> str:
        """The loss that it is part of: ``content``, ``style``, ``total variation``."""

    @property
    def layer(self) -> str:
        """The layer whose maps it looks at, or :data:`PIXELS`."""

    @property
    def weight(self) -> float:
        """Its factor within the loss of that name."""

    def look(self, maps: Tensor, tile: Tile) -> Tensor:
        """What ``tile`` adds to the statistic, from its ``maps`` (1, C, h, w) in float32 or float64."""

    def loss(self, statistic: Tensor) -> Tensor:
        """The loss, a scalar, from the statistic of the whole picture."""


def alpha_at(alpha: Tensor | None, layer: str) -> Tensor | None:
    """The alpha channel (1, 1, H, W), if there is one, at a layer: the mean of the pixels of each position."""
    return None if alpha is None else F.avg_pool2d(alpha, 2 ** (int(layer[4]) - 1))


def masked(maps: Tensor, masks: Tensor | None, tile: Tile) -> Tensor:
    """A tile's maps (1, N, h, w), so that squares and products of two count as much as each of R masks says."""
    return maps if masks is None else maps * masks[..., tile.rows, tile.columns].sqrt()


def gram_share(maps: Tensor, tile: Tile, masks: Tensor | None = None) -> Tensor:
    """What a tile of maps (1, N, h, w) adds to the Gram matrix (R, N, N) of all maps, under each of R masks."""
    maps = channels_last(maps)
    if masks is None:
        gram = gram_matrix(maps)
        return gram if tile.share == 1 else gram * tile.share
    positions = maps.shape[-2] * maps.shape[-1]
    total = masks.sum((1, 2, 3)).clamp_min(SMALLEST_ENERGY)
    return gram_matrix(masked(maps, masks, tile)) * (positions / total)[:, None, None]


@dataclass(frozen=True, eq=False)
class Gram:
    """Style: the distance of Gram matrices, of the whole picture or under masks (Gatys et al. 2017, arXiv:1611.07865).

    Attributes:
        target: Gram matrix A / M (1, N, N) of the style; (R, N, N) with masks, one for each.
        channels: N of the article, where it is not the size of the matrices.
        metric: see :meth:`impasto.features.extractor.Extractor.metric`.
        masks: weights (R, 1, H, W) of the positions of the layer, from 0 up; None where all count the same.
        least: the least that the relative normalization divides by.
    """

    layer: str
    weight: float
    target: Tensor
    normalization: Normalization = "relative"
    channels: int | None = None
    metric: Tensor | None = None
    masks: Tensor | None = None
    least: float = SMALLEST_ENERGY
    name: str = "style"
    share = staticmethod(gram_share)  # of a painting: what its target is made of
    _energy: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_energy", target_energy(self.target, self.metric).clamp_min(self.least))

    def look(self, maps: Tensor, tile: Tile) -> Tensor:
        """The tile's share (R, N, N) of the Gram matrix."""
        return self.share(maps, tile, self.masks)

    def loss(self, statistic: Tensor) -> Tensor:
        """:func:`impasto.losses.style_loss`, the mean over the masks."""
        return style_loss(
            statistic, self.target, self.normalization, channels=self.channels, metric=self.metric, energy=self._energy
        )


@dataclass(frozen=True, eq=False)
class Content:
    """Content: the distance of feature maps.

    Attributes:
        target: the photograph's maps (1, N, H, W), in memory or on the disk.
        energy: Σ P² of the relative normalization.
        metric: see :meth:`impasto.features.extractor.Extractor.metric`.
        mask: weights (1, 1, H, W) of the positions, from 0 up; None where all count the same.
    """

    layer: str
    weight: float
    target: Tensor | StoredMaps
    energy: float
    normalization: Normalization = "relative"
    metric: Tensor | None = None
    mask: Tensor | None = None
    name: str = "content"

    def look(self, maps: Tensor, tile: Tile) -> Tensor:
        """The tile's share of :func:`impasto.losses.content_loss`."""
        target = read_maps(self.target, tile.rows, tile.columns)
        maps, target = (masked(part, self.mask, tile) for part in (maps, target))
        energy = maps.new_tensor([max(self.energy, SMALLEST_ENERGY)])
        return content_loss(maps, target, self.normalization, metric=self.metric, energy=energy)

    def loss(self, statistic: Tensor) -> Tensor:
        """The statistic itself."""
        return statistic


@dataclass(frozen=True)
class TotalVariation:
    """Mean squared difference of neighboring pixels, see :func:`impasto.losses.total_variation`."""

    layer: str = PIXELS
    weight: float = 1.0
    name: str = "total variation"

    def look(self, maps: Tensor, tile: Tile) -> Tensor:
        """The tile's share; differences to the next row and column belong to it."""
        height, width = (part.stop - part.start for part in (tile.rows, tile.columns))
        across = maps[..., :height, 1:] - maps[..., :height, :-1]
        down = maps[..., 1:, :width] - maps[..., :-1, :width]
        (rows, columns), channels = tile.size, maps.shape[1]
        across = across.square().sum() / (channels * rows * (columns - 1))
        down = down.square().sum() / (channels * (rows - 1) * columns)
        return torch.stack((across, down)).sum()

    def loss(self, statistic: Tensor) -> Tensor:
        """The statistic itself."""
        return statistic


#: What style may be, by the word of ``style_loss``.
STYLES = {"gram": Gram}
