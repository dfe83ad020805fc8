"""A night over wheat fields: thick bristly strokes along a swirling flow, under a lamp from the upper left."""

from __future__ import annotations

import numpy as np

from impasto.samples.brush import Paint, follow
from impasto.samples.canvas import Array, Canvas, blur, colors, gradient, light, mix, smoothstep

__all__ = ["paint"]

SKY = colors("#080c30", "#121f68", "#1b3b9b", "#2566bb", "#3f97c6", "#7fc4c8", "#cbe2c2", "#f3f0c0")
GLOW = colors("#2460a4", "#5fa3b8", "#b9d29a", "#eed75c", "#f5b52c", "#fbe070", "#fffbe2")
HILLS = colors("#0d1b4a", "#1d3a7a", "#2f5f96", "#4b8b98", "#86b39a")
GROVE = colors("#04140f", "#0d3324", "#1f5a34", "#4c7d35", "#93a045")
WHEAT = colors("#5a3309", "#9c6212", "#cf9220", "#eebb3a", "#fbe08a", "#fff4c4")
CYPRESS = colors("#03090c", "#08201f", "#123c2b", "#2c5f33", "#66802f", "#a08a3a")
POPPIES = colors("#7e1410", "#c9281a", "#ea5a2a")
GROUND = colors("#1a1a2e")[0]
VARIETY = np.array([0.085, 0.075, 0.06], np.float32)
#: The discs: x, y (parts of the sheet), radius and reach of the halo (units).
MOON = (0.785, 0.185, 0.050, 0.185)
#: The whirls: x, y (parts of the sheet), strength and sense, size (units).
WHIRLS = ((0.475, 0.285, -0.19, 0.115), (0.690, 0.435, 0.12, 0.080), (0.250, 0.485, -0.09, 0.070))
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
    x, y = canvas.x, canvas.y
    right, bottom = canvas.right, canvas.bottom
    u, v = x / right, y / bottom
    discs = [MOON] + [
        (fx + rng.uniform(-0.02, 0.02), fy + rng.uniform(-0.02, 0.02), r * s, reach * s)
        for (fx, fy, r, reach), s in zip(STARS, rng.uniform(0.85, 1.2, len(STARS)).tolist(), strict=True)
    ]

    # The wind: a stream function of a breeze, two whirls and some noise; strokes follow its level lines.
    stream = 0.75 * y + np.float32(0.030) * canvas.noise(rng, 3.2, 2)
    spiral = np.zeros((canvas.height, canvas.width), np.float32)
    for fx, fy, strength, size in WHIRLS:
        dx, dy = x - (fx + rng.uniform(-0.015, 0.015)) * right, y - (fy + rng.uniform(-0.015, 0.015)) * bottom
        square = dx**2 + dy**2
        stream = stream + np.float32(strength) * np.exp(-square / np.float32(2 * size**2))
        arms = np.cos(2 * np.arctan2(dy, dx) - (3.2 if strength > 0 else -3.2) * np.log(square / size**2 + 0.02))
        spiral += np.exp(-square / np.float32(4.5 * size**2)) * (0.15 + 0.26 * arms)
    sky_flow = _along(canvas, stream)
    brightness = 0.20 + 0.34 * v + 0.10 * np.sin(stream * np.float32(95)) + 0.06 * canvas.noise(rng, 5, 2) + spiral
    glow = np.zeros((canvas.height, canvas.width), np.float32)
    for fx, fy, radius, reach in discs:
        dx, dy = x - fx * right, y - fy * bottom
        distance = np.sqrt(dx * dx + dy * dy)
        near = smoothstep(reach * 1.25, reach * 0.45, distance)
        ring = np.stack(np.broadcast_arrays(-dy, dx), axis=2) / np.maximum(distance, 1e-4)[..., None]
        # Rings turn with the wind where they meet it, so that no seam shows.
        turn = np.sign((ring * sky_flow).sum(2, keepdims=True) + 1e-6)
        sky_flow = mix(sky_flow, np.where(near[..., None] > 0.6, ring, ring * turn), near)
        waves = 0.10 * np.cos(distance * np.float32(2 * np.pi / (reach * 0.30)))
        falloff = np.clip(1 - (distance - radius) / np.float32(reach - radius), 0, 1) ** np.float32(1.2)
        glow = np.maximum(glow, np.where(distance < radius, 1.3 - 0.25 * distance / radius, falloff * (0.88 + waves)))

    paint_ = Paint(canvas)
    far = 0.585 + 0.020 * np.sin(9 * u + 1.0) + 0.022 * np.sin(4.1 * u + 4.2)
    near_hill = 0.650 + 0.022 * np.sin(5.3 * u + 0.3) - 0.018 * np.sin(11 * u)
    field = 0.700 + 0.018 * np.sin(4.6 * u + 2.4) + 0 * v

    # The sky, dark strokes first.
    lum = np.clip(brightness, 0.02, 0.74)
    sky = (v < far + 0.02) & (glow < 1.0)
    for count, length, width in ((1300, 0.090, 0.0200), (3800, 0.066, 0.0120), (2200, 0.046, 0.0085)):
        _pass(paint_, rng, sky_flow, sky, SKY, lum + 0.42 * np.minimum(glow, 0.75), count, length, width, spread=0.085)
    halo = (glow > 0.10) & (v < far)
    _pass(paint_, rng, sky_flow, halo, GLOW, 0.06 + 0.72 * glow, 3600, 0.034, 0.0080, spread=0.10)
    _pass(paint_, rng, sky_flow, (glow > 0.5), GLOW, 0.06 + 0.72 * glow, 9000, 0.020, 0.0070, spread=0.09, load=1.25)

    for fx, fy, radius, _ in discs:  # fat arcs for the lamp itself, the center last
        turn = rng.uniform(0, 6.28, 16) + np.where(np.arange(16) == 15, 0, np.arange(16) * 2.4)
        arc = turn[:, None] + np.linspace(-0.9, 0.9, 9)
        out = radius * np.sqrt(np.linspace(0.8, 0, 16))[:, None] + 0.1 * radius * (arc - turn[:, None])
        spine = np.stack([fx * right + out * np.cos(arc), fy * bottom + out * np.sin(arc)], axis=2)
        cream = gradient(GLOW, np.linspace(0.80, 1.0, 16) + rng.normal(0, 0.05, 16))
        paint_.lay(rng, spine.astype(np.float32), np.full(16, 0.50 * radius, np.float32), cream, 1.3)

    # The land, from far to near.
    ridge = _along(canvas, y - far * bottom + 0.006 * canvas.noise(rng, 14))
    fold = np.sin((v - far) * np.float32(120) + 5 * u) * 0.16
    _pass(paint_, rng, ridge, (v > far) & (v < near_hill + 0.02), HILLS, 0.42 + fold - 1.2 * (v - far), 5200, 0.050, 0.0105)
    bush = 0.5 * canvas.noise(rng, 18, 2)
    crown = _along(canvas, y - near_hill * bottom + 0.012 * canvas.noise(rng, 20))
    _pass(paint_, rng, crown, (v > near_hill) & (v < field + 0.025), GROVE, 0.40 + 0.20 * bush - 2.4 * (v - near_hill), 7500, 0.030, 0.0100)

    lean = 0.30 * canvas.noise(rng, 3.0, 2) + 0.28 * np.sin(7 * u + 6 * v)
    wheat_flow = np.stack(np.broadcast_arrays(np.sin(lean + 0.25), -np.cos(lean + 0.25)), axis=2).astype(np.float32)
    furrow = 0.15 * np.sin((v - field) * np.float32(46) + 3.0 * np.sin(3.2 * u + 0.6)) + 0.09 * canvas.noise(rng, 7, 2)
    tone = 0.50 + furrow - 0.75 * np.maximum(v - 0.80, 0)
    wheat = v > field
    _pass(paint_, rng, _along(canvas, y - field * bottom), wheat, WHEAT, tone - 0.18, 3000, 0.070, 0.0170, spread=0.05)
    _pass(paint_, rng, wheat_flow, wheat, WHEAT, tone, 9000, 0.056, 0.0085, spread=0.13, back_to_front=True, load=1.2)

    drift = canvas.noise(rng, 9, 2) + 1.6 * u - 7 * np.abs(v - 0.86 - 0.07 * np.sin(5 * u + 0.6))
    near = np.clip((v - 0.70) / 0.30, 0.3, 1)
    for size, part in ((0.008, near < 0.5), (0.012, near >= 0.5)):
        _pass(paint_, rng, wheat_flow, wheat & part & (drift > 1.0), POPPIES, 0.5 + 0 * v, int(8 / size), 1.3 * size, size, spread=0.35, load=1.5)

    # The cypresses, flames of their own.
    for foot, top, size in ((0.262, 0.395, 0.050), (0.140, 0.050, 0.104)):
        stem = foot + 0.016 * np.sin(7.5 * v + 60 * size)
        grown = np.clip((v - top) / (1 - top), 0, 1)
        side = (u - stem) / np.float32(size)
        lobes = 1 + 0.17 * np.sin(23 * v + 1.6 * np.sign(side)) + 0.08 * np.sin(51 * v + 2 * np.sign(side))
        side = side / np.maximum(grown**0.80 * (1.12 - 0.30 * grown**3) * lobes, 0.05)
        inside = (np.abs(side) < 1) & (v > top)
        sway = 0.50 * side + 0.50 * np.sin(19 * v + 2.5 * side) + 0.15 * canvas.noise(rng, 10)
        flame = np.stack(np.broadcast_arrays(np.sin(sway), -np.cos(sway)), axis=2).astype(np.float32)
        shade = 0.36 - 0.22 * side + 0.16 * np.sin(30 * v + 4 * side)
        _pass(paint_, rng, flame, inside, CYPRESS, shade - 0.1, 5000, 0.075, 0.0150, spread=0.10)
        _pass(paint_, rng, flame, inside, CYPRESS, shade, 11000, 0.062, 0.0085, spread=0.16, load=1.2)

    color, thickness = paint_.picture(GROUND, VARIETY)
    weave = canvas.noise(rng, 150, 2)
    return light(color, blur(thickness + 0.03 * weave, canvas.unit / 1600), depth=0.75, gloss=0.14)


def _along(canvas: Canvas, stream: Array) -> Array:
    """The direction along a stream function's level lines, ``(H, W, 2)``, pointing right where it grows downward."""
    rows, columns = np.gradient(np.broadcast_to(stream, (canvas.height, canvas.width)).astype(np.float32))
    flow = np.stack([rows, -columns], axis=2)
    return flow / np.maximum(np.linalg.norm(flow, axis=2, keepdims=True), np.float32(1e-12))


def _pass(
    paint_: Paint,
    rng: np.random.Generator,
    flow: Array,
    region: Array,
    palette: Array,
    tone: Array,
    count: int,
    length: float,
    width: float,
    *,
    spread: float = 0.10,
    load: float = 1.0,
    back_to_front: bool = False,
) -> None:
    """Cover a region with strokes: ``count`` of them, had it the whole sheet."""
    canvas = paint_.canvas
    # Evenly scattered points (Roberts' R2 sequence): random ones leave holes and heaps.
    places = (rng.uniform(size=2) + np.arange(count)[:, None] * (0.7548776662466927, 0.5698402909980532)) % 1
    places = places + rng.normal(0, 0.35 / np.sqrt(count), places.shape)
    jitter = rng.normal(size=(count, 4)).astype(np.float32)
    x, y = (places * (canvas.right, canvas.bottom)).astype(np.float32).T
    shape = (canvas.height, canvas.width)
    keep = canvas.sample(np.broadcast_to(region, shape).astype(np.float32), x, y) > 0.5
    x, y, jitter = x[keep], y[keep], jitter[keep]
    if not len(x):
        return
    value = canvas.sample(np.broadcast_to(tone, shape).astype(np.float32), x, y) + np.float32(spread) * jitter[:, 0]
    order = np.argsort(y + 0.02 * jitter[:, 1] if back_to_front else value + 0.25 * jitter[:, 1], kind="stable")
    x, y, jitter, value = x[order], y[order], jitter[order], value[order]
    path = follow(canvas, flow, x, y, length * np.exp(0.18 * np.clip(jitter[:, 2], -2, 1.6)))
    hue = np.float32(0.022) * np.stack([jitter[:, 3], -0.4 * jitter[:, 3], -0.8 * jitter[:, 3]], axis=1)
    paint_.lay(rng, path, width * np.exp(0.15 * np.clip(jitter[:, 1], -2, 1.6)), gradient(palette, value) + hue, load)
