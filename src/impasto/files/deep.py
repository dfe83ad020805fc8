"""More than 8 bits a channel: what Pillow has no mode for."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.files.srgb import Array, Samples

_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ICC_PROFILE, _ORIENTATION = 34675, 274
_UNSPECIFIED, _PREMULTIPLIED = 0, 1
_PREDICTORS = (1, 2)


def read_16_bit(image: Image.Image, raw_mode: str, file: IO[bytes]) -> Array | None:
    """The 16-bit samples of a PNG or TIFF in color, where Pillow keeps only the upper 8 bits of each.

    Pillow's decoders unpack one byte of a sample; decoded again in the other byte order, the file gives the lower one.

    ``raw_mode`` is the layout that Pillow found in the file, for example ``RGB;16B``. Returns (H, W, 2, 3 or 4) uint16;
    None where Pillow's image is all there is, and for premultiplied colors, which Pillow divides by alpha at 8 bits.
    """
    if image.mode not in ("RGB", "RGBA") or not raw_mode.endswith((";16B", ";16L", ";16N")) or "a" in raw_mode:
        return None
    big_endian = raw_mode[-1] == "B" or (raw_mode[-1] == "N" and sys.byteorder == "big")
    # Gray and alpha: four bytes a pixel, so an 8-bit RGBA image holds both bytes of both.
    other = "RGBA" if raw_mode == "LA;16B" else raw_mode[:-1] + ("L" if big_endian else "B")
    file.seek(0)
    with Image.open(file, formats=(image.format,) if image.format else None) as again:
        again.tile = [_with_raw_mode(tile, other) for tile in again.tile]
        lower = np.asarray(again)
    if other == "RGBA":
        return lower[..., 0::2].astype(np.uint16) << 8 | lower[..., 1::2]
    return np.asarray(image).astype(np.uint16) << 8 | lower


def read_tiff(file: IO[bytes], label: str, check_size: Callable[[tuple[int, int]], None]) -> Samples:
    """The first page of a TIFF by tifffile: separate planes, 16-bit gray with alpha, 32 bit, floats.

    Raises:
        ImpastoError: a layout that is not a picture in gray or RGB, or a compression that is not read here.
    """
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        check_size((page.imagewidth, page.imagelength))
        channels = page.samplesperpixel
        colors = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(int(page.photometric), 0)
        if not colors or not colors <= channels <= colors + 1 or page.imagedepth != 1 or page.dtype is None:
            raise ImpastoError(f"{label}: is a TIFF of an unusual kind; save it as RGB with 8 or 16 bits")
        if page.compression not in (_UNCOMPRESSED, *_DEFLATE) or page.predictor not in _PREDICTORS:
            raise ImpastoError(f"{label}: is a TIFF compressed in an unusual way; save it uncompressed or with deflate")
        if page.compression in _DEFLATE:
            _check_deflate(page, check_size)
        array = page.asarray(maxworkers=1)
        array = np.moveaxis(array, 0, -1) if page.axes.startswith("S") else array
        samples = to_unit(array.reshape(page.imagelength, page.imagewidth, channels), label)
        if page.photometric == _WHITE_IS_ZERO:
            samples[..., 0] = 1 - samples[..., 0]
        extra = [int(kind) for kind in page.extrasamples]
        if extra == [_UNSPECIFIED]:
            samples = samples[..., :colors]
        elif extra == [_PREMULTIPLIED]:
            samples[..., :colors] /= np.maximum(samples[..., colors:], 1e-6)
            np.clip(samples, 0, 1, out=samples)
        profile, orientation = page.tags.valueof(_ICC_PROFILE), page.tags.valueof(_ORIENTATION, default=1)
        return Samples.from_array(samples, None if profile is None else bytes(profile), int(orientation))


def to_unit(samples: Array, label: str) -> Array:
    """Samples of any unsigned type, or floats in [0, 1], as float32 in [0, 1].

    Raises:
        ImpastoError: signed or complex samples; floats that are not finite or out of range.
    """
    if samples.dtype.kind == "u":
        # float32 holds 16 bits exactly, and takes half the memory.
        kind = np.float32 if samples.dtype.itemsize <= 2 else np.float64
        return (samples / kind(np.iinfo(samples.dtype).max)).astype(np.float32, copy=False)
    if samples.dtype.kind != "f":
        raise ImpastoError(f"{label}: holds samples of type {samples.dtype}; save it with 8 or 16 bits")
    # NaN fails the comparison too.
    if not (samples.min() >= 0 and samples.max() <= 1):
        raise ImpastoError(f"{label}: holds floats outside 0 to 1; scale them, or save it with 8 or 16 bits")
    return samples.astype(np.float32)


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    """A tile descriptor (a plain tuple in older Pillows, a named one in newer) with another raw mode."""
    codec, extents, offset, args = tile
    args = raw_mode if isinstance(args, str) else (raw_mode, *args[1:])
    return tuple.__new__(type(tile), (codec, extents, offset, args))


def _check_deflate(page: Any, check_size: Callable[[tuple[int, int]], None]) -> None:
    """Refuse a strip or tile that unpacks to more than its size: tifffile would unpack all of it."""
    width, length = page.imagewidth, min(page.rowsperstrip, page.imagelength)
    if page.is_tiled:
        width, length = page.tilewidth, page.tilelength
        check_size((width, length))
    most = width * length * page.samplesperpixel * page.dtype.itemsize
    for data, _ in page.parent.filehandle.read_segments(page.dataoffsets, page.databytecounts):
        if data and len(zlib.decompressobj().decompress(data, most + 1)) > most:
            raise ValueError("a segment unpacks to more than its size")
