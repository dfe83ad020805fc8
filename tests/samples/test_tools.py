"""The brush, the pen and the woodblock."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.samples.brush import Paint, follow
from impasto.samples.canvas import Canvas
from impasto.samples.pen import Pen, turned
from impasto.samples.woodblock import Block, curve

RED, GREEN = np.array([[1, 0, 0]], np.float32), np.array([[0, 1, 0]], np.float32)
BLACK, NONE = np.zeros(3, np.float32), np.zeros(3, np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def straight(y: float, left: float = 0.1, right: float = 0.9) -> np.ndarray:
    return np.stack([np.linspace(left, right, 9), np.full(9, y)], axis=1)[None].astype(np.float32)


def test_a_stroke_covers_its_band_and_nothing_else() -> None:
    paint = Paint(Canvas(100, 100))
    paint.lay(rng(), straight(0.5), np.array([0.2], np.float32), RED)
    color, thickness = paint.picture(BLACK, NONE)
    assert (color[45:55, 25:55] == RED[0]).all()
    assert not color[:39].any()
    assert not color[61:].any()
    assert not color[:, 92:].any()
    assert (thickness[45:55, 25:55] > 0).all()
    assert not thickness[:39].any()


def test_the_later_stroke_lies_on_top() -> None:
    for order in ((RED, GREEN), (GREEN, RED)):
        paint = Paint(Canvas(100, 100))
        for color in order:
            paint.lay(rng(), straight(0.5), np.array([0.2], np.float32), color)
        assert paint.picture(BLACK, NONE)[0][50, 40].tolist() == order[1][0].tolist()


def test_bristles_vary_across_a_stroke() -> None:
    paint = Paint(Canvas(100, 100))
    paint.lay(rng(), straight(0.5), np.array([0.3], np.float32), RED * 0.5)
    column = paint.picture(BLACK, np.full(3, 0.1, np.float32))[0][40:60, 40, 0]
    assert column.std() > 0.01
    assert np.abs(column - 0.5).max() <= 0.1 + 1e-6


def test_strokes_may_hang_over_the_edge() -> None:
    paint = Paint(Canvas(64, 64))
    paint.lay(rng(), straight(0.0, -3.0, 4.0), np.array([0.1], np.float32), RED)
    color, _ = paint.picture(BLACK, NONE)
    assert color[0, 32, 0] == 1
    assert not color[10:].any()


def test_spines_follow_the_flow() -> None:
    canvas = Canvas(40, 40)
    flow = np.broadcast_to(np.array([0.6, -0.8], np.float32), (40, 40, 2))
    start = np.array([0.5], np.float32)
    path = follow(canvas, flow, start, start, np.array([0.4], np.float32), 5)
    steps = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    assert path[0] == pytest.approx(np.stack([0.5 + 0.6 * steps, 0.5 - 0.8 * steps], axis=1), abs=1e-5)


def test_turning_a_direction() -> None:
    right = np.broadcast_to(np.array([1, 0], np.float32), (2, 2, 2))
    assert turned(right, np.full((2, 2), np.pi / 2))[0, 0] == pytest.approx([0, 1], abs=1e-6)


def test_a_pen_line_holds_as_much_ink_as_it_is_wide() -> None:
    canvas = Canvas(200, 200)
    pen = Pen(canvas, canvas, rng())
    path = straight(0.5)
    pen.draw(path, np.full(path.shape[:2], 0.02, np.float32))  # 4 pixels wide
    ink = pen.ink.reshape(200, 200)
    assert ink[:, 80:120].sum() / 40 == pytest.approx(4, rel=0.02)
    assert not ink[:97].any()
    assert not ink[104:].any()


def test_a_pen_hatches_only_where_it_is_dark() -> None:
    canvas = Canvas(120, 120)
    pen = Pen(canvas, canvas, rng())
    flow = np.broadcast_to(np.array([1, 0], np.float32), (120, 120, 2))
    tone = np.zeros((120, 120), np.float32)
    tone[60:] = 1
    pen.hatch(flow, tone, 800, 0.1, (0.2, 0.6))
    ink = pen.ink.reshape(120, 120)
    assert not ink[:57].any()
    assert ink[62:].mean() > 0.1
    pen.erase(np.ones((120, 120), np.float32))
    assert not pen.ink.any()


def test_a_block_prints_shapes_in_proportion() -> None:
    block = Block(Canvas(50, 200))
    assert block.bare(0.5, 0.5)
    block.dot(0.5, 0.5, 0.1, "#ff0000")  # a radius of 10 pixels on a canvas of 100 pixels a unit
    assert not block.bare(0.5, 0.5)
    assert not block.bare(1.5, 0.5)
    color, printed = block.proof()
    assert color[25, 100].tolist() == [1, 0, 0]
    assert printed.sum() == pytest.approx(np.pi * 100, rel=0.08)
    assert np.flatnonzero(printed.sum(0)).tolist()[:: len(np.flatnonzero(printed.sum(0))) - 1] == pytest.approx(
        [90, 109], abs=1
    )


def test_a_curve_runs_through_its_points() -> None:
    points = ((0.0, 0.0), (0.3, 0.5), (0.7, 0.4), (1.0, 1.0))
    assert curve(points, 7)[::2] == pytest.approx(np.array(points))
