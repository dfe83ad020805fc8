"""What every painting needs: a canvas with size-free coordinates, smooth noise, blur, palettes and light.

Lengths are in *units*: the canvas has an area of one square unit, whatever its size in pixels, so that a painting
keeps its composition and the scale of its texture from a thumbnail to a poster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "blur", "colors", "gradient", "light", "mix", "smoothstep"]

#: float32 unless a docstring says otherwise.
Array = NDArray[Any]


@dataclass(frozen=True)
class Canvas:
    """A sheet of ``height`` × ``width`` pixels; x runs right, y down, in units."""

    height: int
    width: int

    @property
    def unit(self) -> float:
        """Pixels per unit of length."""
        return float(np.sqrt(self.height * self.width))

    @property
    def right(self) -> float:
        """The width in units."""
        return self.width / self.unit

    @property
    def bottom(self) -> float:
        """The height in units."""
        return self.height / self.unit

    @cached_property
    def x(self) -> Array:
        """The pixels' x, ``(1, width)``."""
        return ((np.arange(self.width, dtype=np.float32) + 0.5) / np.float32(self.unit))[None]

    @cached_property
    def y(self) -> Array:
        """The pixels' y, ``(height, 1)``."""
        return ((np.arange(self.height, dtype=np.float32) + 0.5) / np.float32(self.unit))[:, None]

    def noise(
        self,
        rng: np.random.Generator,
        cells: float,
        octaves: int = 1,
        *,
        stretch: tuple[float, float] = (1.0, 1.0),
        gain: float = 0.5,
    ) -> Array:
        """Smooth noise of zero mean and about unit deviation, ``(height, width)``.

        Args:
            rng: One number is drawn from it, whatever the size, so that what follows does not depend on the size.
            cells: Blotches per unit in the first octave; each further one has twice as many.
            octaves: How many; those finer than the pixels fade out.
            stretch: Blotches are this much longer along (x, y).
            gain: Amplitude of an octave over the one before it.
        """
        own = np.random.Generator(np.random.PCG64(int(rng.integers(2**62))))
        total = np.zeros((self.height, self.width), np.float32)
        power = 0.0
        for octave in range(octaves):
            scale, amplitude = cells * 2.0**octave, gain**octave
            power += amplitude**2
            fx, fy = scale / stretch[0], scale / stretch[1]
            lattice = own.standard_normal((_count(self.bottom * fy), _count(self.right * fx)), dtype=np.float32)
            # An octave of less than two pixels a blotch would only alias.
            visible = float(np.clip(self.unit / max(fx, fy) - 1, 0, 1))
            if visible > 0:
                rows = _spline(lattice, self.y[:, 0] * fy, 0)
                total += np.float32(amplitude * visible) * _spline(rows, self.x[0] * fx, 1)
        # A cubic B-spline over white noise keeps 0.479 of its variance along each axis, on average.
        return total / np.float32(0.479 * np.sqrt(power))

    def sample(self, field: Array, x: Array, y: Array) -> Array:
        """The field, ``(height, width)`` or ``(height, width, C)``, bilinearly at the points (x, y)."""
        px, py = np.broadcast_arrays(
            x * np.float32(self.unit) - np.float32(0.5), y * np.float32(self.unit) - np.float32(0.5)
        )
        px, py = np.clip(px, 0, self.width - 1.001), np.clip(py, 0, self.height - 1.001)
        ix, iy = px.astype(np.int32), py.astype(np.int32)
        ax, ay = (px - ix).astype(np.float32), (py - iy).astype(np.float32)
        flat = field.reshape(self.height * self.width, *field.shape[2:])
        if field.ndim == 3:
            ax, ay = ax[..., None], ay[..., None]
        at = iy * self.width + ix
        above = flat[at] + ax * (flat[at + 1] - flat[at])
        below = flat[at + self.width] + ax * (flat[at + self.width + 1] - flat[at + self.width])
        return above + ay * (below - above)


def _count(cells: float) -> int:
    return int(np.ceil(cells - 1e-4)) + 4


def _spline(lattice: Array, at: Array, axis: int) -> Array:
    """Cubic B-spline interpolation of a lattice along one axis, at fractional positions."""
    index = at.astype(np.int32)
    t = (at - index).astype(np.float32)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    shape = (-1, 1) if axis == 0 else (1, -1)
    total = np.zeros((1, 1), np.float32)
    for tap, weight in enumerate(weights):
        total = total + (weight / 6).reshape(shape) * np.take(lattice, index + tap, axis=axis)
    return total


def blur(image: Array, sigma: float) -> Array:
    """A Gaussian blur, ``sigma`` in pixels, over the first two axes; the border is repeated."""
    if sigma > 6:  # a wide one is done on a reduced image
        step = int(sigma // 3)
        height, width = image.shape[:2]
        rows, columns = -(-height // step), -(-width // step)
        edge = [(0, rows * step - height), (0, columns * step - width)] + [(0, 0)] * (image.ndim - 2)
        small = np.pad(image, edge, mode="edge").reshape(rows, step, columns, step, *image.shape[2:]).mean((1, 3))
        small = np.pad(blur(small, sigma / step), [(2, 2), (2, 2)] + [(0, 0)] * (image.ndim - 2), mode="edge")
        for axis, count in ((0, height), (1, width)):
            at = (np.arange(count, dtype=np.float32) + np.float32(0.5)) / step + np.float32(0.5)
            index = at.astype(np.int32)
            part = (at - index).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(image.ndim)])
            low, high = np.take(small, index + 1, axis=axis), np.take(small, index + 2, axis=axis)
            small = low + part * (high - low)
        return small
    if sigma < 0.05:  # nothing to see
        return image
    reach = max(1, int(np.ceil(2.5 * sigma)))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if a == axis else (0, 0) for a in range(image.ndim)]
        padded = np.pad(image, padding, mode="edge")
        count = image.shape[axis]
        image = taps[reach] * image
        for tap in range(reach):
            mirrored = 2 * reach - tap
            image += taps[tap] * (_slice(padded, axis, tap, count) + _slice(padded, axis, mirrored, count))
    return image


def _slice(array: Array, axis: int, start: int, count: int) -> Array:
    return array[start : start + count] if axis == 0 else array[:, start : start + count]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between; also with ``low > high``."""
    t = np.clip((value - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: Array, second: Array, amount: Array) -> Array:
    """From the vectors ``first`` (amount 0) to ``second`` (amount 1), ``(..., C)``; one amount each, ``(...)``."""
    return first + amount[..., None] * (second - first)


def colors(*codes: str) -> Array:
    """``("#102040", ...)`` as sRGB in [0, 1], ``(N, 3)``."""
    return np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in codes], np.float32) / 255


def gradient(stops: Array, position: Array, at: Sequence[float] | None = None) -> Array:
    """The color at a position in [0, 1] along evenly spaced stops ``(N, 3)``, or stops placed ``at``."""
    places = np.linspace(0, 1, len(stops)) if at is None else np.asarray(at)
    # A table is far quicker than interpolating each pixel, and 1/1023 is below what eight bits show.
    grid = np.linspace(0, 1, 1024)
    table = np.stack([np.interp(grid, places, stops[:, c]) for c in range(3)], axis=1).astype(np.float32)
    return table[(np.clip(position, 0, 1) * np.float32(1023)).astype(np.int32)]


def light(color: Array, relief: Array, *, depth: float, gloss: float = 0.0) -> Array:
    """Light from the upper left on a relief.

    Args:
        color: ``(H, W, 3)``.
        relief: Height of the surface, ``(H, W)``, in pixels.
        depth: How strongly slopes lighten and darken.
        gloss: Strength of the wet highlights.
    """
    slope = np.zeros_like(relief)  # positive where the surface rises away from the light: it faces the light
    slope[1:-1, 1:-1] = relief[1:-1, 2:] - relief[1:-1, :-2] + relief[2:, 1:-1] - relief[:-2, 1:-1]
    lit = np.tanh(np.float32(depth) * slope)[..., None]
    shaded = np.where(lit > 0, color + lit * (1 - color) * np.float32(0.55), color * (1 + lit * np.float32(0.75)))
    if gloss:
        shine = smoothstep(0.55, 1.0, lit[..., 0])
        shaded = shaded + np.float32(gloss) * shine[..., None]
    return shaded
