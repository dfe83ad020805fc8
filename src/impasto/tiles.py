"""Tiles of a picture or of feature maps: the part that counts, and the window that it is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import Tensor


class Tile(NamedTuple):
    """Part of a plane of positions, of which a larger window is looked at.

    Attributes:
        rows: that count.
        columns: that count.
        window: rows and columns that are looked at.
        size: height and width of the whole plane.
    """

    rows: slice
    columns: slice
    window: tuple[slice, slice]
    size: tuple[int, int]

    @property
    def share(self) -> float:
        """Share of the positions of the whole plane."""
        height, width = self.size
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start) / (height * width)

    def inside(self, window: Tensor, scale: int = 0) -> Tensor:
        """The part of (1, C, h / 2ˢ, w / 2ˢ), made of the window, that counts."""
        rows, columns = (
            slice((counts.start - seen.start) >> scale, (counts.stop - seen.start) >> scale)
            for counts, seen in zip((self.rows, self.columns), self.window, strict=True)
        )
        return window[..., rows, columns]


def whole(height: int, width: int) -> Tile:
    """The one tile that is all of a plane."""
    everything = slice(0, height), slice(0, width)
    return Tile(*everything, everything, (height, width))


def cut(rows: Iterable[slice], columns: Iterable[slice], margin: int, size: tuple[int, int]) -> Iterator[Tile]:
    """Tiles row by row.

    Args:
        rows: parts that cover the height, from :func:`even_parts` or :func:`equal_parts`.
        columns: parts that cover the width.
        margin: positions around a tile that are looked at, as far as there are any.
        size: height and width of the whole plane.
    """
    columns = list(columns)
    for down in rows:
        for across in columns:
            window = _widened(down, margin, size[0]), _widened(across, margin, size[1])
            yield Tile(down, across, window, size)


def equal_parts(length: int, side: int) -> Iterator[slice]:
    """Parts of ``side`` positions; the last one may be shorter."""
    for start in range(0, length, side):
        yield slice(start, min(start + side, length))


def even_parts(length: int, side: int) -> Iterator[slice]:
    """Parts of about equal length, at most ``side`` (2 or more) but for a last odd position.

    They begin at even positions, so that no pair that is pooled is torn.
    """
    pairs = max(1, length // 2)
    count = -(-pairs // (side // 2))
    for index in range(count):
        stop = length if index == count - 1 else 2 * (pairs * (index + 1) // count)
        yield slice(2 * (pairs * index // count), stop)


def _widened(part: slice, by: int, length: int) -> slice:
    return slice(max(0, part.start - by), min(length, part.stop + by))
