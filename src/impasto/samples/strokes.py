"""A night over wheat fields: thick bristly strokes along a swirling flow, under a lamp from the upper left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.samples.brush import Paint, follow
from impasto.samples.canvas import Array, Canvas, blur, colors, gradient, light, mix, smoothstep
from impasto.samples.cells import scatter

__all__ = ["paint"]

SKY = colors("#080c30", "#121f68", "#1b3b9b", "#2566bb", "#3f97c6", "#7fc4c8", "#cbe2c2", "#f3f0c0")
GLOW = colors("#2460a4", "#5fa3b8", "#b9d29a", "#eed75c", "#f5b52c", "#fbe070", "#fffbe2")
HILLS = colors("#0d1b4a", "#1d3a7a", "#2f5f96", "#4b8b98", "#86b39a")
GROVE = colors("#04140f", "#0d3324", "#1f5a34", "#4c7d35", "#93a045")
WHEAT = colors("#5a3309", "#9c6212", "#cf9220", "#eebb3a", "#fbe08a", "#fff4c4")
CYPRESS = colors("#03090c", "#08201f", "#123c2b", "#2c5f33", "#66802f", "#a08a3a")
POPPIES = colors("#7e1410", "#c9281a", "#ea5a2a")
GROUND = colors("#1c3a80")[0]
#: What the bristles of one stroke may differ by.
VARIETY = np.array([0.085, 0.075, 0.06], np.float32)
#: The whirls: x, y (parts of the sheet), strength and sense, size (units).
WHIRLS = ((0.475, 0.285, -0.19, 0.115), (0.690, 0.435, 0.12, 0.080), (0.250, 0.485, -0.09, 0.070))
#: The moon and the stars: x, y (parts of the sheet), radius and reach of the halo (units).
MOON = (0.785, 0.185, 0.050, 0.185)
STARS = (
    (0.335, 0.105, 0.021, 0.088),
    (0.545, 0.095, 0.013, 0.055),
    (0.475, 0.455, 0.012, 0.050),
    (0.055, 0.155, 0.016, 0.066),
    (0.935, 0.430, 0.014, 0.060),
    (0.330, 0.330, 0.009, 0.040),
    (0.640, 0.040, 0.009, 0.040),
)


def paint(canvas: Canvas, rng: np.random.Generator) -> Array:
    """The picture, ``(H, W, 3)``."""
    brush = Brush(Paint(canvas), rng)
    _sky(brush)
    _land(brush)
    _cypresses(brush)
    color, thickness = brush.paint.picture(GROUND, VARIETY)
    weave = np.float32(0.03) * canvas.noise(rng, 150, 2)
    relief = blur(thickness + weave, canvas.unit / 1600) * np.float32(canvas.unit / 1024)
    return light(color, relief, depth=0.75, gloss=0.14)


@dataclass(frozen=True)
class Brush:
    """A hand that covers regions with strokes."""

    paint: Paint
    rng: np.random.Generator

    @property
    def canvas(self) -> Canvas:
        """What it paints on."""
        return self.paint.canvas

    @property
    def sheet(self) -> tuple[Array, Array]:
        """Each pixel's place in parts of the sheet: across ``(1, W)`` and down ``(H, 1)``."""
        return self.canvas.x / np.float32(self.canvas.right), self.canvas.y / np.float32(self.canvas.bottom)

    def cover(
        self,
        region: Array,
        flow: Array,
        palette: Array,
        tone: Array,
        *,
        count: int,
        length: float,
        width: float,
        spread: float = 0.10,
        load: float = 1.0,
        far_first: bool = False,
    ) -> None:
        """Cover a region.

        Args:
            region: Where, ``(H, W)``.
            flow: Directions ``(H, W, 2)``.
            palette: Colors from dark to light, ``(N, 3)``.
            tone: Where on the palette, 0 to 1, ``(H, W)``.
            count: Strokes, were the region the whole sheet.
            length: Of a stroke, in units, give or take.
            width: Likewise.
            spread: How far strokes stray from the tone.
            load: Of paint.
            far_first: From the top of the sheet downward, rather than from dark to light.
        """
        # Its own dice: at another size a stroke at the border may drop out, which must not change all that follow.
        canvas, rng = self.canvas, np.random.Generator(np.random.PCG64(int(self.rng.integers(2**62))))
        x, y = scatter(rng, canvas, count, shake=0.35)
        jitter = rng.normal(size=(count, 4)).astype(np.float32)
        keep = canvas.sample(_whole(canvas, region), x, y) > 0.5
        x, y, jitter = x[keep], y[keep], jitter[keep]
        if not len(x):
            return
        value = canvas.sample(_whole(canvas, tone), x, y) + np.float32(spread) * jitter[:, 0]
        # Not strictly in order: a few strokes lie as if laid too early or too late.
        rank = y + np.float32(0.02) * jitter[:, 1] if far_first else value + np.float32(0.25) * jitter[:, 1]
        order = np.argsort(rank, kind="stable")
        x, y, jitter, value = x[order], y[order], jitter[order], value[order]
        path = follow(canvas, flow, x, y, length * np.exp(np.float32(0.18) * np.clip(jitter[:, 2], -2, 1.6)))
        wide = width * np.exp(np.float32(0.15) * np.clip(jitter[:, 1], -2, 1.6))
        hue = jitter[:, 3:] * np.array([0.022, -0.009, -0.018], np.float32)
        self.paint.lay(rng, path, wide, gradient(palette, value) + hue, load)


def _sky(brush: Brush) -> None:
    """Wind and whirls, dark strokes first; then the halos and the lamps in them."""
    canvas, rng = brush.canvas, brush.rng
    x, y, right, bottom = canvas.x, canvas.y, canvas.right, canvas.bottom
    _, v = brush.sheet
    # A stream function of a breeze, a few whirls and some noise; strokes follow its level lines.
    stream = 0.75 * y + np.float32(0.030) * canvas.noise(rng, 3.2, 2)
    spiral = np.zeros((canvas.height, canvas.width), np.float32)
    for fx, fy, strength, size in WHIRLS:
        dx, dy = x - (fx + rng.uniform(-0.015, 0.015)) * right, y - (fy + rng.uniform(-0.015, 0.015)) * bottom
        square = (dx**2 + dy**2) * np.float32(1 / size**2)
        stream = stream + np.float32(strength) * np.exp(square * np.float32(-0.5))
        winding = np.float32(3.2 if strength > 0 else -3.2) * np.log(square + np.float32(0.02))
        spiral += np.exp(square * np.float32(-0.22)) * (0.15 + 0.26 * np.cos(2 * np.arctan2(dy, dx) - winding))
    flow = _along(canvas, stream)
    tone = 0.20 + 0.34 * v + 0.10 * np.sin(stream * np.float32(95)) + 0.06 * canvas.noise(rng, 5, 2) + spiral

    glow = np.zeros((canvas.height, canvas.width), np.float32)
    lamps = [(MOON[0] * right, MOON[1] * bottom, *MOON[2:])]
    for fx, fy, radius, reach in STARS:
        size = float(rng.uniform(0.85, 1.2))
        fx, fy = fx + float(rng.uniform(-0.02, 0.02)), fy + float(rng.uniform(-0.02, 0.02))
        lamps.append((fx * right, fy * bottom, radius * size, reach * size))
    for cx, cy, radius, reach in lamps:
        dx, dy = x - np.float32(cx), y - np.float32(cy)
        distance = np.hypot(dx, dy)
        near = smoothstep(reach * 1.25, reach * 0.45, distance)
        ring = np.stack(np.broadcast_arrays(-dy, dx), axis=2) / np.maximum(distance, np.float32(1e-4))[..., None]
        # Far out a ring turns with the wind, so that no seam shows where they meet.
        sense = np.where(near > 0.6, 1, np.sign((ring * flow).sum(2) + np.float32(1e-6)))
        flow = mix(flow, ring * sense.astype(np.float32)[..., None], near)
        waves = 0.88 + 0.10 * np.cos(distance * np.float32(2 * np.pi / (reach * 0.30)))
        halo = np.clip(1 - (distance - np.float32(radius)) / np.float32(reach - radius), 0, 1) ** np.float32(1.2)
        glow = np.maximum(glow, np.where(distance < radius, 1.3 - 0.25 * distance / np.float32(radius), halo * waves))

    air = v < _ridges(brush)[0] + 0.02
    shade = np.clip(tone, 0.02, 0.74) + 0.42 * np.minimum(glow, 0.75)
    for count, length, width in ((1300, 0.090, 0.0200), (3800, 0.066, 0.0120), (2200, 0.046, 0.0085)):
        brush.cover(air & (glow < 1), flow, SKY, shade, count=count, length=length, width=width, spread=0.085)
    shine = 0.06 + 0.72 * glow
    brush.cover(air & (glow > 0.1), flow, GLOW, shine, count=3600, length=0.034, width=0.0080)
    brush.cover(glow > 0.5, flow, GLOW, shine, count=9000, length=0.020, width=0.0070, spread=0.09, load=1.25)
    for cx, cy, radius, _ in lamps:  # fat arcs for the lamp itself, the center last
        turn = (rng.uniform(0, 6.28, 16) + np.arange(16) * 2.4)[:, None]
        bend = np.linspace(-0.9, 0.9, 9)
        out = radius * (np.sqrt(np.linspace(0.8, 0, 16))[:, None] + 0.1 * bend)
        spine = np.stack([cx + out * np.cos(turn + bend), cy + out * np.sin(turn + bend)], axis=2)
        cream = gradient(GLOW, np.linspace(0.80, 1.0, 16) + rng.normal(0, 0.05, 16))
        brush.paint.lay(rng, spine.astype(np.float32), np.full(16, 0.50 * radius, np.float32), cream, 1.3)
        dab = np.stack([cx + 0.45 * radius * bend, cy + 0.15 * radius * bend**2], axis=1)[None].astype(np.float32)
        brush.paint.lay(rng, dab, np.full(1, 0.65 * radius, np.float32), GLOW[-1:], 1.3)


def _ridges(brush: Brush) -> tuple[Array, Array, Array]:
    """The tops of the far hills, the grove and the field, in parts of the sheet, ``(1, W)``."""
    u, _ = brush.sheet
    hills = 0.585 + 0.020 * np.sin(9 * u + 1.0) + 0.022 * np.sin(4.1 * u + 4.2)
    grove = 0.650 + 0.022 * np.sin(5.3 * u + 0.3) - 0.018 * np.sin(11 * u)
    return hills, grove, 0.700 + 0.018 * np.sin(4.6 * u + 2.4)


def _land(brush: Brush) -> None:
    """From far to near: hills, a grove, wheat, and poppies in it."""
    canvas, rng = brush.canvas, brush.rng
    u, v = brush.sheet
    hills, grove, field = _ridges(brush)
    flow = _along(canvas, canvas.y - hills * canvas.bottom + np.float32(0.006) * canvas.noise(rng, 14))
    tone = 0.42 + 0.16 * np.sin((v - hills) * 120 + 5 * u) - 1.2 * (v - hills)
    brush.cover((v > hills) & (v < grove + 0.02), flow, HILLS, tone, count=5200, length=0.050, width=0.0105)

    tone = 0.40 + 0.10 * canvas.noise(rng, 18, 2) - 2.4 * (v - grove)
    flow = _along(canvas, canvas.y - grove * canvas.bottom + np.float32(0.012) * canvas.noise(rng, 20))
    brush.cover((v > grove) & (v < field + 0.025), flow, GROVE, tone, count=7500, length=0.030, width=0.0100)

    wheat = v > field
    lean = 0.25 + 0.30 * canvas.noise(rng, 3.0, 2) + 0.28 * np.sin(7 * u + 6 * v)
    furrow = 0.15 * np.sin((v - field) * 46 + 3.0 * np.sin(3.2 * u + 0.6)) + 0.09 * canvas.noise(rng, 7, 2)
    tone = 0.50 + furrow - 0.75 * np.maximum(v - 0.80, 0)
    flow = _along(canvas, canvas.y - field * canvas.bottom)
    brush.cover(wheat, flow, WHEAT, tone - 0.18, count=3000, length=0.070, width=0.0170, spread=0.05)
    flow = _upward(lean)
    brush.cover(wheat, flow, WHEAT, tone, count=9000, length=0.056, width=0.0085, spread=0.13, load=1.2, far_first=True)
    drift = canvas.noise(rng, 9, 2) + 1.6 * u - 7 * np.abs(v - 0.86 - 0.07 * np.sin(5 * u + 0.6))
    poppies = wheat & (drift > 1.0)
    for size, part in ((0.008, v < 0.85), (0.012, v >= 0.85)):
        brush.cover(
            poppies & part, flow, POPPIES, 0.5 + 0 * v, count=int(8 / size), length=1.3 * size, width=size, spread=0.35,
            load=1.5,
        )  # fmt: skip


def _cypresses(brush: Brush) -> None:
    """Two dark flames."""
    u, v = brush.sheet
    for foot, top, size in ((0.262, 0.395, 0.050), (0.140, 0.050, 0.104)):
        grown = np.clip((v - np.float32(top)) / np.float32(1 - top), 0, 1)
        side = (u - foot - 0.016 * np.sin(7.5 * v + 60 * size)) / np.float32(size)
        lobes = 1 + 0.17 * np.sin(23 * v + 1.6 * np.sign(side)) + 0.08 * np.sin(51 * v + 2 * np.sign(side))
        side = side / np.maximum(grown ** np.float32(0.80) * (1.12 - 0.30 * grown**3) * lobes, np.float32(0.05))
        inside = (np.abs(side) < 1) & (v > top)
        sway = 0.50 * side + 0.50 * np.sin(19 * v + 2.5 * side) + 0.15 * brush.canvas.noise(brush.rng, 10)
        flow = _upward(sway)
        shade = 0.36 - 0.22 * side + 0.16 * np.sin(30 * v + 4 * side)
        brush.cover(inside, flow, CYPRESS, shade - 0.1, count=5000, length=0.075, width=0.0150)
        brush.cover(inside, flow, CYPRESS, shade, count=11_000, length=0.062, width=0.0085, spread=0.16, load=1.2)


def _whole(canvas: Canvas, field: Array) -> Array:
    return np.broadcast_to(field, (canvas.height, canvas.width)).astype(np.float32)


def _along(canvas: Canvas, stream: Array) -> Array:
    """The direction along a stream function's level lines, ``(H, W, 2)``, pointing right where it grows downward."""
    rows, columns = np.gradient(_whole(canvas, stream))
    flow = np.stack([rows, -columns], axis=2)
    return flow / np.maximum(np.linalg.norm(flow, axis=2, keepdims=True), np.float32(1e-12))


def _upward(lean: Array) -> Array:
    """Directions that lean so many radians to the right of straight up, ``(H, W, 2)``."""
    return np.stack([np.sin(lean), -np.cos(lean)], axis=2)
