"""Two koi in a ring, laid in glass tesserae whose rows follow the contours.

Rows along contours as in Hausner, "Simulating Decorative Mosaics" (2001): cells of sites that move to their cells'
middles, with a distance measured in squares that are turned along the contours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.samples.canvas import Array, Canvas, blur, colors, gradient, light, mix, smoothstep
from impasto.samples.cells import Ids, distance_to, edges, nearest, scatter

__all__ = ["paint"]

WATER = colors("#06263f", "#0a4a66", "#0f7a86", "#2aa7a0", "#7fd0bd", "#d8efd8")
RED_KOI = colors("#8e1712", "#cf2f16", "#f0602a", "#f9a25e")
GOLD_KOI = colors("#9a4f0a", "#dc8a10", "#f6b92c", "#fde08a")
PEARL = colors("#b9a58a", "#e6d6b8", "#fbf3df", "#ffffff")
FINS = colors("#c9733a", "#eeb27a", "#f8dcb4", "#fff4de")
BORDER = colors("#a8321c", "#e9d9b4", "#14161f")
GROUT = colors("#453b34")[0]
#: Regions and the size of their tesserae, in units.
SEA, BODY, FIN, EYE, FRAME = range(5)
TILE = (0.0215, 0.0165, 0.0150, 0.0105, 0.0190)
#: Pixels a unit of the draft on which tesserae are laid out, whatever the size of the picture, and how many times
#: they are moved.
DRAFT, ROUNDS = 320, 7


@dataclass(frozen=True)
class Cartoon:
    """The drawing: for each pixel its region and, on a fish, where on it, ``(H, W)`` each."""

    region: Ids
    fish: Array  # 0 the red one, 1 the golden one
    along: Array  # 0 the head, 1 the tail
    off: Array  # off the spine, as part of the sheet's shorter side


@dataclass(frozen=True)
class Tesserae:
    """The pieces, ``(N,)`` each: center (units), angle (radians), region, distance to the contour (units)."""

    x: Array
    y: Array
    angle: Array
    region: Ids
    inset: Array

    @property
    def size(self) -> Array:
        """Side of each, in units."""
        return np.asarray(TILE, np.float32)[self.region]


def paint(canvas: Canvas, rng: np.random.Generator) -> Array:
    """The picture, ``(H, W, 3)``."""
    turn = 0.55 + rng.uniform(-0.5, 0.5)
    laid = _lay(Canvas(round(DRAFT * canvas.bottom), round(DRAFT * canvas.right)), rng, turn)
    cartoon = _draw(canvas, turn)
    ids = np.full((canvas.height, canvas.width), -1, np.int32)
    for label, tile in enumerate(TILE):
        some = np.flatnonzero(laid.region == label).astype(np.int32)
        sites = (laid.x[some], laid.y[some], laid.angle[some])
        part = nearest(canvas, *sites, cartoon.region, laid.region[some], 1.15 * tile)
        ids = np.where(part >= 0, some[part], ids)

    bell = rng.normal(size=(len(laid.x), 4)).astype(np.float32)
    color = _glass(canvas, rng, laid, cartoon, turn, bell)[ids]
    gap = distance_to(edges(ids), int(0.012 * canvas.unit) + 2)
    ragged = np.float32(0.0012) + np.float32(0.0007) * canvas.noise(rng, 90, 2)
    body = smoothstep(-0.8, 0.8, gap - ragged * np.float32(canvas.unit)) * (ids >= 0)
    body = smoothstep(0.25, 0.75, blur(body, canvas.unit * 0.0011))

    # Each piece is tilted a little, which makes a wall of them glitter.
    tilt = np.float32(0.10) * bell[:, 2:]
    across, down = (
        (place - middle[ids]) / laid.size[ids] for place, middle in ((canvas.x, laid.x), (canvas.y, laid.y))
    )
    sheen = 1 + 2 * (tilt[ids, 0] * across + tilt[ids, 1] * down) - np.float32(0.45) * tilt.sum(1)[ids]
    streak = 1 + np.float32(0.045) * canvas.noise(rng, 160, 3, gain=0.8)
    dust = 1 + np.float32(0.22) * canvas.noise(rng, 170, 2, gain=0.9)
    picture = mix(GROUT * dust[..., None], color * (np.clip(sheen, 0.6, 1.5) * streak)[..., None], body)
    relief = blur(body, canvas.unit * 0.0010) * np.float32(canvas.unit / 512) + np.float32(0.10) * streak
    return light(picture, relief, depth=0.42, gloss=0.25)


def _from_edge(canvas: Canvas, x: Array, y: Array) -> Array:
    """Distance to the sheet's edge, in units."""
    return np.minimum(np.minimum(x, canvas.right - x), np.minimum(y, canvas.bottom - y))


def _draw(canvas: Canvas, turn: float) -> Cartoon:
    side = np.float32(min(canvas.right, canvas.bottom))
    x, y = (canvas.x - canvas.right / 2) / side, (canvas.y - canvas.bottom / 2) / side
    radius, around = np.hypot(x, y), np.arctan2(y, x)
    region = np.full(radius.shape, SEA, np.int32)
    which, along, off = (np.zeros(radius.shape, np.float32) for _ in range(3))
    for fish in (0, 1):
        s = np.mod(around - np.float32(turn + np.pi * fish - 0.5), np.float32(2 * np.pi)) - np.float32(0.5)
        s = s / np.float32(2.72)
        d = radius - (0.252 + 0.042 * np.sin(np.float32(1.8 * np.pi) * s + 0.4) + 0.040 * s)
        beside = np.abs(d)
        t = np.clip(s, 0, 1)
        arch = np.maximum(np.sin(np.float32(np.pi) * np.minimum(t / np.float32(0.86), 1) ** np.float32(0.62)), 0)
        wide = np.float32(0.108) * arch ** np.float32(0.74) * (1 - 0.25 * t) + np.float32(0.014) * (t > 0.5)
        body = (s > 0) & (s < 0.82) & (beside < wide)
        fan = 0.012 + 0.125 * np.clip((s - 0.76) / 0.27, 0, 1) ** np.float32(0.9)
        fork = 1.03 - 0.13 * (1 - np.minimum(beside / np.float32(0.075), 1)) ** np.float32(1.3)
        fins = (s > 0.76) & (beside < fan) & (s < fork)
        for begin, long, out in ((0.235, 0.19, 0.110), (0.555, 0.13, 0.060)):
            p = np.clip((s - begin - 0.7 * np.abs(beside - wide)) / np.float32(long), 0, 1)
            fins |= (beside >= wide) & (beside < wide + 1.3 * out * np.sqrt(p) * (1 - p) ** np.float32(0.4))
        eye = ((s - 0.085) * 0.65) ** 2 + (beside - 0.047) ** 2 < 0.0135**2
        for mask, label in ((fins, FIN), (body, BODY), (eye, EYE)):
            region[mask], which[mask], along[mask], off[mask] = label, fish, s[mask], d[mask]
    region[_from_edge(canvas, canvas.x, canvas.y) < 3 * TILE[FRAME]] = FRAME
    return Cartoon(region, which, along, off)


def _lay(draft: Canvas, rng: np.random.Generator, turn: float) -> Tesserae:
    """Scatter the pieces, then move them until they lie in rows."""
    region = _draw(draft, turn).region
    to_edge = distance_to(edges(region), 150) / np.float32(draft.unit)
    rows, columns = np.gradient(blur(to_edge, 1.2))
    steep = np.maximum(np.hypot(rows, columns), np.float32(1e-6))
    outward = np.stack([columns, rows], axis=2) / steep[..., None]
    # A square looks the same after a quarter turn: averages are taken of four times its angle.
    quadruple = 4 * np.arctan2(rows, columns)
    cos, sin = blur(np.cos(quadruple) * steep, 1.5), blur(np.sin(quadruple) * steep, 1.5)

    x, y, own = np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, np.int32)
    for label, tile in enumerate(TILE):
        px, py = scatter(rng, draft, int(1.08 / tile**2))
        column = np.clip(px * np.float32(draft.unit), 0, draft.width - 1).astype(np.int32)
        row = np.clip(py * np.float32(draft.unit), 0, draft.height - 1).astype(np.int32)
        keep = region[row, column] == label
        x, y, own = np.append(x, px[keep]), np.append(y, py[keep]), np.append(own, np.full(keep.sum(), label, np.int32))
    for _ in range(ROUNDS):
        size = np.asarray(TILE, np.float32)[own]
        angle = np.arctan2(draft.sample(sin, x, y), draft.sample(cos, x, y)) / 4
        ids = nearest(draft, x, y, angle, region, own, 1.2 * max(TILE))
        inside = np.nonzero(ids >= 0)
        owner = ids[inside]
        area = np.bincount(owner, minlength=len(x)).astype(np.float32)
        # Slivers are left out; their neighbors fill the gap.
        good = area > 0.12 * (size * np.float32(draft.unit)) ** 2
        x, y = (
            (np.bincount(owner, place, len(x)) / np.maximum(area, 1)).astype(np.float32)[good]
            for place in (draft.x[0, inside[1]], draft.y[inside[0], 0])
        )
        own, size, angle = own[good], size[good], angle[good]
        # Towards the middle of their rows, counted from the contour.
        inset, away = draft.sample(to_edge, x, y), draft.sample(outward, x, y)
        pull = np.float32(0.5) * ((np.floor(inset / size) + np.float32(0.5)) * size - inset)
        x, y = x + pull * away[:, 0], y + pull * away[:, 1]
    return Tesserae(x, y, angle, own, draft.sample(to_edge, x, y))


def _glass(
    canvas: Canvas, rng: np.random.Generator, laid: Tesserae, cartoon: Cartoon, turn: float, bell: Array
) -> Array:
    """A color for each piece, from where it lies, ``(N, 3)``."""
    chance = rng.uniform(size=(len(laid.x), 2)).astype(np.float32)
    fields = (cartoon.along, cartoon.off, cartoon.fish, canvas.noise(rng, 7.5, 2), canvas.noise(rng, 3.5, 2))
    s, d, golden, patches, depth = (canvas.sample(field, laid.x, laid.y) for field in fields)
    jitter = np.float32(0.085) * bell[:, 0]

    side = np.float32(min(canvas.right, canvas.bottom))
    x, y = (laid.x - canvas.right / 2) / side, (laid.y - canvas.bottom / 2) / side
    radius = np.hypot(x, y)
    ripple = np.sin(radius * 46 - 1.1 * np.sin(2 * (np.arctan2(y, x) - turn)) + 0.9 * depth)
    tone = 0.40 + 0.24 * ripple + 0.08 * depth - 0.40 * np.maximum(radius - 0.40, 0) + jitter
    color = gradient(WATER, tone - 0.32 * smoothstep(0.032, 0.012, laid.inset))  # dark beside the fish, to set them off
    glint = (laid.region == SEA) & (chance[:, 0] < 0.035)
    color[glint] = gradient(GOLD_KOI, 0.55 + 3 * jitter)[glint]

    wide = 0.09 * np.sin(np.float32(np.pi) * np.clip(s / np.float32(0.9), 0, 1) ** np.float32(0.62))
    tone = jitter + 0.62 * (1 - (d / np.maximum(wide, np.float32(0.02))) ** 2)
    koi = mix(gradient(RED_KOI, 0.18 + tone), gradient(GOLD_KOI, 0.22 + tone), np.rint(golden))
    marked = patches + 0.55 * np.cos(15 * s + 2.6 * golden + 2.6) > -0.42
    scales = np.where(marked[:, None], koi, gradient(PEARL, 0.25 + tone))
    rays = gradient(FINS, 0.55 + 0.30 * np.sin(np.abs(d) * 190 + 20 * s) + jitter)
    blush = np.float32(0.55) * ((chance[:, 1] < 0.30) & (golden < 0.5))
    rays = mix(rays, gradient(RED_KOI, 0.55 + jitter), blush)
    row = np.clip(_from_edge(canvas, laid.x, laid.y) / np.float32(TILE[FRAME]), 0, 2.99).astype(np.int32)
    border = BORDER[row] * (1 + 1.2 * jitter)[:, None]
    eyes = np.broadcast_to(BORDER[2], color.shape)
    for label, glass in ((BODY, scales), (FIN, rays), (EYE, eyes), (FRAME, border)):
        color[laid.region == label] = glass[laid.region == label]
    return color * (1 + np.float32(0.05) * bell[:, 1:2])
