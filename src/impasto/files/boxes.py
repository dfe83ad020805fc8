"""What some files tell before a plugin opens them: sizes, bits, and how their colors are meant."""

from __future__ import annotations

import io
import struct
from typing import IO

from PIL import Image

from impasto.files.formats import JPEG_XL

_LARGEST_ICON = 2048  # pixels a side
_MOST_ICONS = 256
# Width over height of a JPEG XL, where it has one of the usual ratios.
_RATIOS = {1: (1, 1), 2: (6, 5), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_JPEG_2000_SIZE = b"\xff\x51"  # marker of the segment with the bits of the first component 38 bytes behind it


def check_icons(file: IO[bytes]) -> None:
    """Look into an ICO, which Pillow decodes as it opens it.

    Raises:
        ValueError: one of its pictures is larger than any icon.
    """
    file.seek(4)
    count = min(int.from_bytes(file.read(2), "little"), _MOST_ICONS)
    table = file.read(16 * count)
    for entry in range(0, len(table) - 15, 16):
        file.seek(int.from_bytes(table[entry + 12 : entry + 16], "little"))
        head = file.read(24)
        if len(head) == 24:
            sides = struct.unpack(">II", head[16:]) if head.startswith(b"\x89PNG") else struct.unpack("<ii", head[4:12])
            if max(map(abs, sides)) > _LARGEST_ICON:
                raise ValueError("a picture in it is larger than any icon")


def jxl_size(start: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG XL, by its first bytes: its plugin decodes it as it opens it. None of other files.

    Raises:
        ValueError: they are not among them.
    """
    if not start.startswith(JPEG_XL):
        return None
    at = 0 if start[0] == 0xFF else start.find(b"\xff\x0a", max(start.find(b"jxlc"), start.find(b"jxlp"), 0))
    bits = int.from_bytes(start[at + 2 : at + 18], "little")
    if at < 0 or len(start) < at + 6:
        raise ValueError("no size")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else 1 + take((9, 13, 18, 30)[take(2)])

    height = side()
    ratio = take(3)
    if not ratio:
        return side(), height
    wide, high = _RATIOS[ratio]
    return height * wide // high, height


def ends_in_zeros(file: IO[bytes], size: tuple[int, int]) -> bool:
    """Whether the pixels of a WebP end in more zeros than any encoder writes, which decoders pass over.

    Zeros are what black or blank squares of 16 x 16 pixels are made of: about a byte for every 40 of them.
    """
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name in (b"VP8 ", b"VP8L"):
            most = 64 + size[0] * size[1] // (256 * 8)
            file.seek(max(0, length - most), io.SEEK_CUR)
            end = file.read(min(length, most))
            return length > most and not any(end)
        file.seek(length + (length & 1) if name != b"ANMF" else 16, io.SEEK_CUR)
    return False


def read_cicp(start: bytes) -> bytes:
    """Primaries and curve, a byte each, of an AVIF or HEIC, by ITU-T H.273; nothing where they are not told."""
    at = start.find(b"colrnclx")
    return bytes((start[at + 9], start[at + 11], 0, 0)) if start[4:8] == b"ftyp" and 0 <= at <= len(start) - 12 else b""


def bits_of(image: Image.Image, start: bytes) -> int:
    """Bits a channel in the file of an image that is not loaded yet, where it is told: PPM, JPEG 2000, HEIC, TIFF."""
    if image.format == "PPM" and getattr(image, "tile", None):
        args = image.tile[0][3]  # type: ignore[attr-defined]
        return int(args[1]).bit_length() if isinstance(args, tuple) else 8
    if image.format == "JPEG2000" and (at := start.find(_JPEG_2000_SIZE)) >= 0:
        return (start[at + 40] & 127) + 1 if len(start) > at + 40 else 8
    if image.format == "TIFF":
        return max(image.tag_v2.get(258) or (8,))  # type: ignore[attr-defined]
    return int(image.info.get("bit_depth", 8))
