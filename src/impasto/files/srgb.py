"""Decoded samples -> upright sRGB in [0, 1]: color profile, transparency, orientation."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Array = NDArray[Any]


@dataclass
class Samples:
    """A picture as its file stores it.

    Attributes:
        base: 8 bit, mode L, RGB, CMYK or LAB.
        fine: the same colors as (H, W, 1 or 3) float32 in [0, 1], where the file has more than 8 bits.
        alpha: (H, W) float32 in [0, 1], not premultiplied.
        profile: the embedded ICC profile.
        orientation: EXIF's number, 1 to 8.
        gamma: the exponent that the samples are stored with, as a PNG says it; 0 for sRGB's own curve.
    """

    base: Image.Image
    fine: Array | None = None
    alpha: Array | None = None
    profile: bytes | None = None
    orientation: int = 1
    gamma: float = 0

    @classmethod
    def from_array(cls, samples: Array, profile: bytes | None = None, orientation: int = 1) -> Samples:
        """From (H, W[, 1 to 4]) float32 in [0, 1]: gray, gray and alpha, RGB, or RGB and alpha."""
        samples = samples.reshape(*samples.shape[:2], -1)
        colors = 1 if samples.shape[2] < 3 else 3
        fine = samples[..., :colors]
        alpha = samples[..., colors] if samples.shape[2] > colors else None
        eight = np.rint(fine * 255).astype(np.uint8)
        return cls(Image.fromarray(eight[..., 0] if colors == 1 else eight), fine, alpha, profile, orientation)


@dataclass
class Pixels:
    """A picture, upright and in sRGB.

    Attributes:
        color: (3, H, W) float32 in [0, 1].
        alpha: (1, H, W) float32 in [0, 1], or None.
        notices: what is worth telling, without the name of the file.
    """

    color: Array
    alpha: Array | None
    notices: list[str]


def to_pixels(samples: Samples, notices: list[str]) -> Pixels:
    """Convert to sRGB, hide what is transparent, and turn upright; adds to the notices.

    The colors under transparent pixels, often black, sometimes a whole hidden picture, must not steer the painting: it
    is composited over the mean of its visible colors (white where nothing is visible). The mean, unlike white, leaves
    no bright halo along the edges once the alpha channel is back on the output.
    """
    plain = _without_profile(samples.base)
    converted = _apply_profile(samples.base, plain, samples.profile, notices)
    if samples.fine is None:
        color = _unit(converted)
    else:
        fine = samples.fine.transpose(2, 0, 1)
        color = np.broadcast_to(fine, (3, *fine.shape[1:]))
        if converted is not plain:
            # Pillow's lcms works with 8 bits: the profile's change is added to the finer samples.
            color = np.clip(color + (_unit(converted) - _unit(plain)), 0, 1)
    if samples.gamma:
        color = _srgb_curve(color ** np.float32(1 / samples.gamma))
    alpha = samples.alpha
    if alpha is not None:
        visible = alpha.sum(dtype=np.float64)
        mean = (color * alpha).sum(axis=(1, 2), dtype=np.float64) / visible if visible > 0 else np.ones(3)
        color = color * alpha + (1 - alpha) * mean.astype(np.float32)[:, None, None]
        np.clip(color, 0, 1, out=color)
        alpha = _upright(alpha[None], samples.orientation)
    return Pixels(_upright(color, samples.orientation), alpha, notices)


def as_orientation(value: Any) -> int:
    """1 to 8 of what a tag holds, be it a number, a byte or a tuple; 1 where there is none or it means nothing."""
    number = value[0] if isinstance(value, bytes | tuple) and value else value
    return number if number in range(1, 9) else 1


def srgb_profile() -> bytes:
    """An sRGB profile, the same bytes every time (lcms writes the time of day into it)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # 2000-01-01
    return bytes(profile)


def _unit(image: Image.Image) -> Array:
    """(3, H, W) float32 in [0, 1] of an RGB image."""
    color = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32)
    color /= 255
    return color


def _srgb_curve(light: Array) -> Array:
    """Light in [0, 1] as sRGB stores it, by IEC 61966-2-1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055).astype(np.float32)


def _without_profile(base: Image.Image) -> Image.Image:
    if base.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.applyTransform(base, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))  # type: ignore[return-value]
    return base if base.mode == "RGB" else base.convert("RGB")


def _apply_profile(base: Image.Image, plain: Image.Image, profile: bytes | None, notices: list[str]) -> Image.Image:
    """``base`` through its ICC profile; ``plain`` itself where there is none, it is sRGB, or it is broken."""
    if not profile or base.mode == "LAB":
        return plain
    try:
        icc, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        space = icc.profile.xcolor_space.strip()
        # An RGB profile on a gray picture is common, and means what it says for the same amounts of R, G and B.
        source = plain if space == "RGB" and base.mode != "CMYK" else base
        if source.mode != {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space):
            raise ValueError(f"a profile for {space} on a picture in {base.mode}")
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(icc, srgb, source.mode, "RGB", intent, flags)
        if source.mode != "CMYK":
            colors = np.arange(0, 256, 15, dtype=np.uint8)
            chart = Image.fromarray(np.stack(np.meshgrid(colors, colors, colors), axis=-1).reshape(-1, 18, 3))
            chart = chart if source.mode == "RGB" else chart.getchannel(0)
            moved = np.asarray(ImageCms.applyTransform(chart, transform), np.int16) - np.asarray(chart.convert("RGB"))
            if np.abs(moved).max() <= 1:  # sRGB under some name: a conversion would only round
                return plain
        return ImageCms.applyTransform(source, transform)  # type: ignore[return-value]
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        notices.append("its color profile is broken or does not fit and is ignored; sRGB is assumed")
        return plain


def _upright(planes: Array, orientation: int) -> Array:
    """(C, H, W) turned and mirrored as EXIF's orientation says."""
    if orientation >= 5:
        planes = planes.swapaxes(1, 2)
    if orientation in (2, 3, 6, 7):
        planes = planes[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        planes = planes[:, ::-1]
    return np.require(planes, requirements=["C", "W"])  # torch wants both
