"""Hostile and fuzzed picture files: no traceback, one line, nothing on stderr, little memory, little time.

cd tests && python -m campaigns.pictures    # what was made by hand
cd tests && python -m campaigns.pictures --fuzz 15000 --seed 1
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import random
import resource
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.files.formats import FORMATS
from impasto.files.srgb import srgb_profile
from impasto.images import load_image, read_recipe_text
from impasto.recipe import Recipe

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *chunks, chunk(b"IEND", b"")])


def tiff(data: bytes, **tags: int | list[int]) -> bytes:
    """A little-endian TIFF of LONGs around data that begin at byte 8."""
    values = {int(name[1:]): value if isinstance(value, list) else [value] for name, value in tags.items()}
    table, body = struct.pack("<H", len(values)), data
    for number, entry in sorted(values.items()):
        packed = struct.pack(f"<{len(entry)}I", *entry)
        if len(packed) > 4:
            packed, body = struct.pack("<I", 8 + len(body)), body + packed
        table += struct.pack("<HHI", number, 4, len(entry)) + packed
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + table + bytes(4)


def jpeg_of_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there many times."""
    data = encoded("JPEG", Image.new("L", (4000, 4000)), progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def jpeg_of_exif(count: int) -> bytes:
    data, block = encoded("JPEG"), b"Exif\0\0" + bytes(65000)
    return data[:2] + (b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block) * count + data[2:]


def webp_with_xmp(packet: bytes) -> bytes:
    return encoded("WEBP", xmp=packet)


def entities(encoding: str) -> bytes:
    names = ['<!ENTITY e0 "aaaaaaaaaa">'] + [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9)]
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [{"".join(names)}]><x>&e8;</x>'
    return text.encode(encoding)


def tiled(side: int, **tags: int) -> bytes:
    strip = zlib.compress(bytes(10_000_000))[:1900]
    common = {"t256": 16, "t257": 16, "t258": 8, "t259": 8, "t262": 1, "t277": 1, "t322": side, "t323": side}
    return tiff(strip, **{**common, "t324": 8, "t325": len(strip), **tags})


def bomb_in_strips(count: int) -> bytes:
    """Every strip of a tall picture is the same megabyte of zeros."""
    strip = zlib.compress(bytes(1 << 20))
    offsets, sizes = [8] * count, [len(strip)] * count
    tags = {"t256": 64, "t257": count, "t258": 8, "t259": 8, "t262": 1, "t277": 1, "t278": 1}
    return tiff(strip, **tags, t273=offsets, t279=sizes)


def by_hand(size: int = 100) -> dict[str, bytes]:
    """Files that are out to harm, by what they do; ``size`` is that of the large ones in percent."""
    zeros = zlib.compress(bytes(size * 1_000_000), 9)
    plain = {"t258": 8, "t259": 1, "t262": 1, "t273": 8}
    many = b"".join(chunk(b"tEXt", b"k%d\0v" % number) for number in range(500 * size))
    return {
        "empty": b"",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
        "dos postscript": b"\xc5\xd0\xd3\xc6" + bytes(40) + b"%!PS\nshowpage\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "zip": b"PK\3\4" + bytes(100),
        "png of 10 gigapixels": png(100_000, 100_000, chunk(b"IDAT", zeros[:5000])),
        "png of 2^31": png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", zeros[:5000])),
        "png whose pixels never end": png(48, 40, chunk(b"IDAT", zeros)),
        "png with a text bomb": png(48, 40, chunk(b"zTXt", b"k\0\0" + zeros), chunk(b"IDAT", zeros[:5000])),
        "png with our text as a bomb": png(48, 40, chunk(b"zTXt", b"impasto\0\0" + zeros), chunk(b"IDAT", zeros[:900])),
        "png with a profile bomb": png(48, 40, chunk(b"iCCP", b"p\0\0" + zeros), chunk(b"IDAT", zeros[:5000])),
        "png with many texts": png(48, 40, many, chunk(b"IDAT", zeros[:5000])),
        "png with a chunk of 2 gigabytes": png(48, 40) + struct.pack(">I", 2**31 - 1) + b"abCd",
        "gif of 65535 x 65535": b"GIF89a"
        + b"\xff" * 4
        + b"\x80"
        + bytes(8)
        + b","
        + bytes(4)
        + b"\xff" * 4
        + b"\0\2\0;",
        "bmp of 2^31": b"BM" + struct.pack("<IIIIiiHH", 54, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24) + bytes(24),
        "icon around a huge png": struct.pack("<HHHIHHII", 0, 1, 1, 0x1010, 1, 32, 99, 22) + png(60_000, 60_000),
        "psd of 30000 x 30000": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(14),
        "jxl of a gigapixel": b"\xff\x0a" + (32767 << 3 | 2 << 1 | 1 << 21).to_bytes(8, "little") + bytes(60),
        "qoi of a gigapixel": b"qoif" + struct.pack(">IIBB", 40_000, 40_000, 4, 0) + b"\xfd" * 100,
        "ppm of 2^31": b"P6\n2147483647 2147483647\n255\n" + bytes(99),
        "jpeg of 300 scans": jpeg_of_scans(300),
        "jpeg with much exif": jpeg_of_exif(15 * size),
        "tile of 26,000 squared": tiled(26_000),
        "tile of 26,000 squared in 16 samples": tiled(26_000, t277=16, t258=8),
        "tile of 2^31": tiled(2**31 - 16),
        "tiff of a jpeg tile of 26,000 squared": tiled(26_000, t259=7),
        "tiff of 65535 samples": tiff(bytes(64), **plain, t256=16, t257=16, t277=65535, t278=16, t279=64),
        "tiff whose strips are bombs": bomb_in_strips(200 * size),
        "tiff that reads itself": tiff(bytes(64), **plain, t256=16, t257=16, t277=1, t278=16, t279=2**32 - 1),
        "tiff of a million strips": tiff(bytes(64), **plain, t256=2, t257=10**6, t277=1, t278=1, t279=1),
        "webp with entities": webp_with_xmp(entities("utf-8")),
        "webp with entities in utf-16": webp_with_xmp(entities("utf-16")),
    }


def seeds() -> list[bytes]:
    """Small valid files that are then broken."""
    turned = Image.Exif()
    turned[274], turned[315] = 6, "Jane"
    exif, profile = turned.tobytes(), srgb_profile()
    image = Image.fromarray(PIXELS)
    kinds = {"PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "AVIF", "PPM", "ICO", "TGA"} & set(FORMATS)
    files = [encoded(kind, exif=exif, icc_profile=profile) for kind in sorted(kinds)]
    compressions = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    files += [encoded("TIFF", compression=name) for name in compressions]
    files += [encoded("TIFF", Image.fromarray(PIXELS[..., 0] > 127), compression="group4")]
    files += [encoded("TIFF", image.convert(mode)) for mode in ("CMYK", "LAB", "YCbCr", "P", "LA")]
    files += [encoded("JPEG", progressive=True), encoded("WEBP", lossless=True), encoded("PNG", image.quantize(9))]
    for module, kind in (("pillow_heif", "HEIF"), ("pillow_jxl", "JXL")):
        with suppress(ImportError):
            getattr(importlib.import_module(module), "register_heif_opener", lambda: None)()
            files.append(encoded(kind, exif=exif))
    pixels = b"".join(b"\xfe" + bytes(pixel) for pixel in PIXELS.reshape(-1, 3))
    return [*files, tiled(16), b"qoif" + struct.pack(">IIBB", 48, 40, 3, 0) + pixels + bytes(7) + b"\1"]


def broken(data: bytes, lot: random.Random) -> bytes:
    """One file with a few bytes changed, cut, doubled, zeroed, or of another's."""
    changed, near = bytearray(data), min(len(data), lot.choice((64, 600, len(data))))
    for _ in range(lot.choice((1, 1, 2, 4, 16))):
        at = lot.randrange(near)
        length = lot.choice((1, 2, 4, 64))
        way = lot.randrange(6)
        if way == 0:
            changed[at : at + 1] = bytes([lot.randrange(256)])
        elif way == 1:
            changed[at : at + length] = bytes(lot.choice((0, 255, 127, 128)) for _ in range(length))
        elif way == 2:
            del changed[at : at + length]
        elif way == 3:
            changed[at:at] = changed[at : at + length]
        elif way == 4:
            changed[at : at + 4] = lot.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\1\0"))
        else:
            del changed[max(16, lot.randrange(len(data))) :]
        near = max(1, min(near, len(changed)))
        changed = changed or bytearray(b"?")
    return bytes(changed)


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """What is written to file descriptor 2, by whatever library, into a file."""
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def refusal(read: Callable[[Path], object], path: Path) -> str | None:
    """What is said of a file; None where it is read.

    Raises:
        Exception: anything but one line for people.
    """
    try:
        read(path)
    except ImpastoError as error:
        if "\n" in str(error) or not str(error).isprintable():
            raise ValueError(f"more than a line: {error}") from error
        return str(error)
    return None


def attack(files: dict[str, bytes], folder: Path, most_seconds: float = 10) -> dict[str, str]:
    """Read every file; what went wrong, by its name."""
    wrong: dict[str, str] = {}
    path, heard = folder / "005.jpg", folder / "stderr"
    for name, data in files.items():
        path.write_bytes(data)
        began = time.monotonic()
        try:
            with stderr_to(heard):
                for read in (load_image, read_recipe_text, Recipe.from_file):
                    refusal(read, path)
        except Exception as error:
            wrong[name] = f"{type(error).__name__}: {error}"
        if heard.stat().st_size:
            wrong[name] = f"on stderr: {heard.read_text(errors='replace')[:200]}"
        if time.monotonic() - began > most_seconds:
            wrong[name] = f"took {time.monotonic() - began:.0f} s"
    return wrong


def peak() -> float:
    """The most memory that this process has taken so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def fuzzed(count: int, seed: int) -> dict[str, bytes]:
    lot, whole = random.Random(seed), seeds()
    return {f"{seed}:{number}": broken(lot.choice(whole), lot) for number in range(count)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz", type=int, default=0, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    files = fuzzed(given.fuzz, given.seed) if given.fuzz else by_hand()
    with tempfile.TemporaryDirectory() as folder:
        wrong = attack(files, Path(folder))
        if not given.fuzz:
            for name, data in files.items():
                path = Path(folder) / "005.jpg"
                path.write_bytes(data)
                began = time.monotonic()
                text = (refusal(load_image, path) or ": is read").split(": ", 1)[1]
                print(f"{time.monotonic() - began:6.2f} s {peak():5.2f} GB  {name}: {text}")
    for name, what in wrong.items():
        print("WRONG", name, what)
    print(f"{len(files)} files, {len(wrong)} wrong, at most {peak():.2f} GB")


if __name__ == "__main__":
    main()
