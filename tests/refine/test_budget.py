from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import ImpastoError
from impasto.features.compact import Compact
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.refine.budget import LARGEST, MULTIPLE, SMALLEST, Budget
from impasto.settings import read_size, size_text

LAYERS = (CONTENT_LAYER, *STYLE_LAYERS)


@pytest.fixture(scope="module")
def compact() -> Compact:
    return Compact.from_file()


def test_small_pictures_need_no_tiles(compact: Compact) -> None:
    budget = Budget(2 * 2**30, compact, LAYERS, 0)
    assert budget.whole(512, 512)
    assert not budget.whole(4096, 4096)


def test_tiles_fill_the_budget(compact: Compact) -> None:
    sides = [Budget(total * 2**20, compact, LAYERS, 0).tiling(2048, 2048).sides for total in (500, 700, 4000)]
    for few, more in pairwise(sides):
        assert all(a <= b for a, b in zip(few, more, strict=True))
    assert sides[0] != sides[-1]
    assert all(side % MULTIPLE == 0 and SMALLEST <= side <= LARGEST for tiles in sides for side in tiles)
    assert len(sides[0]) == 5
    assert len(Budget(2**30, compact, ["relu3_1"], 0).tiling(2048, 2048).sides) == 3


@given(st.integers(500, 8000), st.integers(256, 4096))
@settings(deadline=None)
def test_what_is_spare_and_a_tile_are_within_the_budget(compact: Compact, mebibytes: int, side: int) -> None:
    budget = Budget(mebibytes * 2**20, compact, LAYERS, 0)
    try:
        sides, spare = budget.tiling(side, side)
    except ImpastoError:
        return
    widths = [channels for name, channels in compact.architecture if name[4] == "1"]
    first = 4 * (3 + sum(widths)) * (sides[0] + 2 * len(widths)) ** 2
    pictures = 3 * 12 * side**2
    assert 0 <= spare <= budget.total - first - pictures


def test_a_painting_broader_than_the_picture_counts(compact: Compact) -> None:
    """At the same longest side it has eight times as many pixels."""
    broad, narrow = (Budget(2**30, compact, LAYERS, 0, breadth) for breadth in (1.0, 0.125))
    assert narrow.whole(128, 1024)
    assert not broad.whole(128, 1024)
    assert min(broad.tiling(512, 6000).sides) < min(narrow.tiling(512, 6000).sides)


@settings(deadline=None)
@given(st.integers(1, 2**32), st.integers(100, 10000), st.integers(100, 10000), st.integers(0, 2**30))
def test_the_smallest_budget_that_is_named_is_enough(total: int, height: int, width: int, held: int) -> None:
    compact = Compact((("relu1_1", 8), ("relu2_1", 8), ("relu3_1", 8), ("relu4_1", 8), ("relu4_2", 8), ("relu5_1", 8)))
    try:
        Budget(total, compact, LAYERS, held).tiling(height, width)
    except ImpastoError as error:
        message = str(error)
        assert message.startswith(f"max_memory: {size_text(total)} is too little for {width} × {height} px; give ")
        named = read_size(message.partition("give ")[2].partition(" or more")[0])
        assert named > total
        Budget(named, compact, LAYERS, held).tiling(height, width)
