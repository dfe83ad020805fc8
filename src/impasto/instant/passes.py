"""Pictures of any size in bounded memory, without seams.

A tile is painted together with the surroundings that its output depends on, and these are cut off again. The two codes
that it needs belong to the whole picture and are made first, from moments summed over the tiles. So the picture is the
one that a machine with enough memory would have painted at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.images import split_alpha
from impasto.machine import give_memory_back
from impasto.networks.autoencoder import Code
from impasto.networks.grain import grain_corner
from impasto.networks.layers import MULTIPLE, pad
from impasto.networks.moments import Moments, moments, pool_moments
from impasto.tiles import Tile, cut, equal_parts

#: Side of a tile, in pixels, without its surroundings; a multiple of :data:`MULTIPLE`.
TILE = 768


class Painter(Protocol):
    """A network in whatever computes it; images (1, 3, H, W) in [0, 1] in and out, of any size.

    ``margin`` and ``sight`` are those of :class:`impasto.networks.autoencoder.AutoEncoder`.
    """

    margin: int
    sight: int

    def features(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps, (1, C, h / 2ˢ, w / 2ˢ) where h and w are the sides brought to a multiple of 16."""

    def join(self, color: Moments, scales: Sequence[Moments]) -> Code:
        """The code of a picture, from the moments of its pixels and of its maps."""

    def encode(self, image: Tensor) -> Code:
        """The code of a whole picture."""

    def paint(
        self, content: Tensor, style: Code, strength: float, own: Code | None = None, corner: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """Paint a whole picture, or the tile at ``corner`` (row, column) of one whose code is ``own``."""


def encode(painter: Painter, planes: Tensor, tile: int = TILE) -> Code:
    """The code of a picture of any size, sRGB in [0, 1]: sums over its tiles, each pixel counted once.

    ``planes`` are (1, 3, H, W), or (1, 4, H, W) with an alpha channel, which says how much each pixel counts.
    """
    if planes.shape[1] == 3 and _at_once(planes, painter.margin, tile):
        return painter.encode(planes)
    parts: list[list[Moments]] = []
    counts: list[float] = []
    height, width = (side + -side % MULTIPLE for side in planes.shape[-2:])
    for piece in _tiles(height, width, painter.sight, tile):
        window, alpha = split_alpha(pad(planes[(..., *piece.window)]))
        weights = None if alpha is None else piece.inside(alpha)
        found = [moments(piece.inside(window), weights)]
        for scale, part in enumerate(painter.features(window)):
            seen = None if weights is None else F.avg_pool2d(weights, 2**scale)
            found.append(moments(piece.inside(part, scale), seen))
        parts.append([Moments(*(part.double() for part in pair)) for pair in found])
        pixels = (piece.rows.stop - piece.rows.start) * (piece.columns.stop - piece.columns.start)
        counts.append(pixels if weights is None else weights.sum().item())
        del window, found
        give_memory_back()
    pooled = [pool_moments(part, counts) for part in zip(*parts, strict=True)]
    color, *scales = (Moments(*(part.float() for part in pair)) for pair in pooled)
    return painter.join(color, scales)


def blend(codes: Sequence[Code], shares: Sequence[float]) -> Code:
    """A style between several, each with its share of 1: the means of their moments."""

    def mean(parts: Sequence[Moments]) -> Moments:
        weighed = [[share * number for number in part] for share, part in zip(shares, parts, strict=True)]
        return Moments(*(torch.stack(numbers).sum(0) for numbers in zip(*weighed, strict=True)))

    return Code(*(mean(parts) for parts in zip(*codes, strict=True)))


def one_pass(
    painter: Painter,
    content: Tensor,
    style: Code,
    strength: float = 1.0,
    *,
    seed: int = 0,
    tile: int = TILE,
    after_tile: Callable[[int, int], None] = lambda done, tiles: None,
) -> Tensor:
    """The output (1, 3, H, W), sRGB in [0, 1], on the CPU, from a content of any size.

    Args:
        painter: paints.
        content: (1, 3, H, W), sRGB in [0, 1], on the CPU, or (1, 4, H, W) with an alpha channel.
        style: the code to paint in.
        strength: from 0, the content, to 1, the style.
        seed: of the grain.
        tile: side of a tile; a picture no larger than a tile with its surroundings is painted at once.
        after_tile: is told how many tiles are done, and of how many.
    """
    top, left = grain_corner(seed)
    planes, (content, alpha) = content, split_alpha(content)
    small = _at_once(content, painter.margin, tile)
    own = None if small and alpha is None else encode(painter, planes, tile)
    if small:
        output = painter.paint(content, style, strength, own, (top, left))
        after_tile(1, 1)
        return output
    output = torch.empty_like(content)
    tiles = _tiles(content.shape[-2], content.shape[-1], painter.margin, tile)
    for done, piece in enumerate(tiles, start=1):
        rows, columns = piece.window
        corner = top + rows.start, left + columns.start
        painted = painter.paint(content[..., rows, columns], style, strength, own, corner)
        output[..., piece.rows, piece.columns] = piece.inside(painted)
        del painted
        give_memory_back()
        after_tile(done, len(tiles))
    return output


def _at_once(image: Tensor, margin: int, tile: int) -> bool:
    """Whether the picture is no larger than a tile with its surroundings."""
    return image.shape[-2] * image.shape[-1] <= (tile + 2 * margin) ** 2


def _tiles(height: int, width: int, margin: int, side: int) -> list[Tile]:
    """Tiles of ``side`` pixels, and ``margin`` around them; both are multiples of :data:`MULTIPLE`."""
    return list(cut(equal_parts(height, side), equal_parts(width, side), margin, (height, width)))
