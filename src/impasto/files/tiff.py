"""TIFF in gray, of a palette, RGB, CMYK and Lab, of any depth and layout, a few rows at a time.

Pillow has no mode for many of these, and reads some amiss. What is not read here (JPEG inside, fax, YCbCr) is left to
it. Strips and tiles are unpacked one by one, and no more than a segment's size ever comes out of one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from impasto.errors import ImpastoError
from impasto.files.formats import CAMERA_RAW, DAMAGED, DEEP
from impasto.files.segments import (
    REVERSED,
    by_libtiff,
    colors_of,
    inflated,
    lacks_codec,
    undo_float_differences,
    unpack_bits,
)
from impasto.files.srgb import ROWS, Array, Samples, as_orientation, to_unit

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
# What libtiff unpacks to plain samples: LZW, PackBits, LZMA, Zstandard.
_BY_LIBTIFF = {5: "tiff_lzw", 32773: "packbits", 34925: "lzma", 50000: "zstd"}
# What Pillow reads whole: fax, JPEG, and what it may be built with or without.
_BY_PILLOW = (2, 3, 4, 6, 7, 32771, 32809, 34676, 34677, 50001)
#: By Pillow's names, those that not every libtiff is built with.
RARE = ("webp", "tiff_thunderscan", "tiff_sgilog", "tiff_sgilog24")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _CIE_LAB, _ICC_LAB = 0, 1, 2, 3, 5, 8, 9
_COLOR_FILTER, _LINEAR_RAW = 32803, 34892
# The mode of the colors, and how many samples of a pixel they are.
_MODES = {
    _WHITE_IS_ZERO: ("L", 1),
    _BLACK_IS_ZERO: ("L", 1),
    _RGB: ("RGB", 3),
    _PALETTE: ("RGB", 1),
    _INKS: ("CMYK", 4),
    _CIE_LAB: ("LAB", 3),
    _ICC_LAB: ("LAB", 3),
}
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _COLOR_MAP, _SUB_IFDS = 254, 258, 262, 274, 320, 330
_YCBCR, _SUBSAMPLING = 6, 530
_INK_SET, _EXTRA_SAMPLES, _ICC_PROFILE, _DNG_VERSION = 332, 338, 34675, 50706
_ARTIST, _COPYRIGHT = 315, 33432
_PREMULTIPLIED, _UNASSOCIATED = 1, 2
_UNSIGNED, _FLOAT, _UNDEFINED = 1, 3, 4
_DIFFERENCES, _FLOAT_DIFFERENCES = 2, 3
_MOST_SAMPLES = 16  # of a pixel
_LARGEST_TILE = 4096  # a side, where the picture itself is smaller


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


def first_page(file: IO[bytes], label: str, check_size: Callable[[tuple[int, int]], None]) -> Any:
    """The first page of a TIFF, as tifffile has it; None of other files, and where it makes nothing of one.

    Raises:
        ImpastoError: a camera's raw file, or one that ``check_size`` refuses.
    """
    file.seek(0)
    if file.read(4) not in STARTS:
        return None
    import tifffile

    file.seek(0)
    try:
        page: Any = tifffile.TiffFile(file).pages[0]
        size = page.imagewidth, page.imagelength
        plain = page.dataoffsets and page.databytecounts and _BITS_PER_SAMPLE in page.tags
    except Exception:  # whatever its parsing runs into; Pillow may know better
        return None
    refuse_raw(page.tags.valueof, label)
    if not plain or not min(size):
        return None
    check_size(size)
    return page


def unread(page: Any, label: str) -> ImpastoError:
    """What to raise of a page that nothing here reads."""
    if int(page.compression) not in (_UNCOMPRESSED, *_DEFLATE, *_BY_LIBTIFF, *_BY_PILLOW):
        return unread_compression(getattr(page.compression, "name", page.compression), label)
    return ImpastoError(f"{label}: is a TIFF of an unusual kind; save it as RGB with 8 or 16 bits")


def unread_compression(name: object, label: str) -> ImpastoError:
    """What to raise of a TIFF whose samples nothing here unpacks."""
    what = f"uses a compression that impasto does not read ({name})"
    return ImpastoError(f"{label}: {what}; save it uncompressed or with deflate")


def read_page(page: Any, file: IO[bytes], label: str, notices: list[str]) -> Samples | None:
    """The samples of a page, read from the file as they are used; None of what is left to Pillow.

    Raises:
        ImpastoError: a kind of TIFF that is not read.
    """
    subsampled = page.photometric == _YCBCR and page.tags.valueof(_SUBSAMPLING, (2, 2)) != (1, 1)
    if subsampled and page.compression == _UNCOMPRESSED:  # Pillow takes it for plain samples
        raise unread(page, label)
    mode, colors = _MODES.get(int(page.photometric), ("", 0))
    if not mode or int(page.compression) not in (_UNCOMPRESSED, *_DEFLATE, *_BY_LIBTIFF):
        return None
    reader = _Reader(page, file, label, notices, mode, colors)
    reader.check()
    tag = page.tags.valueof
    if _has_more(page):
        notices.append("holds several pages; the first is used")
    profile = tag(_ICC_PROFILE)
    return Samples(
        (page.imagewidth, page.imagelength),
        mode,
        reader.blocks(),
        None if profile is None else bytes(profile),
        as_orientation(tag(_ORIENTATION)),
        credit={number: tag(number) for number in (_ARTIST, _COPYRIGHT)},
    )


def _has_more(page: Any) -> bool:
    try:
        return page.parent.pages[1] is not None
    except Exception:  # there is none, or it is broken
        return False


@dataclass
class _Reader:
    """A page and how its samples lie in the file."""

    page: Any
    file: IO[bytes]
    label: str
    notices: list[str]
    mode: str
    colors: int

    def __post_init__(self) -> None:
        page = self.page
        self.width, self.height = page.imagewidth, page.imagelength
        self.bits, self.channels = page.bitspersample, page.samplesperpixel
        self.separate = page.planarconfig == 2
        self.tile = (page.tilewidth, page.tilelength) if page.is_tiled else None
        rows = min(page.rowsperstrip or self.height, self.height)
        self.across, self.rows = self.tile or (self.width, rows)
        self.per = 1 if self.separate else self.channels  # samples of a pixel in a segment
        kind = "f" if page.sampleformat == _FLOAT else "u"
        self.packed = self.bits not in (8, 16, 32, 64)
        self.dtype = None if self.packed else np.dtype(f"{page.parent.byteorder}{kind}{self.bits // 8}")
        kinds = page.tags.valueof(_EXTRA_SAMPLES, (_UNASSOCIATED,) if self.mode == "RGB" else ())
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        extra = {int(kind): self.colors + at for at, kind in reversed(list(enumerate(kinds)))}
        self.premultiplied = _UNASSOCIATED not in extra and _PREMULTIPLIED in extra
        alpha = extra.get(_PREMULTIPLIED if self.premultiplied else _UNASSOCIATED, self.channels)
        self.alpha = alpha if alpha < self.channels else None

    def check(self) -> None:
        """Refuse what is not read here, and segments that are far larger than the picture.

        Raises:
            ImpastoError: it is refused.
        """
        page, unusual = self.page, unread(self.page, self.label)
        if page.sampleformat not in (_UNSIGNED, _FLOAT, _UNDEFINED):
            raise ImpastoError(f"{self.label}: holds signed or complex samples; save it with 8 or 16 bits")
        if self.packed and self.bits not in range(1, 16):
            raise unusual
        if self.page.sampleformat == _FLOAT and self.bits not in (16, 32, 64):
            raise unusual
        if not self.colors <= self.channels <= _MOST_SAMPLES or page.imagedepth != 1:
            raise unusual
        if self.mode in ("CMYK", "LAB") and (self.bits not in (8, 16) or page.sampleformat == _FLOAT):
            raise unusual
        if page.photometric == _INKS and page.tags.valueof(_INK_SET, 1) != 1:
            raise unusual
        if page.photometric == _PALETTE and (self.bits > 8 or _COLOR_MAP not in page.tags):
            raise unusual
        if self.tile and max(self.tile) > max(_LARGEST_TILE, self.width + 15, self.height + 15):
            raise unusual
        known = {1} if self.packed else {1, _FLOAT_DIFFERENCES if self.dtype.kind == "f" else _DIFFERENCES}  # type: ignore[union-attr]
        if int(page.compression) not in (_UNCOMPRESSED, 32773) and int(page.predictor) not in known:
            raise unread_compression(f"with predictor {int(page.predictor)}", self.label)

    def blocks(self) -> Iterator[Array]:
        """A few rows at a time, from the top, as :class:`Samples` wants them."""
        for rows in self._segments():
            for top in range(0, len(rows), ROWS):
                yield self._finished(rows[top : top + ROWS])

    def _segments(self) -> Iterator[Array]:
        """(h, W, C) of every strip, or of every row of tiles."""
        columns, lines = -(-self.width // self.across), -(-self.height // self.rows)
        planes = self.channels if self.separate else 1
        if len(self.page.dataoffsets) < columns * lines * planes:
            raise ValueError("segments are missing")
        for line in range(lines):
            height = min(self.rows, self.height - line * self.rows)
            if planes == columns == 1:
                yield self._segment(line, height)[:, : self.width]
                continue
            kind = np.uint16 if self.packed else self.dtype.newbyteorder("=")  # type: ignore[union-attr]
            block = np.empty((height, self.width, self.channels), kind)
            for plane in range(planes):
                into = block[..., plane : plane + 1] if self.separate else block
                for column in range(columns):
                    left = column * self.across
                    part = self._segment((plane * lines + line) * columns + column, height)
                    into[:, left : left + self.across] = part[:, : self.width - left]
            yield block

    def _segment(self, index: int, height: int) -> Array:
        """The first ``height`` rows of a strip or tile, (height, across, samples of a pixel)."""
        size = -(-self.across * self.per * self.bits // 8)
        offset, count = self.page.dataoffsets[index], self.page.databytecounts[index]
        if not count:  # a segment without a picture, in some files
            return np.zeros((height, self.across, self.per), np.uint16 if self.packed else self.dtype)
        self.file.seek(offset)
        length = self.file.seek(0, io.SEEK_END) - offset
        self.file.seek(offset)
        data = self.file.read(max(0, min(count, length, 2 * self.rows * size + 4096)))
        stored = self._unpacked(data, height, size).reshape(height, size)
        if self.packed:
            return unpack_bits(stored, self.across * self.per, self.bits).reshape(height, self.across, self.per)
        predictor = 1 if self.page.compression in (_UNCOMPRESSED, 32773) else self.page.predictor
        if predictor == _FLOAT_DIFFERENCES:
            return undo_float_differences(stored, self.per, self.bits // 8)
        samples: Array = stored.view(self.dtype or np.uint8).reshape(height, self.across, self.per)
        samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
        return np.cumsum(samples, axis=1, dtype=samples.dtype) if predictor == _DIFFERENCES else samples

    def _unpacked(self, data: bytes, rows: int, size: int) -> Array:
        """The bytes of so many rows, ``size`` each, of a segment."""
        compression, most = int(self.page.compression), self.rows * size
        if compression in _DEFLATE and self.page.fillorder != 2:
            whole, sound = inflated(data, most)
            if not sound and DAMAGED not in self.notices:
                self.notices.append(DAMAGED)
            if len(whole) >= rows * size:
                return np.frombuffer(whole, np.uint8, rows * size)
        if compression == _UNCOMPRESSED:
            stored = np.frombuffer(data, np.uint8, rows * size)
            return REVERSED[stored] if self.page.fillorder == 2 else stored
        try:
            return by_libtiff(data, compression, int(self.page.fillorder), (size, rows))
        except OSError as error:
            name = _BY_LIBTIFF.get(compression)
            if name in ("lzma", "zstd") and lacks_codec(name):
                raise unread_compression(name, self.label) from error
            raise

    def _finished(self, rows: Array) -> Array:
        """Rows as they lie in the file, as colors and alpha: uint8, or float32 in [0, 1]."""
        photometric, alpha = int(self.page.photometric), self.alpha
        if self.mode in ("CMYK", "LAB") and self.bits == 16:
            if DEEP not in self.notices:
                self.notices.append(DEEP)
            rows = (rows >> 8).astype(np.uint8)
        opacity = None if alpha is None else rows[..., alpha : alpha + 1]
        colors = rows[..., : self.colors]
        if photometric == _PALETTE:
            colors = colors_of(self.page.tags.valueof(_COLOR_MAP), self.bits)[colors[..., 0]]
            if opacity is not None and self.packed:
                opacity = np.rint(opacity * np.float32(255 / (2**self.bits - 1))).astype(np.uint8)
        if photometric == _ICC_LAB:  # without the signs of CIE's
            colors = colors ^ np.array([0, 128, 128], np.uint8)
        plain = self.mode == "L" or photometric == _RGB
        if plain and (self.packed or self.bits != 8 or self.premultiplied):
            colors = to_unit(colors, self.label, self.bits)
            opacity = None if opacity is None else to_unit(opacity, self.label, self.bits)
        if photometric == _WHITE_IS_ZERO:
            colors = (255 if colors.dtype == np.uint8 else 1) - colors
        if opacity is None:
            return colors
        if plain and self.premultiplied:
            colors = np.clip(colors / np.maximum(opacity, 1e-6), 0, 1)
        return np.concatenate([colors, opacity], axis=2)
