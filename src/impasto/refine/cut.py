"""Tiles of the maps of one stage of an extractor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

__all__ = ["Tile", "cut"]


class Tile(NamedTuple):
    """Part of the maps of a stage. Rows and columns of those maps.

    Attributes:
        rows: that count.
        columns: that count.
        window_rows: that are looked at.
        window_columns: that are looked at.
    """

    rows: slice
    columns: slice
    window_rows: slice
    window_columns: slice

    def inside(self, window: Tensor) -> Tensor:
        """The part of (1, C, h, w), made of the window, that counts."""
        top, left = self.window_rows.start, self.window_columns.start
        rows = slice(self.rows.start - top, self.rows.stop - top)
        return window[..., rows, self.columns.start - left : self.columns.stop - left]

    @property
    def pooled(self) -> tuple[slice, slice]:
        """Rows and columns of the next stage's input that the pooled tile fills."""
        return _half(self.rows), _half(self.columns)


def cut(height: int, width: int, reach: int, side: int) -> Iterator[Tile]:
    """Tiles that cover maps of a stage, row by row.

    They begin at even rows and columns, so that no pair that is pooled is torn; and they are of about equal size.

    Args:
        height: of the maps.
        width: of the maps.
        reach: of the stage.
        side: of a tile, at most, but for a last odd row or column; 2 or more.
    """
    for rows in _edges(height, side):
        for columns in _edges(width, side):
            yield Tile(rows, columns, _widened(rows, reach, height), _widened(columns, reach, width))


def _edges(length: int, side: int) -> Iterator[slice]:
    pairs = max(1, length // 2)
    count = -(-pairs // (side // 2))
    for index in range(count):
        stop = length if index == count - 1 else 2 * (pairs * (index + 1) // count)
        yield slice(2 * (pairs * index // count), stop)


def _widened(part: slice, by: int, length: int) -> slice:
    return slice(max(0, part.start - by), min(length, part.stop + by))


def _half(part: slice) -> slice:
    return slice(part.start // 2, part.stop // 2)
