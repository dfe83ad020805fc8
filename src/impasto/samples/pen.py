"""A pen: strokes of ink that swell and taper."""

from __future__ import annotations

import numpy as np

from impasto.samples.brush import follow
from impasto.samples.canvas import Array, Canvas, smoothstep
from impasto.samples.cells import scatter

__all__ = ["Pen", "turned"]


class Pen:
    """Ink on a canvas. What it draws after is on a draft: another canvas of the same proportions."""

    def __init__(self, canvas: Canvas, draft: Canvas, rng: np.random.Generator) -> None:
        self.canvas, self.draft, self.rng = canvas, draft, rng
        self.ink = np.zeros(canvas.height * canvas.width, np.float32)

    def hatch(self, flow: Array, tone: Array, count: int, length: float, limits: tuple[float, float]) -> None:
        """Hatch along a flow wherever it is dark.

        Args:
            flow: Directions on the draft, ``(H, W, 2)``.
            tone: 0 (paper) to 1 (black) on the draft, ``(H, W)``.
            count: Strokes, were it dark all over.
            length: Of a stroke, in units.
            limits: No ink where the tone is below the first, the full width above the second.
        """
        x, y = scatter(self.rng, self.draft, count)
        chance = self.rng.normal(size=(count, 3)).astype(np.float32)
        some = self.draft.sample(tone, x, y) > limits[0] * 0.8
        x, y, chance = x[some], y[some], chance[some]
        path = follow(self.draft, flow, x, y, length * np.exp(np.float32(0.3) * np.clip(chance[:, 0], -2, 2)))
        path = path + np.float32(0.0006) * chance[:, None, 1:3]
        pressure = smoothstep(limits[0], limits[1], self.draft.sample(tone, path[..., 0], path[..., 1]))
        self.draw(path, np.float32(0.0022) * pressure)

    def draw(self, path: Array, width: Array) -> None:
        """Spines ``(N, P, 2)`` and widths ``(N, P)``, in units; strokes taper at both ends."""
        if not len(path):
            return
        unit = np.float32(self.canvas.unit)
        thin = np.float32(0.00025) * unit  # fainter than this the pen does not touch the paper
        length = np.linalg.norm(np.diff(path, axis=1), axis=2).sum(1).max()
        along = max(4, int(np.ceil(length * unit / 0.6)))
        at = np.linspace(0, path.shape[1] - 1, along, dtype=np.float32)
        left = np.minimum(at.astype(np.int32), path.shape[1] - 2)
        part = at - left.astype(np.float32)
        taper = np.minimum(1, np.float32(6) * np.minimum(at, at[-1] - at) / at[-1] + np.float32(0.25))
        rows = max(1, 400_000 // along)
        for first in range(0, len(path), rows):  # bounds the memory
            p, w = path[first : first + rows], width[first : first + rows]
            spine = (p[:, left] + part[:, None] * (p[:, left + 1] - p[:, left])) * unit
            wide = (w[:, left] + part * (w[:, left + 1] - w[:, left])) * unit * taper
            tangent = np.gradient(spine, axis=1)
            step = np.linalg.norm(tangent, axis=2)
            tangent /= np.maximum(step, 1e-6)[..., None]
            lanes = max(2, int(np.ceil(float(wide.max()) / 0.8)))
            for lane in np.linspace(-0.5, 0.5, lanes, dtype=np.float32):
                ix = np.floor(spine[..., 0] - tangent[..., 1] * wide * lane).astype(np.int32)
                iy = np.floor(spine[..., 1] + tangent[..., 0] * wide * lane).astype(np.int32)
                amount = step * wide / np.float32(lanes)
                good = (wide > thin) & (ix >= 0) & (iy >= 0) & (ix < self.canvas.width) & (iy < self.canvas.height)
                where = iy[good] * np.int32(self.canvas.width) + ix[good]
                self.ink += np.bincount(where, amount[good], len(self.ink)).astype(np.float32)

    def erase(self, where: Array) -> None:
        """Leave paper for what stands in front; 1 takes all ink away."""
        self.ink *= 1 - where.reshape(-1)


def turned(flow: Array, angle: Array) -> Array:
    """Directions ``(H, W, 2)`` turned by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([flow[..., 0] * cos - flow[..., 1] * sin, flow[..., 0] * sin + flow[..., 1] * cos], axis=2)
