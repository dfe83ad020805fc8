"""Marbled paper: stones of ink on water, combed into feathers, then drawn into whirls.

Lu, Jaffer, Jin, Zhao and Mao, "Mathematical Marbling" (2012): every movement of the ink has a simple inverse, so each
pixel is followed back through all of them to the drop that it came from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.samples.canvas import Array, Canvas, colors, mix, smoothstep
from impasto.samples.cells import Ids, spread

__all__ = ["paint"]

INKS = colors(
    "#12203f", "#f2e6cc", "#9e1f28", "#1f6f78", "#e0a030", "#12203f", "#efdcc0", "#c8502c", "#3c8f8c", "#2a3b6b"
)  # fmt: skip
PAPER = colors("#f4ead4")[0]
#: Large drops first, small ones after them; how many rings a large one has, at most.
STONES, SPOTS, RINGS = 34, 26, 9
#: Whirls: x, y (parts of the sheet), reach (units) and turn (radians).
WHIRLS = (
    (0.30, 0.30, 0.20, 2.6),
    (0.72, 0.40, 0.16, -2.4),
    (0.42, 0.76, 0.17, -2.5),
    (0.86, 0.83, 0.12, 2.3),
    (0.10, 0.66, 0.10, 2.0),
)
#: Rows handled at once: few enough to stay in the processor's cache.
STRIP = 24


@dataclass(frozen=True)
class Bath:
    """Everything that was done to the ink, in plain numbers."""

    whirls: list[tuple[float, float, float, float]]  # x, y, reach (units), turn
    combs: list[float]  # where the teeth were set
    drops: list[tuple[float, float, float, int, int]]  # x, y, radius (units), rings, first ink; the last drop first


def paint(canvas: Canvas, rng: np.random.Generator) -> Array:
    """The picture, ``(H, W, 3)``."""
    bath = _prepare(canvas, rng)
    strips = [_trace(bath, canvas.x, canvas.y[top : top + STRIP]) for top in range(0, canvas.height, STRIP)]
    ink, ring = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    fluid = canvas.noise(rng, 40, 3, gain=0.8)
    grain = canvas.noise(rng, 170, 2, gain=0.9)
    fiber = canvas.noise(rng, 24, 4, gain=0.8)
    # Ink gathers at the rims, lies thin here and there, and the paper shows through.
    color = INKS[ink] * (1 - np.float32(0.16) * smoothstep(0.55, 1.0, ring))[..., None]
    thin = np.clip(0.05 + 0.032 * fluid + 0.05 * grain + 0.02 * fiber, 0, 0.5)
    return mix(color, PAPER, thin) * (1 + np.float32(0.02) * grain + np.float32(0.012) * fiber)[..., None]


def _prepare(canvas: Canvas, rng: np.random.Generator) -> Bath:
    size = np.array([canvas.right, canvas.bottom])
    whirls = []
    for fx, fy, reach, turn in WHIRLS:
        x, y = (np.array([fx, fy]) + rng.uniform(-0.04, 0.04, 2)) * size
        whirls.append((float(x), float(y), reach * float(rng.uniform(0.9, 1.15)), turn))
    combs = rng.uniform(0, 1, 5).tolist()
    count = STONES + SPOTS
    # Some drops fall beside the sheet, lest its margin be bare.
    x, y = ((spread(rng, count, shake=0.2) * 1.5 - 0.25) * size).T
    radius = np.concatenate([rng.uniform(0.025, 0.050, SPOTS), rng.uniform(0.070, 0.140, STONES)])
    rings = np.concatenate([np.full(SPOTS, 3), rng.integers(RINGS - 4, RINGS + 1, STONES)])
    first = rng.integers(len(INKS), size=count)
    drops = list(zip(x.tolist(), y.tolist(), radius.tolist(), rings.tolist(), first.tolist(), strict=True))
    return Bath(whirls, combs, drops)


def _trace(bath: Bath, x: Array, y: Array) -> tuple[Ids, Array]:
    """For a strip the ink at each pixel, and how near it lies to the rim of its ring (0 to 1)."""
    x, y = (field.copy() for field in np.broadcast_arrays(x, y))
    for cx, cy, reach, turn in bath.whirls:
        dx, dy = x - np.float32(cx), y - np.float32(cy)
        angle = np.float32(turn) * np.exp((dx * dx + dy * dy) * np.float32(-2.2 / reach**2))
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = np.float32(cx) + dx * cos - dy * sin, np.float32(cy) + dx * sin + dy * cos
    fine, there, back, tilt, phase = bath.combs
    sway = np.float32(0.010) * np.sin(y * np.float32(17 + 4 * tilt))
    y = y + _comb(x + sway, 0.052, fine, 0.085)
    x = x + np.float32(0.014) * np.sin(y * np.float32(24) + np.float32(6 * phase))
    x = x - _comb(y, 0.105, there, 0.16)
    x = x + _comb(y, 0.105, back, 0.16)

    ink, ring = np.full(x.shape, -1, np.int32), np.zeros(x.shape, np.float32)
    for cx, cy, radius, rings, first in bath.drops:
        # A drop of radius r at c pushed what lay at p out to c + (p - c) sqrt(1 + r² / |p - c|²).
        dx, dy = x - np.float32(cx), y - np.float32(cy)
        share = (dx * dx + dy * dy) * np.float32(1 / radius**2)
        inside = (share < 1) & (ink < 0)
        depth = np.sqrt(share[inside]) * np.float32(rings)
        ink[inside] = (depth.astype(np.int32) + first) % len(INKS)
        ring[inside] = depth % 1
        shrink = np.sqrt(np.maximum(1 - 1 / np.maximum(share, np.float32(1e-6)), 0))
        x, y = np.float32(cx) + dx * shrink, np.float32(cy) + dy * shrink
    bare = ink < 0
    ground = np.float32(9) * np.sqrt(x[bare] ** 2 + y[bare] ** 2)
    ink[bare] = ground.astype(np.int32) % len(INKS)
    ring[bare] = ground % 1
    return ink, ring


def _comb(at: Array, spacing: float, shift: float, pull: float) -> Array:
    """How far teeth ``spacing`` apart drag the ink: most on their own line, less and less beside it."""
    off = np.mod(at + np.float32(shift * spacing), np.float32(spacing)) - np.float32(spacing / 2)
    return np.float32(pull) * np.exp2(np.abs(off) * np.float32(-8 / spacing))
