"""PNG beside Pillow: its chunks, 16 bits a channel, and how a file means its colors."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin

from impasto.files.srgb import Array

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SRGB_GAMMA = 1 / 2.2
_SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# Of cICP, by ITU-T H.273: BT.709's primaries, which are sRGB's; what is not told; curves close to sRGB's; no curve;
# those of HDR.
_BT709, _UNKNOWN, _NEAR_SRGB, _LINEAR, _HDR = 1, 2, (1, 6, 13, 14, 15), 8, {16: "PQ", 18: "HLG"}
#: Layouts in color, or gray and alpha, of which Pillow keeps the upper 8 bits.
SIXTEEN_BITS = ("RGB;16B", "RGBA;16B", "LA;16B")
_TEXTS, _LONG_TEXT = ("tEXt", "zTXt", "iTXt"), 65536
_PART = 1 << 20  # bytes read at a time


@dataclass
class Chunks:
    """What the chunks of a file tell.

    Attributes:
        file: for Pillow: the file itself, or a copy without those ancillary chunks that it would refuse, be it for a
            checksum or a long text.
        broken: whether the checksum of a chunk of the pixels is wrong.
        damaged: names of the others whose checksum is wrong.
        cicp: what the cICP chunk holds, which Pillow does not tell.
    """

    file: IO[bytes]
    broken: bool = False
    damaged: list[str] = field(default_factory=list)
    cicp: bytes = b""


def read_chunks(file: IO[bytes], keyword: bytes = b"") -> Chunks:
    """Look through the chunks of a file, which may be any. Texts under ``keyword`` stay, however long they are."""
    found, kept, start = Chunks(file), [], 0
    file.seek(0)
    if file.read(8) == _SIGNATURE:
        while len(head := file.read(8)) == 8:
            length, code = struct.unpack(">I4s", head)
            name, needed = code.decode("ascii", "replace"), not code[0] & 32  # a capital: it takes part in the pixels
            body, wrong = _read_chunk(file, code, length, keep=not needed)
            if needed:
                found.broken |= wrong
                continue
            found.damaged += [name] if wrong else []
            if name == "cICP" and not wrong:
                found.cicp = body
            ours = keyword and body.startswith(keyword + b"\0")
            if wrong or (name in _TEXTS and not ours and (length > _LONG_TEXT or name != "tEXt")):
                kept.append((start, file.tell() - length - 12))
                start = file.tell()
    file.seek(0)
    if kept:
        data = file.read()
        found.file = io.BytesIO(b"".join(data[a:b] for a, b in [*kept, (start, len(data))]))
    return found


def _read_chunk(file: IO[bytes], code: bytes, length: int, *, keep: bool) -> tuple[bytes, bool]:
    """What a chunk holds, if it is to be kept, and whether its checksum is wrong; that of one cut short is not."""
    body, checksum, left = [], zlib.crc32(code), length
    while left and (part := file.read(min(left, _PART))):
        checksum, left = zlib.crc32(part, checksum), left - len(part)
        body += [part] if keep else []
    stored = file.read(4)
    return b"".join(body), len(stored) == 4 and checksum != int.from_bytes(stored, "big")


def read_16_bit(image: Image.Image, layout: str, file: IO[bytes]) -> Array:
    """(H, W, C) uint16 of a file in one of :data:`SIXTEEN_BITS`, whose upper 8 bits are those of the loaded image.

    Pillow's decoders unpack one byte of a sample; decoded again in the other byte order, the file gives the lower one.
    The pixels of the image are let go.
    """
    # Gray and alpha: four bytes a pixel, so an 8-bit RGBA image holds both bytes of both.
    both = layout == "LA;16B"
    samples = None if both else np.asarray(image).astype(np.uint16)
    Image.Image.close(image)
    file.seek(0)
    with PngImagePlugin.PngImageFile(file) as again:
        again.tile = [tile._replace(args="RGBA" if both else layout[:-1] + "L") for tile in again.tile]
        lower = np.asarray(again)
    if samples is None:
        return lower[..., 0::2].astype(np.uint16) << 8 | lower[..., 1::2]
    samples <<= 8
    samples |= lower
    return samples


def gamma_and_notice(info: dict[Any, Any], cicp: bytes) -> tuple[float, str | None]:
    """How a PNG without a profile means its colors, from Pillow's ``info`` and its cICP chunk.

    Returns:
        The exponent of its gAMA chunk, 0 where the curve is sRGB's or near; what is told of the rest, if anything.
    """
    taken = "its colors are taken as sRGB"
    if info.get("icc_profile"):
        return 0, None
    if len(cicp) == 4:
        primaries, transfer = (_BT709 if code == _UNKNOWN else code for code in cicp[:2])
        if primaries == _BT709 and transfer in (*_NEAR_SRGB, _LINEAR):
            return float(transfer == _LINEAR), None
        said = f"is HDR ({_HDR[transfer]})" if transfer in _HDR else "has other primaries or another curve than sRGB"
        return 0, f"{said}, by its cICP chunk; {taken}"
    if "srgb" in info:
        return 0, None
    gamma, chromaticities = info.get("gamma") or 0, info.get("chromaticity", _SRGB_CHROMATICITIES)
    near = abs(gamma - _SRGB_GAMMA) < 0.02
    other = max(abs(a - b) for a, b in zip(chromaticities, _SRGB_CHROMATICITIES, strict=False)) > 0.005
    notice = f"has other primaries than sRGB, by its cHRM chunk; {taken}" if other else None
    return 0 if near else gamma, notice
