"""Decoded samples -> upright sRGB in [0, 1], a few rows at a time: color profile, transparency, orientation."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from impasto.errors import ImpastoError

Array = NDArray[Any]

#: Rows that are converted at a time: a large picture takes little more memory than its result.
ROWS = 256

_COLORS = {"L": 1, "RGB": 3, "CMYK": 4, "LAB": 3}
#: EXIF's numbers of what carries over from the photograph to the painting.
ARTIST, COPYRIGHT = 315, 33432
_LONGEST_CREDIT = 1000  # characters


@dataclass
class Samples:
    """A picture as its file stores it.

    Attributes:
        size: width and height, in pixels.
        mode: what the colors are: L, RGB, CMYK or LAB.
        blocks: the rows from the top, (h, W, C) each: uint8, or float32 in [0, 1], where L and RGB have more than 8
            bits. One channel more than the mode has is alpha, not premultiplied.
        profile: the embedded ICC profile.
        orientation: EXIF's number, 1 to 8.
        gamma: the exponent that the samples are stored with, as a PNG says it; 0 for sRGB's own curve.
        credit: what EXIF's tags of artist and copyright hold.
    """

    size: tuple[int, int]
    mode: str
    blocks: Iterable[Array]
    profile: bytes | None = None
    orientation: int = 1
    gamma: float = 0
    credit: Mapping[int, Any] = field(default_factory=dict)


@dataclass
class Pixels:
    """A picture, upright and in sRGB.

    Attributes:
        color: (3, H, W) float32 in [0, 1].
        alpha: (1, H, W) float32 in [0, 1], or None.
        notices: what is worth telling, without the name of the file.
        credit: artist and copyright, by EXIF's numbers, where they are told.
    """

    color: Array
    alpha: Array | None
    notices: list[str]
    credit: dict[int, str]


def in_blocks(samples: Array) -> Iterator[Array]:
    """Rows of (H, W[, C]) samples, a few at a time."""
    for top in range(0, len(samples), ROWS):
        rows = samples[top : top + ROWS]
        yield rows.reshape(*rows.shape[:2], -1)


def to_unit(samples: Array, label: str, bits: int = 0) -> Array:
    """Samples of any unsigned type, or floats in [0, 1], as float32 in [0, 1]; ``bits`` where not all are used.

    Raises:
        ImpastoError: signed or complex samples; floats that are not finite or out of range.
    """
    if samples.dtype.kind == "u":
        # float32 holds 16 bits exactly.
        kind = np.float32 if samples.dtype.itemsize <= 2 else np.float64
        return (samples / kind(2 ** (bits or 8 * samples.dtype.itemsize) - 1)).astype(np.float32, copy=False)
    if samples.dtype.kind != "f":
        raise ImpastoError(f"{label}: holds samples of type {samples.dtype}; save it with 8 or 16 bits")
    # NaN fails the comparison too.
    if not (samples.min() >= 0 and samples.max() <= 1):
        raise ImpastoError(f"{label}: holds floats outside 0 to 1; scale them, or save it with 8 or 16 bits")
    return samples.astype(np.float32)


def to_pixels(samples: Samples, notices: list[str]) -> Pixels:
    """Convert to sRGB, hide what is transparent, and turn upright; adds to the notices.

    The colors under transparent pixels, often black, sometimes a whole hidden picture, must not steer the painting: it
    is composited over the mean of its visible colors (white where nothing is visible). The mean, unlike white, leaves
    no bright halo along the edges once the alpha channel is back on the output.
    """
    convert = _converter(samples.mode, samples.profile, notices)
    width, height = samples.size
    upright = (height, width) if samples.orientation < 5 else (width, height)
    color, alpha = np.empty((3, *upright), np.float32), None
    stored, top = _as_stored(color, samples.orientation), 0
    colors = _COLORS[samples.mode]
    visible, sums = 0.0, np.zeros(3)
    for block in samples.blocks:
        part = stored[:, top : top + len(block)]
        part[...] = _converted(block[..., :colors], samples.mode, convert)
        if samples.gamma:
            part[...] = _srgb_curve(part ** np.float32(1 / samples.gamma))
        if block.shape[2] > colors:
            if alpha is None:
                alpha = np.empty((1, *upright), np.float32)
            opacity = block[..., colors] if block.dtype != np.uint8 else block[..., colors] / np.float32(255)
            _as_stored(alpha, samples.orientation)[0, top : top + len(block)] = opacity
            visible += opacity.sum(dtype=np.float64)
            sums += (part * opacity).sum(axis=(1, 2), dtype=np.float64)
        top += len(block)
    if top != height:
        raise ValueError("rows are missing")
    if alpha is not None:
        mean = (sums / visible if visible > 0 else np.ones(3)).astype(np.float32)[:, None, None]
        for top in range(0, upright[0], ROWS):
            part, opacity = color[:, top : top + ROWS], alpha[:, top : top + ROWS]
            part *= opacity
            part += (1 - opacity) * mean
            np.clip(part, 0, 1, out=part)
    return Pixels(color, alpha, notices, _credit(samples.credit))


def as_orientation(value: Any) -> int:
    """1 to 8 of what a tag holds, be it a number, a byte or a tuple; 1 where there is none or it means nothing."""
    number = value[0] if isinstance(value, bytes | tuple) and value else value
    return number if number in range(1, 9) else 1


def srgb_profile() -> bytes:
    """An sRGB profile, the same bytes every time (lcms writes the time of day into it)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # 2000-01-01
    return bytes(profile)


def _credit(tags: Mapping[int, Any]) -> dict[int, str]:
    """Artist and copyright as plain text, of no more than a few lines."""
    found = {}
    for number in (ARTIST, COPYRIGHT):
        value = tags.get(number)
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if isinstance(text, str):
            with suppress(UnicodeError):  # Pillow takes UTF-8 for Latin-1
                text = text.encode("latin-1").decode()
        if isinstance(text, str) and (plain := "".join(filter(str.isprintable, text)).strip()):
            found[number] = plain[:_LONGEST_CREDIT]
    return found


def _converted(colors: Array, mode: str, convert: _Convert | None) -> Array:
    """Rows (h, W, C) as (C, h, W) float32 in [0, 1], C 3 or 1: in sRGB, if they have a profile."""
    if colors.dtype == np.uint8:
        return (colors if convert is None else convert(colors)).transpose(2, 0, 1) / np.float32(255)
    planes = colors.transpose(2, 0, 1)
    if convert is None:
        return planes
    # Pillow's lcms works with 8 bits: the profile's change is added to the finer samples.
    eight = np.rint(colors * 255).astype(np.uint8)
    change = convert(eight).astype(np.int16) - eight
    return np.clip(planes + change.transpose(2, 0, 1) / np.float32(255), 0, 1)


def _srgb_curve(light: Array) -> Array:
    """Light in [0, 1] as sRGB stores it, by IEC 61966-2-1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055).astype(np.float32)


_Convert = Callable[[Array], Array]


def _image(colors: Array, mode: str) -> Image.Image:
    return Image.frombytes(mode, colors.shape[1::-1], np.ascontiguousarray(colors).tobytes())


def _converter(mode: str, profile: bytes | None, notices: list[str]) -> _Convert | None:
    """What makes sRGB (h, W, 3) of 8-bit colors (h, W, C); None where L and RGB are to stay as they are."""
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        return lambda colors: np.asarray(ImageCms.applyTransform(_image(colors, mode), transform))
    if profile and (convert := _through_profile(mode, profile, notices)) is not None:
        return convert
    if mode == "CMYK":
        return lambda colors: np.asarray(_image(colors, mode).convert("RGB"))
    return None


def _through_profile(mode: str, profile: bytes, notices: list[str]) -> _Convert | None:
    """Through an ICC profile; None where it is sRGB or broken."""
    try:
        icc, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        space = icc.profile.xcolor_space.strip()
        # An RGB profile on a gray picture is common, and means what it says for the same amounts of R, G and B.
        source = "RGB" if space == "RGB" and mode == "L" else mode
        if source != {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space):
            raise ValueError(f"a profile for {space} on a picture in {mode}")
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(icc, srgb, source, "RGB", intent, flags)

        def convert(colors: Array) -> Array:
            image = _image(colors, mode)
            image = image if mode == source else image.convert(source)
            return np.asarray(ImageCms.applyTransform(image, transform))

        if mode != "CMYK":
            levels = np.arange(0, 256, 15, dtype=np.uint8)
            chart = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 18, 3)
            chart = chart[..., : _COLORS[mode]]
            if np.abs(convert(chart).astype(np.int16) - chart).max() <= 1:
                return None  # sRGB under some name: a conversion would only round
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        notices.append("its color profile is broken or does not fit and is ignored; sRGB is assumed")
        return None
    return convert


def _as_stored(upright: Array, orientation: int) -> Array:
    """A view of (C, H, W) planes as they lie in a file of that EXIF orientation."""
    planes = upright
    if orientation in (3, 4, 7, 8):
        planes = planes[:, ::-1]
    if orientation in (2, 3, 6, 7):
        planes = planes[:, :, ::-1]
    return planes.swapaxes(1, 2) if orientation >= 5 else planes
