"""Shapes cut in a block: polygons, lines and tapering ribbons with smooth edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from impasto.samples.canvas import Array, Canvas

__all__ = ["Block", "Points", "curve"]

Points = Sequence[tuple[float, float]]


class Block:
    """A drawing in parts of the sheet, cut finer than the canvas so that its edges come out smooth."""

    def __init__(self, canvas: Canvas) -> None:
        self.fine = 2 if canvas.height * canvas.width <= 3_000_000 else 1
        self.canvas = canvas
        size = (canvas.width * self.fine, canvas.height * self.fine)
        self.image = Image.new("RGB", size)
        self.mask = Image.new("L", size, 0)
        self.pens = (ImageDraw.Draw(self.image), ImageDraw.Draw(self.mask))
        self.scale = np.array([canvas.width, canvas.height]) * self.fine
        self.unit = canvas.unit * self.fine
        #: Parts of the sheet per unit, so that a shape drawn in units keeps its proportions.
        self.stretch = np.array([1 / canvas.right, 1 / canvas.bottom])

    def fill(self, points: Array, color: str) -> None:
        """A filled polygon."""
        flat = (points * self.scale).reshape(-1).tolist()
        self.pens[0].polygon(flat, fill=color)
        self.pens[1].polygon(flat, fill=255)

    def line(self, points: Array, width: float, color: str) -> None:
        """A line, its width in units."""
        flat = (points * self.scale).reshape(-1).tolist()
        thick = max(1, round(width * self.unit))
        self.pens[0].line(flat, fill=color, width=thick, joint="curve")
        self.pens[1].line(flat, fill=255, width=thick, joint="curve")

    def ribbon(self, spine: Array, half: Array, color: str, rim: float = 0.0) -> None:
        """A tapering shape along a spine ``(P, 2)``; half its width ``(P,)`` in units."""
        tangent = np.gradient(spine / self.stretch, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        offset = normal * (half + rim)[:, None] * self.stretch
        cap = (spine[-1] + tangent[-1] * (half[-1] + rim) * self.stretch)[None]
        root = (spine[0] - tangent[0] * (half[0] + rim) * self.stretch)[None]
        self.fill(np.concatenate([root, spine + offset, cap, (spine - offset)[::-1]]), color)

    def dot(self, x: float, y: float, radius: float, color: str) -> None:
        """A disc, its radius in units."""
        turn = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius * self.stretch
        self.fill(np.array([x, y]) + circle, color)

    def bare(self, x: float, y: float) -> bool:
        """Whether nothing is drawn there yet."""
        px, py = int(x * self.scale[0]), int(y * self.scale[1])
        return 0 <= px < self.mask.width and 0 <= py < self.mask.height and not self.mask.getpixel((px, py))

    def proof(self) -> tuple[Array, Array]:
        """The colors ``(H, W, 3)`` and what is covered ``(H, W)``, at the canvas's size."""
        size = (self.canvas.width, self.canvas.height)
        image, mask = (
            np.asarray(i.resize(size, Image.Resampling.BOX), np.float32) / 255 for i in (self.image, self.mask)
        )
        return image, mask


def curve(points: Points | Array, count: int = 80) -> Array:
    """A Catmull-Rom spline through the points, ``(count, 2)``."""
    p = np.asarray(points, np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    at = np.linspace(0, len(p) - 3, count)
    i = np.minimum(at.astype(int), len(p) - 4)
    t = (at - i)[:, None]
    a, b, c, d = (p[i + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
