"""A mountain lake: its heights, and how it looks from the shore."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.samples.canvas import Array, Canvas, blur, smoothstep

__all__ = ["PLAN", "SUN", "WORLD", "View", "heights", "look", "mirror", "project", "sky"]

#: Camera: height above the lake, and where the horizon lies (part of the sheet).
EYE, HORIZON = 0.20, 0.60
#: Peaks: x, distance, height, radius, in the world's own measure.
PEAKS = (
    (-0.62, 4.6, 2.15, 2.3),
    (1.75, 5.6, 1.75, 2.2),
    (-2.9, 5.4, 1.7, 1.9),
    (2.1, 2.9, 0.42, 1.3),
    (-2.0, 2.5, 0.30, 1.2),
)
#: x, y (parts of the sheet) and radius (units).
SUN = (0.735, 0.205, 0.078)
#: Side of the plan in pixels, whatever the size of the picture, and in the world's measure.
PLAN, WORLD = 640, 10.0


@dataclass(frozen=True)
class View:
    """What the pen needs to know of each place of the sheet, ``(H, W)``."""

    tone: Array  # of the land, 0 (lit) to about 1
    slope: Array  # downhill on the sheet, (H, W, 2)
    land: Array  # 1 where there is land; likewise water
    water: Array
    depth: Array  # distance in the world's measure, 0 for the sky


def heights(rng: np.random.Generator) -> Array:
    """Heights of the land over a square of ``WORLD``, ``(PLAN, PLAN)``; rows run away from the camera."""
    plan = Canvas(PLAN, PLAN)
    x, z = (plan.x - 0.5) * np.float32(WORLD), plan.y * np.float32(WORLD)
    bend = np.float32(0.22) * plan.noise(rng, 6, 3)
    ridges = np.zeros((PLAN, PLAN), np.float32)
    for octave in range(4):
        ridges += np.float32(0.55**octave) * (1 - np.minimum(np.abs(plan.noise(rng, 7 * 2.0**octave, 2)), 1.6))
    land = np.full((PLAN, PLAN), -0.10, np.float32)
    for px, pz, high, wide in PEAKS:
        px, pz = px + float(rng.uniform(-0.15, 0.15)), pz + float(rng.uniform(-0.1, 0.1))
        loose = bend * np.minimum(1, np.sqrt((x - px) ** 2 + (z - pz) ** 2) * np.float32(1.6 / wide))
        r = np.sqrt((x - px + loose) ** 2 + (z - pz - loose) ** 2) / np.float32(wide)
        land = np.maximum(land, np.float32(high * 1.28) * np.maximum(1 - r, 0) ** np.float32(1.4) - np.float32(0.10))
    rough = np.clip(land + 0.10, 0, None)
    # Ridges grow with height, but leave the summits sharp.
    relief = np.float32(0.40) * rough ** np.float32(0.8) * smoothstep(2.6, 0.9, rough)
    land = land + relief * (ridges - np.float32(0.75))
    back = np.float32(0.9) * smoothstep(7.0, 9.0, z + 0 * x) * (0.75 + 0.5 * ridges)
    return np.maximum(land, back - np.float32(0.1))


def project(x: Array, high: Array, z: Array, draft: Canvas) -> tuple[Array, Array]:
    """Where on the sheet a point of the world appears, in units."""
    return draft.right / 2 + x / z, HORIZON * draft.bottom - (high - np.float32(EYE)) / z


def look(draft: Canvas, land: Array) -> View:
    """The view from the camera, near to far, each column filled upward."""
    plan = Canvas(PLAN, PLAN)
    rows, columns = np.gradient(blur(land, 0.8))
    per = np.float32(WORLD / PLAN)
    normal = np.stack([-columns / per, np.ones_like(rows), -rows / per], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    lamp = np.array([-0.72, 0.52, -0.25], np.float32)
    lit = np.clip((normal * (lamp / np.linalg.norm(lamp))).sum(2), -0.2, 1)

    # tone, land, water, depth, slope's x and y
    sheet = np.zeros((6, draft.height, draft.width), np.float32)
    filled = np.full(draft.width, draft.height + 1.0, np.float32)
    pixel_y = np.arange(draft.height, dtype=np.float32)[:, None]
    ray = draft.x[0] - np.float32(draft.right / 2)
    z = EYE / (draft.bottom * (1 - HORIZON) + 0.02)
    while z < WORLD * 0.97:
        px, py = ray * np.float32(z / WORLD) + np.float32(0.5), np.full_like(ray, z / WORLD)
        high = plan.sample(land, px, py)
        wet = high <= 0
        high = np.maximum(high, 0) - np.float32(EYE)
        top = (np.float32(HORIZON * draft.bottom) - high / np.float32(z)) * np.float32(draft.unit)
        new = (pixel_y >= top) & (pixel_y < filled)
        if new.any():
            gx, gz = plan.sample(columns, px, py) / per, plan.sample(rows, px, py) / per
            down_x, down_y = ray * gz - gx, gx * gx + gz * gz - high * gz / np.float32(z)
            haze = np.float32(np.clip((z - 3.5) / 9, 0, 0.55))
            dark = (1 - plan.sample(lit, px, py)) ** np.float32(1.25) * (1 - haze)
            place = np.nonzero(new)
            sheet[:, place[0], place[1]] = np.stack([dark, ~wet, wet, np.full_like(high, z), down_x, down_y])[
                :, place[1]
            ]
            filled = np.minimum(filled, top)
        z *= 1.006
    slope = np.moveaxis(sheet[4:], 0, 2)
    slope = blur(slope / np.maximum(np.linalg.norm(slope, axis=2, keepdims=True), 1e-6), 1.0)
    return View(sheet[0], slope, sheet[1], sheet[2], sheet[3])


def sky(draft: Canvas, rng: np.random.Generator) -> Array:
    """Tone of the sky: dark above, pale billows, a glow about the sun."""
    v = draft.y / draft.bottom
    warp = draft.noise(rng, 4, 3, stretch=(1.6, 1.0))
    bank = draft.noise(rng, 2.6, 4, stretch=(1.9, 1.0)) + 0.25 * warp - 2.6 * np.abs(v - 0.27)
    cloud = smoothstep(-0.20, 0.40, bank)
    tone = 0.66 - 0.95 * v + 0.10 * warp
    under = smoothstep(0.1, 0.9, cloud) * 0.16 * np.clip(warp + 0.4, 0, 1)
    tone = tone * (1 - cloud) + under
    sx, sy, radius = SUN
    off = np.sqrt((draft.x - sx * draft.right) ** 2 + (draft.y - sy * draft.bottom) ** 2)
    return np.clip(tone, 0, 1) * smoothstep(radius * 1.12, radius * 2.2, off)


def mirror(draft: Canvas, view: View, above: Array, rng: np.random.Generator) -> Array:
    """What the lake shows: the land upside down, broken by ripples."""
    scene = np.where(view.land > 0.5, 0.10 + 0.85 * view.tone, above * 0.8).astype(np.float32)
    first = np.argmax(view.water > 0.5, axis=0).astype(np.float32)
    row = np.arange(draft.height, dtype=np.float32)[:, None]
    ripple = draft.noise(rng, 26, 2, stretch=(4.0, 0.6))
    back = first + (first - row) * np.float32(1.15) + 5 * ripple
    x = np.broadcast_to(draft.x, scene.shape) + np.float32(0.004) * ripple
    tone = draft.sample(scene, x, (back / np.float32(draft.unit)).astype(np.float32))
    sx = SUN[0] * draft.right
    path = smoothstep(0.085, 0.02, np.abs(draft.x - sx + 0.02 * ripple))
    near = 0.03 + 0.5 * smoothstep(0.85, 1.1, draft.y / draft.bottom)
    return np.clip(tone * (1 - 0.85 * path) + 0.10 * ripple + near, 0, 1)
