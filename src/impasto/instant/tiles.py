"""Pictures of any size in bounded memory, without seams.

A tile is painted together with the surroundings that its output depends on, and these are cut off again. Besides its
surroundings a tile needs to know two codes, which belong to the whole picture: they are made first, from moments summed
over the tiles. So the picture is the one that a machine with enough memory would have painted at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from impasto.machine import give_memory_back
from impasto.networks.autoencoder import Code
from impasto.networks.grain import grain_corner
from impasto.networks.layers import MULTIPLE, pad
from impasto.networks.moments import Moments, moments, pool_moments

__all__ = ["TILE", "Painter", "blend", "encode", "paint"]

#: Side of a tile, in pixels, without its surroundings; a multiple of :data:`MULTIPLE`.
TILE = 768


class Painter(Protocol):
    """A network in whatever computes it; images (1, 3, H, W) in [0, 1] in and out, of any size."""

    @property
    def margin(self) -> int:
        """As :attr:`impasto.networks.autoencoder.AutoEncoder.margin`."""

    @property
    def sight(self) -> int:
        """As :attr:`impasto.networks.autoencoder.AutoEncoder.sight`."""

    def features(self, image: Tensor) -> Sequence[Tensor]:
        """Feature maps, (1, C, h / 2ˢ, w / 2ˢ) where h and w are the sides brought to a multiple of 16."""

    def join(self, color: Moments, scales: Sequence[Moments]) -> Code:
        """The code of a picture, from the moments of its pixels and of its maps."""

    def encode(self, image: Tensor) -> Code:
        """The code of a whole picture."""

    def paint(
        self,
        content: Tensor,
        style: Code,
        strength: float,
        content_code: Code | None = None,
        corner: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """Paint a whole picture, or the tile at ``corner`` (row, column) of one that has ``content_code``."""


class Tile(NamedTuple):
    """Part of a picture: the window that is looked at, and the rows and columns of it that count.

    Attributes:
        top: first row of the picture that counts.
        left: first column.
        bottom: row behind the last.
        right: column behind the last.
        above: rows of the window before ``top``.
        before: columns of the window before ``left``.
        window: of the picture.
    """

    top: int
    left: int
    bottom: int
    right: int
    above: int
    before: int
    window: tuple[slice, slice]

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the picture where the window begins."""
        rows, columns = self.window
        return rows.start, columns.start

    def inside(self, image: Tensor, scale: int = 0) -> Tensor:
        """The part of (1, C, h / 2ˢ, w / 2ˢ), made of the window, that counts."""
        rows = slice(self.above >> scale, (self.above + self.bottom - self.top) >> scale)
        columns = slice(self.before >> scale, (self.before + self.right - self.left) >> scale)
        return image[..., rows, columns]


def cut(height: int, width: int, margin: int, tile: int) -> Iterator[Tile]:
    """Tiles that cover a picture, row by row.

    Args:
        height: of the picture.
        width: of the picture.
        margin: pixels around a tile that are looked at, a multiple of :data:`MULTIPLE`.
        tile: side of a tile, a multiple of :data:`MULTIPLE`. The last ones may be smaller.
    """
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            above, before = min(margin, top), min(margin, left)
            window = (slice(top - above, bottom + margin), slice(left - before, right + margin))
            yield Tile(top, left, bottom, right, above, before, window)


def at_once(image: Tensor, margin: int, tile: int) -> bool:
    """Whether the picture is no larger than a tile with its surroundings."""
    return image.shape[-2] * image.shape[-1] <= (tile + 2 * margin) ** 2


def encode(painter: Painter, image: Tensor, tile: int = TILE) -> Code:
    """The code of a picture of any size: sums over its tiles, each pixel counted once.

    Args:
        painter: encodes.
        image: (1, 3, H, W), sRGB in [0, 1].
        tile: side of the tiles.
    """
    if at_once(image, painter.margin, tile):
        return painter.encode(image)
    parts: list[list[Moments]] = []
    counts: list[int] = []
    height, width = (side + -side % MULTIPLE for side in image.shape[-2:])
    for piece in cut(height, width, painter.sight, tile):
        window = pad(image[(..., *piece.window)])
        found = [moments(piece.inside(window))]
        found += [moments(piece.inside(part, scale)) for scale, part in enumerate(painter.features(window))]
        parts.append([Moments(*(part.double() for part in pair)) for pair in found])
        counts.append((piece.bottom - piece.top) * (piece.right - piece.left))
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


def paint(
    painter: Painter,
    content: Tensor,
    style: Code,
    strength: float = 1.0,
    *,
    seed: int = 0,
    tile: int = TILE,
    finish: Callable[[Tensor, Tensor], Tensor] = lambda output, content: output,
    after_tile: Callable[[int, int], None] = lambda done, tiles: None,
) -> Tensor:
    """Paint a picture of any size.

    Args:
        painter: paints.
        content: (1, 3, H, W), sRGB in [0, 1], on the CPU.
        style: the code to paint in.
        strength: from 0, the content, to 1, the style.
        seed: of the grain.
        tile: side of the tiles; a picture no larger than a tile with its surroundings is painted at once.
        finish: what happens to the pixels of an output, given those of its content.
        after_tile: is told how many tiles are done, and of how many.

    Returns:
        The output (1, 3, H, W), sRGB in [0, 1], on the CPU.
    """
    height, width = content.shape[-2:]
    first_row, first_column = grain_corner(seed)
    if at_once(content, painter.margin, tile):
        output = finish(painter.paint(content, style, strength, None, (first_row, first_column)), content)
        after_tile(1, 1)
        return output
    own = encode(painter, content, tile)
    output = torch.empty_like(content)
    tiles = list(cut(height, width, painter.margin, tile))
    for done, piece in enumerate(tiles, start=1):
        window = content[(..., *piece.window)]
        corner = (first_row + piece.corner[0], first_column + piece.corner[1])
        painted = piece.inside(painter.paint(window, style, strength, own, corner))
        output[..., piece.top : piece.bottom, piece.left : piece.right] = finish(painted, piece.inside(window))
        del window, painted
        give_memory_back()
        after_tile(done, len(tiles))
    return output
