from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from impasto.samples.canvas import Canvas
from impasto.samples.cells import distance_to, edges, nearest, scatter, spread


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@given(arrays(bool, (9, 13)), st.integers(1, 6))
@settings(max_examples=60)
def test_distance_is_euclidean_up_to_the_reach(mask: np.ndarray, reach: int) -> None:
    points = np.argwhere(mask)
    expected = np.full(mask.shape, float(reach))
    for row, column in np.ndindex(*mask.shape):
        if len(points):
            expected[row, column] = min(reach, np.hypot(*(points - (row, column)).T).min())
    assert distance_to(mask, reach) == pytest.approx(expected, abs=1e-5)


def test_edges_lie_before_another_cell() -> None:
    ids = np.array([[0, 0, 1], [0, 2, 1]], np.int32)
    assert edges(ids).tolist() == [[False, True, False], [True, True, False]]


def test_each_pixel_goes_to_the_nearest_site_of_its_region() -> None:
    canvas, count = Canvas(24, 30), 14
    generator = rng(3)
    x, y = scatter(generator, canvas, count)
    inside = (x > 0) & (x < canvas.right) & (y > 0) & (y < canvas.bottom)
    x, y = x[inside], y[inside]
    angle = generator.uniform(0, 1.5, len(x)).astype(np.float32)
    own = (np.arange(len(x)) % 2).astype(np.int32)
    region = np.broadcast_to(canvas.x > canvas.right / 2, (24, 30)).astype(np.int32)
    ids = nearest(canvas, x, y, angle, region, own, 2.0)
    for row, column in np.ndindex(24, 30):
        dx, dy = canvas.x[0, column] - x, canvas.y[row, 0] - y
        across, along = np.abs(dx * np.cos(angle) + dy * np.sin(angle)), np.abs(dy * np.cos(angle) - dx * np.sin(angle))
        distance = np.maximum(across, along) + 0.12 * (across + along)
        distance[own != region[row, column]] = np.inf
        assert distance[ids[row, column]] == pytest.approx(distance.min(), abs=1e-4)


def test_beyond_reach_there_is_no_site() -> None:
    canvas = Canvas(20, 20)
    middle = np.array([0.5], np.float32)
    region = np.zeros((20, 20), np.int32)
    ids = nearest(canvas, middle, middle, np.zeros(1, np.float32), region, np.zeros(1, np.int32), 0.2)
    assert ids[10, 10] == 0
    assert ids[0, 0] == -1
    assert 36 <= (ids == 0).sum() <= 64


def test_spread_points_leave_no_holes() -> None:
    points = spread(rng(1), 1600, shake=0.2) % 1
    share = np.histogram2d(*points.T, bins=8, range=[[0, 1], [0, 1]])[0]
    assert share.min() >= 17  # of 25; random points would leave some with a dozen
    assert share.max() <= 33
