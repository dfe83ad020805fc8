"""A mountain lake in pen and ink: hatching that follows the slopes, on warm paper, and one vermilion sun."""

from __future__ import annotations

import numpy as np

from impasto.samples.brush import follow
from impasto.samples.canvas import Array, Canvas, blur, colors, mix, smoothstep
from impasto.samples.cells import scatter
from impasto.samples.landscape import PLAN, SUN, WORLD, View, heights, look, mirror, project, sky
from impasto.samples.pen import Pen, turned

__all__ = ["paint"]

PAPER, SHADE, INK, VERMILION, WASH = colors("#f3e6c9", "#dcc59c", "#1a1512", "#d43a1c", "#8a9a9c")
#: Side of the draft of the view in pixels, whatever the size of the picture.
DRAFT = 384
#: The great firs: where they stand (parts of the sheet) and their height (units).
FIRS = (
    (0.985, 1.05, 0.56),
    (0.845, 1.05, 0.33),
    (0.915, 1.04, 0.46),
    (0.085, 1.05, 0.24),
    (0.015, 1.05, 0.36),
)


def paint(canvas: Canvas, rng: np.random.Generator) -> Array:
    """The picture, ``(H, W, 3)``."""
    draft = Canvas(round(DRAFT * canvas.bottom), round(DRAFT * canvas.right))
    land = heights(rng)
    view = look(draft, land)
    pen, red = Pen(canvas, draft, rng), Pen(canvas, draft, rng)

    level = np.zeros((draft.height, draft.width, 2), np.float32)
    level[..., 0] = 1
    drift = 0.25 * draft.noise(rng, 3, 2)
    above = sky(draft, rng)
    air = (1 - view.land) * (1 - view.water)
    pen.hatch(turned(level, drift), above * air, 7500, 0.060, (0.02, 0.30))
    pen.hatch(turned(level, drift + 0.5), above * air, 5000, 0.040, (0.34, 0.60))
    disc = smoothstep(SUN[2] * 1.02, SUN[2] * 0.98, _from_sun(draft)) * air
    red.hatch(turned(level, drift - 0.7), disc, 30_000, 0.030, (0.1, 0.9))

    tone = view.tone * view.land
    wobble = 0.16 * draft.noise(rng, 9, 2)
    pen.hatch(turned(view.slope, wobble), tone, 15_000, 0.027, (0.10, 0.50))
    pen.hatch(turned(view.slope, wobble + 0.75), tone, 13_000, 0.024, (0.46, 0.74))
    pen.hatch(turned(level, wobble - 0.45), tone, 10_000, 0.022, (0.66, 0.95))
    _outlines(pen, view)

    lake = mirror(draft, view, above, rng) * view.water
    pen.hatch(turned(level, 0.05 * drift), lake, 8000, 0.046, (0.06, 0.42))
    pen.hatch(turned(level, 0.05 * drift), lake, 5000, 0.034, (0.46, 0.80))
    _forest(pen, land, view, rng)
    _great_firs(pen, rng)
    return _print(pen, red, above, view, rng)


def _from_sun(canvas: Canvas) -> Array:
    """Each pixel's distance from the middle of the sun, in units."""
    return np.hypot(canvas.x - np.float32(SUN[0] * canvas.right), canvas.y - np.float32(SUN[1] * canvas.bottom))


def _outlines(pen: Pen, view: View) -> None:
    """Lines where near ground stands before what lies behind."""
    far = np.where(view.depth > 0, view.depth, np.float32(30))
    jump = np.zeros_like(far)
    jump[1:] = (far[:-1] - far[1:]) / far[1:]
    x, y = scatter(pen.rng, pen.draft, 120_000)
    some = pen.draft.sample(smoothstep(0.05, 0.2, jump) * view.land, x, y) > 0.35
    x, y = x[some], y[some]
    rows, columns = np.gradient(blur(view.land * np.minimum(1 / far, 1), 1.2))
    path = follow(pen.draft, np.stack([rows, -columns], axis=2), x, y, np.full(len(x), 0.016, np.float32), 7)
    pen.draw(path, np.full(path.shape[:2], 0.0017, np.float32))


def _forest(pen: Pen, land: Array, view: View, rng: np.random.Generator) -> None:
    """Small firs on the lower slopes: a stem and boughs that droop, the right ones heavier."""
    count, tiers, draft, plan = 5200, 9, pen.draft, Canvas(PLAN, PLAN)
    z = (1.3 + 5.2 * rng.uniform(size=count) ** 0.8).astype(np.float32)
    x = (rng.uniform(-0.525, 0.525, count) * z * draft.right).astype(np.float32)
    luck = rng.uniform(0.6, 1.3, count).astype(np.float32)
    high = plan.sample(land, x / np.float32(WORLD) + np.float32(0.5), z / np.float32(WORLD))
    sx, sy = project(x, high, z, draft)
    seen = draft.sample(view.depth, sx, sy - np.float32(0.002))
    good = (high > 0.004) & (high < 0.16 + 0.12 * luck) & ((np.abs(seen - z) < 0.25) | (seen == 0))
    x, y, tall = sx[good], sy[good], np.float32(0.125) * luck[good] / z[good]

    t = np.linspace(0, 1, 5)
    stem = np.stack([x[:, None] + 0 * t, y[:, None] - tall[:, None] * t], axis=2)
    paths, widths = [stem], [np.full(stem.shape[:2], 0.0018)]
    for side, width in ((-1.0, 0.0015), (1.0, 0.0021)):
        s = (np.arange(tiers) + rng.uniform(-0.3, 0.3, (len(x), tiers))) / tiers * 0.94 + 0.06
        reach = (tall[:, None] * (1 - s) * rng.uniform(0.22, 0.36, s.shape))[..., None]
        bough_x = x[:, None, None] + side * reach * t
        bough_y = (y[:, None] - tall[:, None] * s)[..., None] + reach * (0.15 * t + 0.75 * t**2)
        paths.append(np.stack([bough_x, bough_y], axis=3).reshape(-1, 5, 2))
        widths.append(np.full(paths[-1].shape[:2], width))
    pen.draw(np.concatenate(paths).astype(np.float32), np.concatenate(widths).astype(np.float32))


def _great_firs(pen: Pen, rng: np.random.Generator) -> None:
    """The great firs of the near bank: boughs hung with needles, on the paper that they hide the view from."""
    canvas, tiers, needles = pen.canvas, 40, 40
    shape = (tiers, 2, needles)
    side = np.array([-1.0, 1.0])[None, :, None]
    for fx, foot, size in FIRS:
        x, y = fx * canvas.right + float(rng.uniform(-0.015, 0.015)), foot * canvas.bottom
        tall = size * float(rng.uniform(0.92, 1.08))
        down = (canvas.y - np.float32(y - tall)) / np.float32(tall)
        inset = np.float32(0.23 * tall) * np.clip(down + 0.02, 0, 2) ** np.float32(0.85) - np.abs(
            canvas.x - np.float32(x)
        )
        pen.erase(smoothstep(-0.012, 0.010, inset) * np.float32(0.92))

        s = np.arange(tiers)[:, None, None] + rng.uniform(-0.6, 0.6, (tiers, 2, 1)) + rng.uniform(-0.5, 0.5, shape)
        s = np.clip(s / tiers, 0, 1)
        reach = tall * 0.20 * (1.01 - s) ** 0.9 * rng.uniform(0.6, 1.25, (tiers, 2, 1))
        t = rng.uniform(0.0, 1, shape) ** 0.8
        from_x, from_y = x + side * reach * t, y - tall * s + reach * (0.25 * t + 0.45 * t**2)
        long = ((0.006 + 0.22 * reach) * rng.uniform(0.6, 1.3, shape))[..., None]
        lean = (side * (0.25 + 0.85 * t) + rng.normal(0, 0.32, shape))[..., None]
        bend = np.linspace(0, 1, 4)
        needle_x = from_x[..., None] + long * np.sin(lean) * bend
        needle_y = from_y[..., None] + long * (np.cos(lean) * bend + 0.25 * bend**2)
        path = np.stack([needle_x, needle_y], axis=4).reshape(-1, 4, 2).astype(np.float32)
        width = np.broadcast_to(0.0017 + 0.0007 * (side > 0), shape).reshape(-1, 1).astype(np.float32)
        pen.draw(path, np.repeat(width, 4, axis=1))
        stem = np.stack([np.full(5, x), y - tall * np.linspace(0, 1.03, 5)], axis=1)[None].astype(np.float32)
        pen.draw(stem, np.linspace(0.012, 0.0025, 5, dtype=np.float32)[None])


def _print(pen: Pen, red: Pen, above: Array, view: View, rng: np.random.Generator) -> Array:
    """The sheet: mottled paper, a thin wash in the shadows, the sun, then the ink."""
    canvas, draft = pen.canvas, pen.draft
    shape = (canvas.height, canvas.width)
    fiber = canvas.noise(rng, 26, 4, gain=0.75)
    grain = canvas.noise(rng, 190, 2, gain=0.9)
    sheet = mix(PAPER, SHADE, 0.20 + 0.10 * fiber + 0.05 * grain)
    shadow = blur(np.where(view.land > 0, view.tone, 0.55 * above + 0.12 * view.water), 3.0)
    wash = draft.sample(shadow, canvas.x, canvas.y) * (0.72 + 0.10 * fiber)
    sheet = mix(sheet, sheet * WASH, np.clip(wash, 0, 1))
    disc = smoothstep(1.5, -1.5, (_from_sun(canvas) - np.float32(SUN[2])) * np.float32(canvas.unit))
    disc = disc * draft.sample(1 - view.land, canvas.x, canvas.y)
    sheet = mix(sheet, VERMILION, disc * (0.50 + 0.07 * grain))
    sheet = mix(sheet, VERMILION * np.float32(0.86), 1 - np.exp(-red.ink.reshape(shape) * (1.1 + 0.2 * grain)))
    cover = 1 - np.exp(-pen.ink.reshape(shape) * (1.6 + 0.25 * grain))
    return mix(sheet, INK, np.clip(cover * 0.96, 0, 1))
