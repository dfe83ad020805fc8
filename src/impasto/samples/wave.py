"""A great wave with claws of foam, cut in wood and printed in blues on cream paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impasto.samples.canvas import Array, Canvas, colors, gradient, mix
from impasto.samples.woodblock import Block, Points, curve

__all__ = ["paint"]

SKY = colors("#8f9a96", "#c9bd9c", "#ecd9b0", "#f3e2bd", "#f0cfa4", "#e9b48c")
LINE, DEEP, BLUE, MIDDLE, PALE, FOAM = "#12284a", "#17386b", "#2b5f99", "#6b9cbd", "#b5cfd1", "#f6efdb"
CLOUD, ROCK = "#e8a98a", "#4f7392"
PAPER = colors("#f2e4c4")[0]

#: A stripe: from, to (parts of the way between its curves), color.
Band = tuple[float, float, str]
#: A coat of paint on a claw: scale of its width, rim (units), color.
Coat = tuple[float, float, str]
#: The great wave, in parts of the sheet: its hollow face from the trough to the tip, and its back.
FACE: Points = (
    (1.12, 0.660), (0.90, 0.765), (0.70, 0.785), (0.545, 0.715), (0.445, 0.595), (0.405, 0.460), (0.420, 0.340),
    (0.470, 0.272), (0.540, 0.258), (0.610, 0.310),
)  # fmt: skip
BACK: Points = (
    (1.15, 1.30), (0.62, 1.25), (0.16, 1.10), (-0.02, 0.88), (-0.06, 0.63), (0.045, 0.420), (0.135, 0.265),
    (0.245, 0.150), (0.385, 0.095), (0.610, 0.310),
)  # fmt: skip
#: The swell in front and the wave behind, from left to right.
SWELL: Points = (
    (-0.08, 0.90), (0.06, 0.850), (0.17, 0.785), (0.27, 0.755), (0.37, 0.780), (0.46, 0.850), (0.60, 0.905),
    (0.80, 0.905), (1.08, 0.830),
)  # fmt: skip
BEHIND: Points = (
    (0.52, 0.80), (0.66, 0.735), (0.77, 0.655), (0.845, 0.575), (0.905, 0.545), (0.965, 0.560), (1.01, 0.600),
    (1.08, 0.64),
)  # fmt: skip
#: Clouds: y, left and right end (parts of the sheet), half their thickness (units).
CLOUDS = (
    (0.335, 0.62, 1.05, 0.014),
    (0.385, 0.74, 1.05, 0.009),
    (0.435, 0.56, 0.90, 0.008),
    (0.060, 0.62, 0.98, 0.010),
    (0.105, 0.74, 1.06, 0.008),
)
#: The far mountain and the snow on it, about its peak.
MOUNTAIN: Points = (
    (-0.20, 0.195), (-0.10, 0.125), (-0.045, 0.062), (-0.012, 0.008), (0.012, 0.006), (0.050, 0.064), (0.11, 0.125),
    (0.22, 0.195),
)  # fmt: skip
SNOWCAP: Points = (
    (-0.054, 0.074), (-0.012, 0.008), (0.012, 0.006), (0.062, 0.080), (0.045, 0.070), (0.036, 0.100), (0.018, 0.066),
    (0.004, 0.108), (-0.010, 0.070), (-0.026, 0.095), (-0.034, 0.064),
)  # fmt: skip


def paint(canvas: Canvas, rng: np.random.Generator) -> Array:
    """The picture, ``(H, W, 3)``."""
    block = Block(canvas)
    _distance(block, rng)
    _behind(block, rng)
    _great_wave(block, rng)
    _swell(block, rng)
    _spray(block, rng)
    flats, printed = block.proof()
    return _pull(canvas, flats, printed, rng)


def _claw(
    block: Block,
    root: Array,
    heading: float,
    length: float,
    curl: float,
    coat: Coat,
    own: np.random.Generator,
    depth: int,
) -> None:
    """A hooked finger of foam with smaller ones on its back, drawn root to tip."""
    steps = 14
    scale, rim, color = coat
    t = np.linspace(0, 1, steps)
    angle = heading + curl * t**1.5
    stride = length / (steps - 1) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    spine = root + np.concatenate([np.zeros((1, 2)), np.cumsum(stride[:-1], axis=0)]) * block.stretch
    half = 0.16 * length * (1 - t) ** 0.8 * (1 + 0.5 * np.sin(np.pi * t)) + 0.030 * length
    block.ribbon(spine, half * scale, color, rim)
    if depth:
        for place, size in ((0.22, 0.46), (0.42, 0.50), (0.60, 0.46), (0.78, 0.38)):
            k = int(place * (steps - 1))
            size = size * own.uniform(0.8, 1.2)
            lean = angle[k] - np.sign(curl) * own.uniform(0.6, 1.0)
            _claw(block, spine[k], lean, length * size, curl * 1.2, coat, own, depth - 1)


def _foam(
    block: Block, lip: Array, rng: np.random.Generator, size: float, fall: float, count: int, curl: float = 1.9
) -> None:
    """Claws along a lip: first their dark rims, then the foam, which hides the rims inside, then its shadows."""
    tangent = np.gradient(lip / block.stretch, axis=0)
    seeds = rng.integers(2**31, size=count)
    places = np.linspace(0.02, 0.99, count) + rng.uniform(-0.3, 0.3, count) / count
    grown = size * (0.60 + 0.60 * np.clip(places, 0, 1) ** 1.3) * rng.uniform(0.65, 1.25, count)
    for coat in ((1.0, 0.0026, LINE), (1.0, 0.0, FOAM), (0.22, 0.0, MIDDLE)):
        for seed, place, length in zip(seeds.tolist(), places.tolist(), grown.tolist(), strict=True):
            k = int(np.clip(place, 0, 1) * (len(lip) - 1))
            heading = float(np.arctan2(tangent[k, 1], tangent[k, 0]))
            own = np.random.Generator(np.random.PCG64(seed))
            _claw(block, lip[k], heading + fall * own.uniform(0.5, 1.2), length, curl, coat, own, 1)


def _bands(block: Block, low: Array, high: Array, rng: np.random.Generator, plan: Sequence[Band], end: float) -> None:
    """Stripes between two curves that run side by side; each tapers to a point before the end."""
    t = np.linspace(0, 1, len(low))[:, None]
    for start, stop, color in plan:
        last = end * rng.uniform(0.86, 1.0)
        swing = 0.012 * np.sin(2 * np.pi * (1.3 * t + rng.uniform()))
        narrowing = np.clip(1 - (t / last) ** 3, 0, 1)
        middle, half = (start + stop) / 2 + swing, (stop - start) / 2 * narrowing
        inside = t[:, 0] <= last
        edge = [(low + (middle + sign * half) * (high - low))[inside] for sign in (-1, 1)]
        block.fill(np.concatenate([edge[0], edge[1][::-1]]), color)
        if color in (PALE, FOAM):  # the key block's line beside the light ones
            block.line(edge[1], 0.0013, LINE)
    for _ in range(9):  # hairlines, cut with a lighter hand
        place, first, last = rng.uniform(0.03, 0.97), rng.uniform(0, 0.5), rng.uniform(0.6, 1) * end
        swing = 0.012 * np.sin(2 * np.pi * (1.3 * t + rng.uniform()))
        inside = (t[:, 0] >= first) & (t[:, 0] <= last)
        block.line((low + (place + swing) * (high - low))[inside], 0.0011, PALE if rng.uniform() < 0.4 else LINE)


def _distance(block: Block, rng: np.random.Generator) -> None:
    """Clouds, the far mountain and the far sea."""
    t = np.linspace(0, 1, 40)
    for height, left, right, thick in CLOUDS:
        y = height + rng.uniform(-0.01, 0.01) + 0.006 * np.sin(5 * t + rng.uniform(0, 6))
        half = thick * np.sin(np.linspace(0.5, np.pi - 0.25, 40)) ** 0.7 * (1 + 0.3 * np.sin(9 * t))
        block.ribbon(np.stack([right + t * (left - right), y], axis=1), half, CLOUD)
    peak = np.array([0.665 + rng.uniform(-0.015, 0.015), 0.560])
    slopes = peak + curve(MOUNTAIN, 60)
    block.fill(slopes, ROCK)
    block.fill(peak + np.array(SNOWCAP), FOAM)
    block.line(slopes, 0.0022, LINE)
    block.fill(np.array([(-0.1, 0.735), (1.1, 0.735), (1.1, 1.1), (-0.1, 1.1)]), MIDDLE)


def _behind(block: Block, rng: np.random.Generator) -> None:
    """The wave behind, on the right."""
    crest = curve(BEHIND)
    low = crest + np.stack([np.linspace(0.02, 0.10, 80), np.linspace(0.10, 0.42, 80)], axis=1)
    block.fill(np.concatenate([crest, [(1.1, 1.1), (0.5, 1.1)]]), BLUE)
    plan = (
        (0.08, 0.16, PALE), (0.22, 0.27, FOAM), (0.30, 0.44, DEEP), (0.50, 0.56, PALE), (0.62, 0.80, DEEP),
        (0.86, 0.92, MIDDLE),
    )  # fmt: skip
    _bands(block, crest, low, rng, plan, 1.0)
    block.line(crest, 0.0030, LINE)
    _foam(block, crest[24:64], rng, 0.036, -0.35, 15, curl=2.2)


def _great_wave(block: Block, rng: np.random.Generator) -> None:
    """The body in stripes, a mane of foam within the crest, claws above and under it."""
    face, back = curve(FACE, 120), curve(BACK, 120)
    block.fill(np.concatenate([back[::-1], face]), BLUE)
    plan = (
        (0.035, 0.075, FOAM), (0.095, 0.185, DEEP), (0.200, 0.235, PALE), (0.255, 0.370, DEEP), (0.385, 0.415, FOAM),
        (0.440, 0.545, DEEP), (0.565, 0.600, PALE), (0.620, 0.700, DEEP), (0.720, 0.750, FOAM), (0.775, 0.850, DEEP),
        (0.870, 0.905, PALE), (0.93, 0.985, DEEP),
    )  # fmt: skip
    _bands(block, face, back, rng, plan, 0.93)
    block.line(face, 0.0036, LINE)
    block.line(back, 0.0036, LINE)
    top = np.concatenate([back[62:], [(0.60, 0.335), (0.56, 0.285), (0.50, 0.262)]])
    inner = curve([(0.12, 0.335), (0.21, 0.235), (0.31, 0.185), (0.40, 0.190), (0.46, 0.225), (0.51, 0.262)], 40)
    _foam(block, inner[:34], rng, 0.050, 0.9, 20)
    block.fill(np.concatenate([top, inner[::-1]]), FOAM)
    middle = curve([(0.13, 0.295), (0.22, 0.20), (0.30, 0.152), (0.39, 0.140), (0.46, 0.165), (0.53, 0.225)], 40)
    _foam(block, middle, rng, 0.060, 0.60, 13)
    _foam(block, back[50:], rng, 0.062, -0.45, 34, curl=2.2)
    _foam(block, face[96:119], rng, 0.085, 0.80, 9)
    _foam(block, back[100:], rng, 0.115, -0.25, 9, curl=2.0)


def _swell(block: Block, rng: np.random.Generator) -> None:
    """The swell in front."""
    crest = curve(SWELL, 120)
    low = crest + np.stack([np.full(120, 0.03), 0.30 + 0.05 * np.sin(np.linspace(0, 6, 120))], axis=1)
    block.fill(np.concatenate([crest, [(1.1, 1.2), (-0.1, 1.2)]]), DEEP)
    plan = (
        (0.08, 0.15, MIDDLE), (0.22, 0.26, FOAM), (0.34, 0.46, BLUE), (0.52, 0.57, PALE), (0.66, 0.80, BLUE),
        (0.87, 0.90, FOAM), (0.97, 1.12, BLUE),
    )  # fmt: skip
    _bands(block, crest, low, rng, plan, 1.6)
    block.line(crest, 0.0034, LINE)
    _foam(block, crest[14:62], rng, 0.046, -0.35, 20, curl=2.2)


def _spray(block: Block, rng: np.random.Generator) -> None:
    """Drops flung off the crest."""
    count = 220
    x = 0.58 + 0.13 * rng.normal(size=count)
    y = 0.27 + 0.13 * rng.normal(size=count)
    r = 0.0014 + 0.0042 * rng.uniform(size=count) ** 2.5
    for px, py, radius in zip(x.tolist(), y.tolist(), r.tolist(), strict=True):
        if px > 0.30 and block.bare(px, py):
            block.dot(px, py, radius + 0.0016, LINE)
            block.dot(px, py, radius, FOAM)


def _pull(canvas: Canvas, flats: Array, printed: Array, rng: np.random.Generator) -> Array:
    """The print: graded sky, wood grain, ink that lies unevenly on a fibrous paper."""
    v = canvas.y / canvas.bottom + 0 * canvas.x
    grade = v + 0.02 * canvas.noise(rng, 3, 2, stretch=(3, 1))
    sky = gradient(SKY, grade, (0.0, 0.10, 0.24, 0.5, 0.68, 0.80))
    ring = canvas.noise(rng, 4, 2, stretch=(5.0, 1.0))
    wood = np.sin((v * 75 + 3.2 * ring) * np.float32(2 * np.pi)) * np.float32(0.6)
    wood = wood + np.float32(0.55) * canvas.noise(rng, 210, 1, stretch=(30, 1))
    grain = canvas.noise(rng, 170, 2, gain=0.9)
    fiber = canvas.noise(rng, 24, 4, gain=0.8, stretch=(3, 1))
    picture = mix(sky, flats, printed)
    ink = np.clip(np.abs(picture - PAPER).sum(2) * np.float32(0.8), 0, 1)
    worn = np.clip(0.07 + 0.042 * wood + 0.045 * grain + 0.015 * fiber, 0, 1) * ink
    picture = mix(picture, PAPER, worn)
    return picture * (1 + np.float32(0.014) * grain + np.float32(0.012) * wood + np.float32(0.012) * fiber)[..., None]
