"""TIFFs, and more than 8 bits a channel: what Pillow has no mode for, or reads otherwise than it is meant."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
from PIL import Image, ImagePalette

from impasto.errors import ImpastoError
from impasto.files.formats import CAMERA_RAW
from impasto.files.srgb import Array, Samples, as_orientation

_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_COLOR_FILTER, _LINEAR_RAW = 32803, 34892
_ICC_PROFILE, _ORIENTATION, _COLOR_MAP = 34675, 274, 320
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 254, 258, 262, 330, 50706
_UNSPECIFIED, _PREMULTIPLIED = 0, 1
_PREDICTORS = (1, 2)
_RARE = ("lzma", "zstd", "webp", "tiff_thunderscan", "tiff_sgilog", "tiff_sgilog24")


def refuse_raw(tag: Callable[..., Any], label: str) -> None:
    """Refuse what a camera's sensor saw: such a TIFF begins with a thumbnail of the picture.

    ``tag`` gives the value of a tag of the first page by its number, and a default where there is none.

    Raises:
        ImpastoError: it is refused.
    """
    thumbnail = tag(_SUBFILE_TYPE, 0) & 1 and tag(_SUB_IFDS, None) is not None
    sensor = tag(_PHOTOMETRIC, 0) in (_COLOR_FILTER, _LINEAR_RAW)
    if thumbnail or sensor or tag(_DNG_VERSION, None) is not None:
        raise ImpastoError(f"{label}: {CAMERA_RAW}")


def raw_mode(image: Image.Image) -> str:
    """The layout that Pillow found in the file, for example ``RGB;16B``; "" where the pixels are loaded already."""
    tiles = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    return args if isinstance(args, str) else str(args[0])


def bits_of(image: Image.Image) -> int:
    """Bits a channel in the file of an image that is not loaded yet, where Pillow tells: of a TIFF and a PPM."""
    if image.format == "PPM" and getattr(image, "tile", None):
        args = image.tile[0][3]  # type: ignore[attr-defined]
        return int(args[1]).bit_length() if isinstance(args, tuple) else 8
    return max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE) or (0,))


def lacks_codec(image: Image.Image) -> bool:
    """Whether this is a TIFF in a compression that not every libtiff is built with, and Pillow's is not."""
    compression = image.info.get("compression") if image.format == "TIFF" else None
    if compression not in _RARE:
        return False
    try:
        Image.new("RGB", (1, 1)).save(io.BytesIO(), "TIFF", compression=compression)
    except OSError:
        return True
    return False


def mend_tiff(image: Any) -> None:
    """Set right, before the pixels of a TIFF are loaded, what Pillow takes amiss."""
    colors = image.tag_v2.get(_COLOR_MAP, (256,))
    if image.palette and max(colors) < 256:  # 16 bits are meant; some programs write 8
        image.palette = ImagePalette.raw("RGB;L", bytes(colors))
    if raw_mode(image) == "F;32BF" and image.tile[0][0] == "libtiff":  # which gives the machine's own byte order
        image.tile = [_with_raw_mode(tile, "F;32NF") for tile in image.tile]


def read_16_bit(image: Image.Image, layout: str, file: IO[bytes]) -> Array | None:
    """The 16-bit samples of a PNG or TIFF in color, where Pillow keeps only the upper 8 bits of each.

    Pillow's decoders unpack one byte of a sample; decoded again in the other byte order, the file gives the lower one.

    ``layout`` is the image's ``raw_mode`` before it was loaded. Returns (H, W, 2, 3 or 4) uint16; None where Pillow's
    image is all there is, and for premultiplied colors, which Pillow divides by alpha at 8 bits.
    """
    if image.mode not in ("RGB", "RGBA") or not layout.endswith((";16B", ";16L", ";16N")) or "a" in layout:
        return None
    big_endian = layout[-1] == "B" or (layout[-1] == "N" and sys.byteorder == "big")
    # Gray and alpha: four bytes a pixel, so an 8-bit RGBA image holds both bytes of both.
    other = "RGBA" if layout == "LA;16B" else layout[:-1] + ("L" if big_endian else "B")
    file.seek(0)
    with Image.open(file, formats=(image.format,) if image.format else None) as again:
        again.tile = [_with_raw_mode(tile, other) for tile in again.tile]
        lower = np.asarray(again)
    if other == "RGBA":
        return lower[..., 0::2].astype(np.uint16) << 8 | lower[..., 1::2]
    return np.asarray(image).astype(np.uint16) << 8 | lower


def read_tiff(file: IO[bytes], label: str, check_size: Callable[[tuple[int, int]], None]) -> Samples:
    """The first page of a TIFF by tifffile: separate planes, 16-bit gray with alpha, floats, any number of bits.

    Raises:
        ImpastoError: a layout that is not a picture in gray or RGB, or a compression that is not read here.
    """
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        refuse_raw(page.tags.valueof, label)
        check_size((page.imagewidth, page.imagelength))
        colors = _colors(page, label)
        if page.compression in _DEFLATE:
            _check_deflate(page, check_size)
        samples = to_unit(_array(page), label, page.bitspersample)
        if page.photometric == _WHITE_IS_ZERO:
            samples[..., 0] = 1 - samples[..., 0]
        extra = [int(kind) for kind in page.extrasamples]
        if extra == [_UNSPECIFIED]:
            samples = samples[..., :colors]
        elif extra == [_PREMULTIPLIED]:
            samples[..., :colors] /= np.maximum(samples[..., colors:], 1e-6)
            np.clip(samples, 0, 1, out=samples)
        profile, orientation = page.tags.valueof(_ICC_PROFILE), page.tags.valueof(_ORIENTATION)
        return Samples.from_array(samples, None if profile is None else bytes(profile), as_orientation(orientation))


def has_broken_segments(file: IO[bytes]) -> bool:
    """Whether a strip or tile of the first page of a deflated TIFF cannot be unpacked; libtiff says it of some only."""
    import tifffile

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            return any(_is_broken(data, most) for data, most in _segments(tiff.pages[0]))
    except Exception:  # Pillow has read it; of what tifffile does not, nothing can be said
        return False


def unread_compression(name: object, label: str) -> ImpastoError:
    """What to raise of a TIFF whose samples nothing here unpacks."""
    what = f"uses a compression that impasto does not read ({name})"
    return ImpastoError(f"{label}: {what}; save it uncompressed or with deflate")


def to_unit(samples: Array, label: str, bits: int = 0) -> Array:
    """Samples of any unsigned type, or floats in [0, 1], as float32 in [0, 1]; ``bits`` where not all are used.

    Raises:
        ImpastoError: signed or complex samples; floats that are not finite or out of range.
    """
    if samples.dtype.kind == "u":
        # float32 holds 16 bits exactly, and takes half the memory.
        kind = np.float32 if samples.dtype.itemsize <= 2 else np.float64
        return (samples / kind(2 ** (bits or 8 * samples.dtype.itemsize) - 1)).astype(np.float32, copy=False)
    if samples.dtype.kind != "f":
        raise ImpastoError(f"{label}: holds samples of type {samples.dtype}; save it with 8 or 16 bits")
    # NaN fails the comparison too.
    if not (samples.min() >= 0 and samples.max() <= 1):
        raise ImpastoError(f"{label}: holds floats outside 0 to 1; scale them, or save it with 8 or 16 bits")
    return samples.astype(np.float32)


def _colors(page: Any, label: str) -> int:
    """How many channels of a page are colors: 1 or 3; refuses what is not read here."""
    colors = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(int(page.photometric), 0)
    if not page.dataoffsets or _BITS_PER_SAMPLE not in page.tags:
        raise ValueError("its table of contents is cut short")
    usual = colors and colors <= page.samplesperpixel <= colors + 1 and page.imagedepth == 1 and page.dtype is not None
    if not usual or (_is_packed(page) and (page.bitspersample not in range(1, 16) or page.is_tiled)):
        raise ImpastoError(f"{label}: is a TIFF of an unusual kind; save it as RGB with 8 or 16 bits")
    if page.compression not in (_UNCOMPRESSED, *_DEFLATE):
        raise unread_compression(getattr(page.compression, "name", page.compression), label)
    if page.predictor not in _PREDICTORS[: 1 if _is_packed(page) else 2]:
        raise unread_compression(f"deflate with predictor {int(page.predictor)}", label)
    return colors


def _is_packed(page: Any) -> bool:
    return page.bitspersample not in (8, 16, 32, 64)


def _array(page: Any) -> Array:
    """The samples of a page as (H, W, C)."""
    height, width, channels = page.imagelength, page.imagewidth, page.samplesperpixel
    separate = page.planarconfig == 2
    if _is_packed(page):
        across = width if separate else width * channels
        array = _unpacked(page, height * channels * width // across, across)
    else:
        array = page.asarray(maxworkers=1)
    return np.moveaxis(array.reshape(channels, height, width), 0, 2) if separate else array.reshape(height, width, -1)


def _unpacked(page: Any, rows: int, across: int) -> Array:
    """Samples of 1 to 15 bits, which no codec of tifffile's own unpacks: (rows, across) uint16, a row at a time."""
    bits, inflate = page.bitspersample, page.compression in _DEFLATE
    segments = page.parent.filehandle.read_segments(page.dataoffsets, page.databytecounts)
    data = b"".join(zlib.decompress(part) if inflate else part for part, _ in segments)
    # Each row begins with a byte of its own.
    stored = np.frombuffer(data, np.uint8).reshape(-1, -(-across * bits // 8))[:rows]
    weights = 1 << np.arange(bits, dtype=np.uint16)[::-1]
    samples = np.empty((rows, across), np.uint16)
    for sample, row in zip(samples, stored, strict=True):
        ones = np.unpackbits(row, count=across * bits, bitorder="little" if page.fillorder == 2 else "big")
        np.matmul(ones.reshape(across, bits), weights, out=sample)
    return samples


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    """A tile descriptor (a plain tuple in older Pillows, a named one in newer) with another raw mode."""
    codec, extents, offset, args = tile
    args = raw_mode if isinstance(args, str) else (raw_mode, *args[1:])
    return tuple.__new__(type(tile), (codec, extents, offset, args))


def _check_deflate(page: Any, check_size: Callable[[tuple[int, int]], None]) -> None:
    """Refuse a broken strip or tile, and one that unpacks to more than its size: tifffile would unpack all of it."""
    if page.is_tiled:
        check_size((page.tilewidth, page.tilelength))
    if any(_is_broken(data, most) for data, most in _segments(page)):
        raise ValueError("a segment is broken, or unpacks to more than its size")


def _segments(page: Any) -> Iterator[tuple[bytes, int]]:
    """The strips or tiles of a page as they are stored, each with the most bytes that it may unpack to."""
    width, length = page.imagewidth, min(page.rowsperstrip, page.imagelength)
    if page.is_tiled:
        width, length = page.tilewidth, page.tilelength
    most = width * length * page.samplesperpixel * page.dtype.itemsize
    for data, _ in page.parent.filehandle.read_segments(page.dataoffsets, page.databytecounts):
        if data:  # a segment of no bytes is one without any picture, in some files
            yield data, most


def _is_broken(data: bytes, most: int) -> bool:
    """Whether deflated data go wrong, are cut short, or unpack to more than ``most`` bytes."""
    inflate = zlib.decompressobj()
    try:
        return len(inflate.decompress(data, most + 1)) > most or not inflate.eof
    except zlib.error:
        return True
