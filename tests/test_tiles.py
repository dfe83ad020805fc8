from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.tiles import Tile, cut, equal_parts, even_parts, whole


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 5), st.integers(1, 40))
def test_every_position_counts_once(height: int, width: int, reach: int, half: int) -> None:
    side = 2 * half
    counted = torch.zeros(height, width)
    shares = 0.0
    for tile in cut(even_parts(height, side), even_parts(width, side), reach, (height, width)):
        counted[tile.rows, tile.columns] += 1
        shares += tile.share
        window = torch.ones(height, width)[tile.window]
        counts = tile.inside(window[None, None])
        assert counts.shape[-2:] == (tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
        assert max(counts.shape[-2:]) <= side + 1
        for part, wide, length in zip((tile.rows, tile.columns), tile.window, (height, width), strict=True):
            assert part.start % 2 == 0
            assert wide.start == max(0, part.start - reach)
            assert wide.stop == min(length, part.stop + reach)
    assert (counted == 1).all()
    assert shares == pytest.approx(1)


@given(st.integers(2, 200), st.integers(1, 40))
def test_pooled_parts_cover_the_next_stage(length: int, half: int) -> None:
    counted = torch.zeros(length // 2)
    for part in even_parts(length, 2 * half):
        counted[part.start // 2 : part.stop // 2] += 1
    assert (counted == 1).all()


@given(st.integers(2, 500), st.integers(1, 40))
def test_parts_are_about_as_long_as_each_other(length: int, half: int) -> None:
    parts = list(even_parts(length, 2 * half))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 3
    assert all(before.stop == after.start for before, after in pairwise(parts))


@given(st.integers(1, 500), st.integers(1, 80))
def test_equal_parts_are_as_long_as_they_can_be(length: int, side: int) -> None:
    parts = list(equal_parts(length, side))
    assert [part.start for part in parts] == list(range(0, length, side))
    assert [part.stop for part in parts] == [*(part.start for part in parts[1:]), length]


@pytest.mark.parametrize("size", [(64, 64), (100, 70), (1, 200)])
def test_equal_tiles_with_a_margin(size: tuple[int, int]) -> None:
    """As a network paints them: everything at multiples of 16."""
    counted = torch.zeros(1, 1, *size)
    ramp = torch.arange(size[0] * size[1], dtype=torch.float32).view(1, 1, *size)
    for tile in cut(equal_parts(size[0], 32), equal_parts(size[1], 32), 16, size):
        place = tile.rows, tile.columns
        counted[(..., *place)] += 1
        assert torch.equal(tile.inside(ramp[(..., *tile.window)]), ramp[(..., *place)])
        assert all((side.start % 16, side.start >= 0) == (0, True) for side in tile.window)
    assert torch.equal(counted, torch.ones_like(counted))


def test_the_inside_of_a_map_is_the_inside_of_the_picture() -> None:
    tile = Tile(slice(32, 64), slice(64, 96), (slice(16, 80), slice(32, 128)), (160, 160))
    image = torch.rand(1, 2, 64, 96)
    small = torch.nn.functional.avg_pool2d(image, 4)
    assert torch.equal(tile.inside(small, 2), torch.nn.functional.avg_pool2d(tile.inside(image), 4))


def test_the_whole_is_one_tile() -> None:
    tile = whole(5, 7)
    image = torch.rand(1, 2, 5, 7)
    assert tile.share == 1
    assert torch.equal(tile.inside(image[(..., *tile.window)]), image)
    assert list(cut(even_parts(5, 8), even_parts(7, 8), 3, (5, 7))) == [tile]
