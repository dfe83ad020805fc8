"""Cutting a sheet into cells, and the distance to their edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.samples.canvas import Array, Canvas

__all__ = ["Ids", "distance_to", "edges", "nearest", "scatter", "spread"]

Ids = NDArray[np.int32]


def spread(rng: np.random.Generator, count: int, *, shake: float) -> NDArray[np.float64]:
    """About evenly spread points of the unit square, ``(count, 2)``.

    Roberts' R2 sequence, shaken by so much of the mean distance: wholly random points leave holes and heaps.
    """
    places = (rng.uniform(size=2) + np.arange(count)[:, None] * (0.7548776662466927, 0.5698402909980532)) % 1
    return places + rng.normal(0, shake / np.sqrt(count), places.shape)


def scatter(rng: np.random.Generator, canvas: Canvas, count: int, *, shake: float = 0.2) -> tuple[Array, Array]:
    """About evenly spread points of the canvas, as x and y in units, ``(count,)``."""
    x, y = (spread(rng, count, shake=shake) * (canvas.right, canvas.bottom)).astype(np.float32).T
    return x, y


def nearest(canvas: Canvas, x: Array, y: Array, angle: Array, region: Array, own: Array, reach: float) -> Ids:
    """For each pixel the nearest site of its own region, -1 where there is none within reach.

    Distance is measured in squares that are turned by each site's angle, so that cells come out squarish.

    Args:
        canvas: The sheet.
        x: Sites in units, ``(N,)``; ``y`` likewise.
        y: See ``x``.
        angle: Of each site's square, in radians, ``(N,)``.
        region: A label for each pixel, ``(H, W)``.
        own: The label of each site, ``(N,)``.
        reach: In units.

    Returns:
        Indices of sites, ``(H, W)``.
    """
    unit = np.float32(canvas.unit)
    radius = int(np.ceil(reach * canvas.unit))
    height, width = canvas.height + 2 * radius, canvas.width + 2 * radius
    best = np.full(height * width, np.float32(reach * canvas.unit), np.float32)
    ids = np.full(height * width, -1, np.int32)
    labels = np.pad(region, radius, constant_values=-1).reshape(-1)
    px, py = x * unit - np.float32(0.5), y * unit - np.float32(0.5)
    ix = np.clip(np.rint(px).astype(np.int32), 0, canvas.width - 1)
    iy = np.clip(np.rint(py).astype(np.int32), 0, canvas.height - 1)
    fx, fy = ix - px, iy - py
    cos, sin = np.cos(angle), np.sin(angle)
    home = (iy + radius) * width + ix + radius
    number = np.arange(len(x), dtype=np.int32)
    # One offset at a time for all sites at once; no two sites share a pixel, so each write has one writer.
    _, alone = np.unique(home, return_index=True)
    fx, fy, cos, sin, home, number, own = (a[alone] for a in (fx, fy, cos, sin, home, number, own))
    fx, fy = fx.astype(np.float32), fy.astype(np.float32)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            ox, oy = fx + np.float32(dx), fy + np.float32(dy)
            across, along = np.abs(ox * cos + oy * sin), np.abs(oy * cos - ox * sin)
            distance = np.maximum(across, along) + np.float32(0.12) * (across + along)
            at = home + np.int32(dy * width + dx)
            closer = np.flatnonzero((distance < best[at]) & (labels[at] == own))
            at = at[closer]
            best[at] = distance[closer]
            ids[at] = number[closer]
    return ids.reshape(height, width)[radius : radius + canvas.height, radius : radius + canvas.width]


def edges(ids: Ids) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbor belongs to another cell."""
    mask = np.zeros(ids.shape, bool)
    mask[:, :-1] = ids[:, :-1] != ids[:, 1:]
    mask[:-1] |= ids[:-1] != ids[1:]
    return mask


def distance_to(mask: NDArray[np.bool_], reach: int) -> Array:
    """Euclidean distance to the nearest pixel of a mask, in pixels, cut off at ``reach``."""
    height, width = mask.shape
    far = np.int32(2 * (reach + 1))
    row = np.arange(height, dtype=np.int32)[:, None]
    last = np.maximum.accumulate(np.where(mask, row, -far), axis=0)
    following = np.minimum.accumulate(np.where(mask, row, height + far)[::-1], axis=0)[::-1]
    vertical = np.minimum(np.minimum(row - last, following - row), far).astype(np.float32)
    square = np.pad(vertical**2, ((0, 0), (reach, reach)), constant_values=float(far) ** 2)
    best = square[:, reach : reach + width].copy()
    for dx in range(1, reach + 1):
        for start in (reach - dx, reach + dx):
            np.minimum(best, square[:, start : start + width] + np.float32(dx * dx), out=best)
    return np.minimum(np.sqrt(best), np.float32(reach))
