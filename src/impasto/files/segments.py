"""What is in a strip or a tile of a TIFF: unpacking, bits, predictors, color maps."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from impasto.files.srgb import Array

#: Every byte with its bits in the other order.
REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


def lacks_codec(compression: object) -> bool:
    """Whether Pillow's libtiff is built without this compression, by Pillow's name for it."""
    try:
        Image.new("RGB", (1, 1)).save(io.BytesIO(), "TIFF", compression=str(compression))
    except OSError:
        return True
    return False


def inflated(data: bytes, most: int) -> tuple[bytes, bool]:
    """Deflated data, and whether they are whole and unpack to no more than ``most`` bytes; nothing of broken ones."""
    inflate = zlib.decompressobj()
    try:
        whole = inflate.decompress(data, most + 1)
    except zlib.error:
        return b"", False
    return whole, inflate.eof and len(whole) <= most


def by_libtiff(data: bytes, compression: int, fill_order: int, size: tuple[int, int]) -> Array:
    """The bytes of a segment, (rows, width) of ``size``: libtiff sees a gray picture of 8 bits in one strip."""
    values = {256: size[0], 257: size[1], 258: 8, 259: compression, 262: 1, 266: fill_order, 277: 1, 278: size[1]}
    values |= {273: 8, 279: len(data)}
    table = struct.pack("<H", len(values))
    table += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items()))
    file = io.BytesIO(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + table + bytes(4))
    with TiffImagePlugin.TiffImageFile(file) as image:
        image.im = Image.core.new("L", size)  # Pillow's limit is one of pixels, of which these are none
        return np.asarray(image)


def unpack_bits(stored: Array, across: int, bits: int) -> Array:
    """(rows, bytes) of samples of 1 to 15 bits, each row from a byte of its own: (rows, across) uint16."""
    weights = 1 << np.arange(bits, dtype=np.uint16)[::-1]
    samples = np.empty((len(stored), across), np.uint16)
    for sample, row in zip(samples, stored, strict=True):
        np.matmul(np.unpackbits(row, count=across * bits).reshape(across, bits), weights, out=sample)
    return samples


def undo_float_differences(stored: Array, channels: int, size: int) -> Array:
    """Floats whose bytes lie apart, the highest of all first, each as the difference to the one before."""
    rows = stored.reshape(len(stored), -1, channels).cumsum(axis=1, dtype=np.uint8).reshape(len(stored), size, -1)
    floats = np.ascontiguousarray(rows.swapaxes(1, 2)).view(f">f{size}")[..., 0]
    return floats.reshape(len(stored), -1, channels).astype(f"=f{size}")


def colors_of(stored: Any, bits: int) -> Array:
    """(2^bits, 3) uint8 of a color map, all reds first. 16 bits are meant; some programs write 8."""
    colors = np.array(stored, np.uint16).reshape(3, -1)[:, : 2**bits].T
    return (colors if colors.max() < 256 else colors >> 8).astype(np.uint8)
