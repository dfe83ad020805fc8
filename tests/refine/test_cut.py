from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.refine.cut import cut


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 5), st.integers(1, 40))
def test_every_position_counts_once(height: int, width: int, reach: int, half: int) -> None:
    side = 2 * half
    counted = torch.zeros(height, width)
    for tile in cut(height, width, reach, side):
        counted[tile.rows, tile.columns] += 1
        window = torch.ones(height, width)[tile.window_rows, tile.window_columns]
        counts = tile.inside(window[None, None])
        assert counts.shape[-2:] == (tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
        assert max(counts.shape[-2:]) <= side + 1
        for part, wide, length in (
            (tile.rows, tile.window_rows, height),
            (tile.columns, tile.window_columns, width),
        ):
            assert part.start % 2 == 0
            assert wide.start == max(0, part.start - reach)
            assert wide.stop == min(length, part.stop + reach)
    assert (counted == 1).all()


@settings(deadline=None)
@given(st.integers(2, 200), st.integers(1, 40))
def test_pooled_tiles_cover_the_next_stage(length: int, half: int) -> None:
    counted = torch.zeros(length // 2)
    for tile in cut(length, 2, 1, 2 * half):
        rows, columns = tile.pooled
        counted[rows] += 1
        assert (columns.start, columns.stop) == (0, 1)
    assert (counted == 1).all()
