"""Bristle brush strokes, thousands at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.samples.canvas import Array, Canvas

__all__ = ["Paint", "follow"]

BRISTLES = 11
#: Points stamped at once: bounds the memory.
BATCH = 600_000
#: Distance between stamped points in pixels, and how finely the place within a stroke is remembered.
STEP = 0.8
FINE = 255


class Paint:
    """The paint on a canvas: for each pixel the stroke on top and the place within it.

    Color and thickness are worked out only when all strokes lie, so that a hidden stroke costs little.
    """

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.colors: list[Array] = []
        self.bristles: list[Array] = []
        self.loads: list[Array] = []
        self.count = 0
        # A margin takes the strokes' ends that hang over the edge.
        self.margin = int(0.06 * canvas.unit) + 2
        self.shape = (canvas.height + 2 * self.margin, canvas.width + 2 * self.margin)
        self.stroke: NDArray[np.int32] = np.full(self.shape[0] * self.shape[1], -1, np.int32)
        self.place: NDArray[np.int32] = np.zeros(self.shape[0] * self.shape[1], np.int32)

    def lay(self, rng: np.random.Generator, path: Array, width: Array, color: Array, load: float = 1.0) -> None:
        """Lay strokes, the first one undermost.

        Args:
            rng: For the bristles.
            path: The strokes' spines in units, ``(N, P, 2)``, evenly spaced points.
            width: In units, ``(N,)``.
            color: ``(N, 3)``.
            load: How much paint is on the brush: its relief.
        """
        number = len(path)
        tones = rng.uniform(-1, 1, (number, 2, BRISTLES)).astype(np.float32)
        lifts = rng.uniform(0, 1, (number, 2, BRISTLES)).astype(np.float32)
        unit = np.float32(self.canvas.unit)
        length = np.linalg.norm(np.diff(path, axis=1), axis=2).sum(1).max()
        along = max(4, int(np.ceil(length * unit / STEP)))
        across = max(3, int(np.ceil(float(width.max()) * unit / STEP)))
        batch = max(1, BATCH // (along * across))
        for first in range(0, number, batch):
            part = slice(first, first + batch)
            self._stamp(path[part] * unit, width[part] * unit, tones[part], lifts[part], (along, across), first)
        self.colors.append(color.astype(np.float32))
        self.bristles.append(tones)
        self.loads.append(np.full(number, load, np.float32))
        self.count += number

    def _stamp(
        self, path: Array, width: Array, tones: Array, lifts: Array, points: tuple[int, int], first: int
    ) -> None:
        s = np.linspace(0, 1, points[0], dtype=np.float32)
        t = np.linspace(-1, 1, points[1], dtype=np.float32)
        spine = _between(path, s * np.float32(path.shape[1] - 1))
        tangent = np.gradient(spine, axis=1)
        tangent *= (width / 2)[:, None, None] / np.maximum(np.linalg.norm(tangent, axis=2, keepdims=True), 1e-6)
        spine = spine + np.float32(self.margin)
        x = (spine[:, :, None, 0] - tangent[:, :, None, 1] * t).astype(np.int32)
        y = (spine[:, :, None, 1] + tangent[:, :, None, 0] * t).astype(np.int32)
        np.clip(x, 0, self.shape[1] - 1, out=x)
        np.clip(y, 0, self.shape[0] - 1, out=y)

        # Hairs touch down and lift off one by one; the emptiest lift long before the stroke's end.
        hair = (t + 1) * np.float32((BRISTLES - 1) / 2)
        round_off = np.float32(0.10) * t**2
        down = np.float32(0.10) * _between(lifts[:, 0], hair) + round_off
        up = 1 - np.float32(0.30) * _between(lifts[:, 1], hair) ** 2 - round_off
        up = np.where(_between(tones[:, 1], hair) < np.float32(-0.75), np.minimum(up, np.float32(0.65)), up)
        wet = (s[:, None] > down[:, None]) & (s[:, None] < up[:, None])

        at = (y * np.int32(self.shape[1]) + x)[wet]
        number = np.arange(self.count + first, self.count + first + len(path), dtype=np.int32)
        place = np.rint(s * FINE).astype(np.int32)[:, None] * (FINE + 1) + np.rint((t + 1) * (FINE / 2)).astype(
            np.int32
        )
        # Of several values for a pixel the last one stays: the strokes lie in their order.
        self.stroke[at] = np.broadcast_to(number[:, None, None], wet.shape)[wet]
        self.place[at] = np.broadcast_to(place, wet.shape)[wet]

    def picture(self, ground: Array, variety: Array) -> tuple[Array, Array]:
        """The color ``(H, W, 3)`` and the thickness ``(H, W)``.

        Args:
            ground: The bare canvas's color, ``(3,)``.
            variety: What a bristle at tone +1 adds to its stroke's color, ``(3,)``.
        """
        stroke, place = self.stroke.reshape(self.shape), self.place.reshape(self.shape)
        around = stroke[1:-1, :-2]
        hole = (stroke[1:-1, 1:-1] != around) & (stroke[1:-1, 2:] == around)  # missed where a stroke bends sharply
        hole &= (stroke[:-2, 1:-1] == around) & (stroke[2:, 1:-1] == around)
        for layer in (stroke, place):
            layer[1:-1, 1:-1][hole] = layer[1:-1, :-2][hole]
        inside = slice(self.margin, -self.margin)
        stroke, place = stroke[inside, inside], place[inside, inside]
        s = (place // (FINE + 1)).astype(np.float32) / FINE
        t = (place % (FINE + 1)).astype(np.float32) * np.float32(2 / FINE) - 1

        hair = (t + 1) * np.float32((BRISTLES - 1) / 2)
        left = np.minimum(hair.astype(np.int32), BRISTLES - 2)
        part = hair - left.astype(np.float32)
        bristles = np.concatenate([*self.bristles, np.zeros((1, 2, BRISTLES), np.float32)]).reshape(-1)
        at = (stroke + (stroke < 0) * np.int32(self.count + 1)) * np.int32(2 * BRISTLES) + left
        begin = bristles[at] + part * (bristles[at + 1] - bristles[at])
        at += BRISTLES
        end = bristles[at] + part * (bristles[at + 1] - bristles[at])
        tone = begin + s * (end - begin)

        table = np.concatenate([*self.colors, ground.reshape(1, 3).astype(np.float32)])
        color = table[stroke] + tone[..., None] * variety.astype(np.float32)
        edge = np.abs(t)
        body = np.float32(0.62) + np.float32(0.36) * tone + np.float32(0.40) * edge**3 - np.float32(0.25) * s
        load = np.concatenate([*self.loads, np.zeros(1, np.float32)])
        return color, load[stroke] * body * np.minimum(1, (1 - edge) * 3 + np.float32(0.35))


def _between(values: Array, at: Array) -> Array:
    """Linear interpolation along the second axis at fractional indices."""
    index = np.clip(at.astype(np.int32), 0, values.shape[1] - 2)
    part = (at - index).astype(np.float32).reshape([-1] + [1] * (values.ndim - 2))
    low = values[:, index]
    return low + part * (values[:, index + 1] - low)


def follow(canvas: Canvas, flow: Array, x: Array, y: Array, length: Array, points: int = 9) -> Array:
    """Spines centered on (x, y) along a flow.

    Args:
        canvas: For its coordinates.
        flow: Directions ``(H, W, 2)`` of about unit length.
        x: Centers in units, ``(N,)``.
        y: Likewise.
        length: Of each spine, in units, ``(N,)``.
        points: On each spine, odd.

    Returns:
        ``(N, points, 2)``.
    """
    half = points // 2
    step = (length / np.float32(points - 1))[:, None]
    path = np.empty((len(x), points, 2), np.float32)
    path[:, half] = np.stack([x, y], axis=1)
    for sign, stop in ((1, points), (-1, -1)):
        for index in range(half + sign, stop, sign):
            here = path[:, index - sign]
            direction = canvas.sample(flow, here[:, 0], here[:, 1])
            direction = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
            path[:, index] = here + sign * step * direction
    return path
