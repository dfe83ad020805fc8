"""Reading: every format, depth and color mode, and every way a file can be bad."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from campaigns.matrix import lzw
from impasto.errors import ImpastoError
from impasto.files import formats
from impasto.files.formats import FORMATS
from impasto.files.srgb import srgb_profile
from impasto.images import Picture, load_image

pytestmark = pytest.mark.filterwarnings("error")

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 256, (24, 20, 3), dtype=np.uint8)
ALPHA8 = RNG.integers(0, 256, (24, 20), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (24, 20, 4), dtype=np.uint16)


def unit(samples: np.ndarray) -> torch.Tensor:
    """(H, W[, C]) integers as (1, 3, H, W)."""
    samples = samples.reshape(*samples.shape[:2], -1).astype(np.float64) / np.iinfo(samples.dtype).max
    planes = torch.from_numpy(samples.astype(np.float32)).permute(2, 0, 1)
    return (planes.expand(3, -1, -1) if len(planes) == 1 else planes)[None]


def composited(color: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Over the mean of the visible colors, as the documentation says."""
    mean = (color * alpha).sum((2, 3), keepdim=True) / alpha.sum()
    return color * alpha + mean * (1 - alpha)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, color_type: int, body: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join((chunk(b"IHDR", header), *extra, chunk(b"IDAT", body), chunk(b"IEND", b"")))


def png16(samples: np.ndarray, *extra: bytes) -> bytes:
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], zlib.compress(rows), *extra)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def read(tmp_path: Path):
    def from_bytes(data: bytes, **options: int) -> Picture:
        path = tmp_path / "picture.any"
        path.write_bytes(data)
        return load_image(path, **options)

    return from_bytes


def gray_profile(gamma: float | None) -> bytes:
    """A grey ICC profile with a power curve, or none (linear)."""
    curve = b"curv\0\0\0\0" + (struct.pack(">I", 0) if gamma is None else struct.pack(">IH", 1, round(gamma * 256)))
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    tags = [(b"desc", text), (b"wtpt", white), (b"kTRC", curve), (b"cprt", b"text\0\0\0\0none\0")]
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[:4] = struct.pack(">I", 128 + len(table) + len(body))
    header[8:24] = b"\x02\x40\0\0mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return bytes(header) + table + body


def swapped_profile() -> bytes:
    """sRGB with the primaries for red and green exchanged."""
    return srgb_profile().replace(b"rXYZ", b"tmp.").replace(b"gXYZ", b"rXYZ").replace(b"tmp.", b"gXYZ")


# --- formats, modes and depths


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_rgb(read, kind: str) -> None:
    picture = read(encoded(Image.fromarray(RGB8), kind))
    assert picture.tensor.shape == (1, 3, 24, 20)
    assert picture.tensor.dtype == torch.float32
    assert picture.tensor.is_contiguous()
    assert torch.equal(picture.tensor, unit(RGB8))
    assert picture.alpha is None
    assert picture.notices == ()


def test_lossless_webp(read) -> None:
    assert torch.equal(read(encoded(Image.fromarray(RGB8), "WEBP", lossless=True)).tensor, unit(RGB8))


def test_jpeg(read) -> None:
    smooth = np.asarray(Image.fromarray(RGB8[:3, :3]).resize((40, 32), Image.Resampling.BICUBIC))
    picture = read(encoded(Image.fromarray(smooth), "JPEG", quality=100, subsampling=0))
    assert (picture.tensor - unit(smooth)).abs().max() < 4 / 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey(read, kind: str) -> None:
    assert torch.equal(read(encoded(Image.fromarray(ALPHA8), kind)).tensor, unit(ALPHA8))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit(read, kind: str) -> None:
    bits = Image.fromarray(ALPHA8 > 127)
    assert bits.mode == "1"
    assert torch.equal(read(encoded(bits, kind)).tensor, unit((ALPHA8 > 127).astype(np.uint8) * np.uint8(255)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_and_alpha(read, kind: str) -> None:
    image = Image.fromarray(np.dstack([RGB8[..., 0], ALPHA8]), "LA")
    picture = read(encoded(image, kind))
    assert torch.equal(picture.alpha, unit(ALPHA8)[:, :1])
    torch.testing.assert_close(picture.tensor, composited(unit(RGB8[..., 0]), picture.alpha), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_rgb_and_alpha(read, kind: str, options: dict[str, bool]) -> None:
    picture = read(encoded(Image.fromarray(np.dstack([RGB8, ALPHA8])), kind, **options))
    assert picture.alpha.shape == (1, 1, 24, 20)
    assert torch.equal(picture.alpha, unit(ALPHA8)[:, :1])
    torch.testing.assert_close(picture.tensor, composited(unit(RGB8), picture.alpha), atol=1e-6, rtol=0)


def test_palette(read) -> None:
    image = Image.fromarray(RGB8).quantize(16)
    assert image.mode == "P"
    for kind in ("PNG", "GIF", "TIFF", "BMP"):
        picture = read(encoded(image, kind))
        assert torch.equal(picture.tensor, unit(np.asarray(image.convert("RGB"))))
        assert picture.alpha is None


def test_palette_with_transparency(read) -> None:
    image = Image.new("P", (4, 2))
    image.putpalette([200, 0, 0, 0, 100, 0, 0, 0, 50])
    image.putdata([0, 0, 1, 1, 2, 2, 2, 2])
    picture = read(encoded(image, "PNG", transparency=bytes([255, 128, 0])))
    expected = torch.tensor([[255, 255, 128, 128], [0, 0, 0, 0]]) / 255
    assert torch.equal(picture.alpha[0, 0], expected)
    # Visible: two pixels of red 200 whole, two of green 100 by half; blue 50 is hidden.
    weight = 2 + 2 * 128 / 255
    mean = torch.tensor([2 * 200 / weight, 2 * 128 / 255 * 100 / weight, 0]) / 255
    torch.testing.assert_close(picture.tensor[0, :, 1, 0], mean)
    torch.testing.assert_close(picture.tensor[0, :, 0, 0], torch.tensor([200 / 255, 0, 0]))


def test_transparent_color_of_a_png(read) -> None:
    rows = b"\0" + bytes([1, 2, 3, 9, 9, 9]) + b"\0" + bytes([9, 9, 9, 1, 2, 3])
    picture = read(png(2, 2, 8, 2, zlib.compress(rows), chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))))
    assert picture.alpha.flatten().tolist() == [0, 1, 1, 0]
    torch.testing.assert_close(picture.tensor, torch.full((1, 3, 2, 2), 9 / 255))


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_color_of_a_16_bit_png(read, channels: int) -> None:
    samples = np.full((2, 2, channels), 700, np.uint16)
    samples[0, 0] = 701
    key = chunk(b"tRNS", struct.pack(f">{channels}H", *[701] * channels))
    picture = read(png16(samples, key))
    assert picture.alpha.flatten().tolist() == [0, 1, 1, 1]
    torch.testing.assert_close(picture.tensor, torch.full((1, 3, 2, 2), 700 / 65535))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(read, kind: str) -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    options = {"quality": 100} if kind == "JPEG" else {}
    color = read(encoded(inks, kind, **options)).tensor.mean((0, 2, 3))
    torch.testing.assert_close(color, torch.tensor([1.0, 0, 0]), atol=2 / 255, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_exact(read, channels: int) -> None:
    picture = read(png16(DEEP[..., :channels]))
    color = unit(DEEP[..., : channels if channels in (1, 3) else channels - 1])
    if channels in (1, 3):
        assert torch.equal(picture.tensor, color)
    else:
        assert torch.equal(picture.alpha, unit(DEEP[..., channels - 1])[:, :1])
        torch.testing.assert_close(picture.tensor, composited(color, picture.alpha), atol=1e-6, rtol=0)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_tiff_is_exact(read, compression: str | None, layout: str, order: str, channels: int) -> None:
    samples, file = DEEP[..., :channels], io.BytesIO()
    stored = np.moveaxis(samples, 2, 0) if layout == "separate" else samples
    tifffile.imwrite(
        file,
        samples[..., 0] if channels == 1 else stored,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig=layout if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression=compression,
        byteorder=order,
        metadata=None,
    )
    picture = read(file.getvalue())
    if channels in (1, 3):
        assert torch.equal(picture.tensor, unit(samples))
    else:
        assert torch.equal(picture.alpha, unit(samples[..., -1])[:, :1])
        torch.testing.assert_close(
            picture.tensor, composited(unit(samples[..., :-1]), picture.alpha), atol=1e-6, rtol=0
        )


def test_16_bit_tiff_with_predictor_is_exact(read) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, DEEP[..., :3], photometric="rgb", compression="zlib", predictor=True, metadata=None)
    assert torch.equal(read(file.getvalue()).tensor, unit(DEEP[..., :3]))


def test_16_bit_lzw_tiff_is_exact(read) -> None:
    image = Image.fromarray(DEEP[..., 0])
    assert torch.equal(read(encoded(image, "TIFF", compression="tiff_lzw")).tensor, unit(DEEP[..., 0]))


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_tiff_where_white_is_zero(read, depth: type) -> None:
    samples, file = DEEP[..., 0].astype(depth), io.BytesIO()
    tifffile.imwrite(file, samples, photometric="miniswhite", metadata=None)
    torch.testing.assert_close(read(file.getvalue()).tensor, 1 - unit(samples))


def test_tiff_multiplied_by_its_alpha(read) -> None:
    file = io.BytesIO()
    # Red of half its strength, stored at half alpha: full red seen through half alpha.
    samples = np.zeros((2, 2, 2, 4), np.uint16)[0]
    samples[..., 0], samples[..., 3] = 32768, 32768
    tifffile.imwrite(
        file, np.moveaxis(samples, 2, 0), photometric="rgb", planarconfig="separate", extrasamples=["assocalpha"]
    )
    picture = read(file.getvalue())
    torch.testing.assert_close(picture.alpha, torch.full((1, 1, 2, 2), 32768 / 65535))
    torch.testing.assert_close(picture.tensor[0, :, 0, 0], torch.tensor([1.0, 0, 0]))


def test_float_tiff(read) -> None:
    file, samples = io.BytesIO(), RGB8.astype(np.float32) / 300
    tifffile.imwrite(file, samples, photometric="rgb", metadata=None)
    assert torch.equal(read(file.getvalue()).tensor[0], torch.from_numpy(samples).permute(2, 0, 1))


def tiff(samples: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **options)
    return file.getvalue()


def tiff_of(strips: list[bytes], size: tuple[int, int], order: str, **tags: list[int]) -> bytes:
    """Strips that are there already, as (width, height); tifffile writes not every kind."""
    offsets = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    values = {"t256": [size[0]], "t257": [size[1]], "t273": offsets, "t279": [len(strip) for strip in strips], **tags}
    body, table = b"".join(strips), struct.pack(order + "H", len(values))
    for name in sorted(values):
        data = struct.pack(f"{order}{len(values[name])}I", *values[name])
        if len(data) > 4:
            data, body = struct.pack(order + "I", 8 + len(body)), body + data
        table += struct.pack(order + "HHI", int(name[1:]), 4, len(values[name])) + data
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8 + len(body)) + body + table + bytes(4)


def packed_tiff(
    samples: np.ndarray, bits: int, order: str = "<", *, kind: int = 1, deflate: bool = False, planes: bool = False
) -> bytes:
    """(H, W, C) integers of any number of bits, in two strips or two a plane."""
    height, width, channels = samples.shape
    strips = []
    for part in np.moveaxis(samples, 2, 0) if planes else [samples]:
        for half in np.split(part, 2):
            ones = half.reshape(len(half), -1, 1) >> np.arange(bits)[::-1] & 1
            strips.append(np.packbits(ones.reshape(len(half), -1).astype(np.uint8), axis=1).tobytes())
    tags = {"t258": [bits] * channels, "t262": [kind], "t277": [channels], "t278": [height // 2]}
    tags |= {"t259": [8 if deflate else 1], "t284": [2 if planes else 1]}
    strips = [zlib.compress(strip) if deflate else strip for strip in strips]
    return tiff_of(strips, (width, height), order, **tags)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
def test_tiff_of_any_number_of_bits(read, bits: int, channels: int, deflate: bool, order: str) -> None:
    samples = DEEP[..., :channels] >> (16 - bits)
    picture = read(packed_tiff(samples, bits, order, kind=1 if channels == 1 else 2, deflate=deflate))
    expected = torch.from_numpy((samples / (2**bits - 1)).astype(np.float32)).permute(2, 0, 1)
    torch.testing.assert_close(picture.tensor[0], expected.expand(3, -1, -1), atol=1e-7, rtol=0)


@pytest.mark.parametrize("compression", [1, 5])
def test_12_bit_rows_of_an_odd_width(read, compression: int) -> None:
    samples = DEEP[:, :19, 0] >> 4
    ones = np.pad(samples[..., None] >> np.arange(12)[::-1] & 1, ((0, 0), (0, 1), (0, 0))).reshape(24, -1)
    strip = np.packbits(ones[:, : 19 * 12 + 4].astype(np.uint8), axis=1).tobytes()
    tags = {"t258": [12], "t259": [compression], "t262": [1], "t277": [1], "t278": [24]}
    picture = read(tiff_of([lzw(strip) if compression == 5 else strip], (19, 24), "<", **tags))
    assert torch.equal(picture.tensor[0, 0], torch.from_numpy((samples / 4095).astype(np.float32)))


def test_12_bit_tiff_in_planes_and_where_white_is_zero(read) -> None:
    samples = DEEP[..., :3] >> 4
    expected = torch.from_numpy((samples / 4095).astype(np.float32)).permute(2, 0, 1)
    assert torch.equal(read(packed_tiff(samples, 12, kind=2, planes=True)).tensor[0], expected)
    torch.testing.assert_close(read(packed_tiff(samples[..., :1], 12, kind=0)).tensor[0, 0], 1 - expected[0])


def test_camera_raw_is_refused(read) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(RGB8, photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(DEEP[..., 0], photometric=32803, subfiletype=0, metadata=None)
    dng = tiff(RGB8, photometric="rgb", extratags=[(50706, 1, 4, bytes([1, 4, 0, 0]), True)])
    planes = packed_tiff(DEEP[..., :3], 16, kind=34892, planes=True)
    for data in (file.getvalue(), dng, planes, tiff(DEEP[..., 0], photometric=32803)):
        with pytest.raises(ImpastoError) as caught:
            read(data)
        assert str(caught.value).endswith(
            "picture.any: is a camera raw file; develop it first, for example to a TIFF or JPEG"
        )


def test_reduced_first_page_alone_is_a_picture(read) -> None:
    assert torch.equal(read(tiff(RGB8, photometric="rgb", subfiletype=1)).tensor, unit(RGB8))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_transparent_gray_of_a_png_with_few_bits(read, bits: int) -> None:
    # Two rows of two: the levels 0 and 1, then 1 and 0.
    first, second = 1 << 8 - 2 * bits, 1 << 8 - bits
    body = zlib.compress(bytes([0, first, 0, second]))
    data = png(2, 2, bits, 0, body, chunk(b"tRNS", struct.pack(">H", 1)))
    picture = read(data)
    assert picture.alpha.flatten().tolist() == [1, 0, 0, 1]
    assert torch.equal(picture.tensor, torch.zeros(1, 3, 2, 2))
    with Image.open(io.BytesIO(data)) as image:
        assert load_image(image).alpha.flatten().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("planes", [False, True])
def test_signed_tiff_is_refused(read, dtype: type, planes: bool) -> None:
    samples = (DEEP[..., 0] >> 9).astype(dtype)
    data = tiff(samples, photometric="minisblack")
    if planes:
        data = tiff(np.stack([samples] * 3), photometric="rgb", planarconfig="separate")
    with pytest.raises(ImpastoError, match=r"picture.any: holds .*; save it with 8 or 16 bits"):
        read(data)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_gray_and_alpha_in_planes(read, compression: str | None) -> None:
    planes = np.stack([RGB8[..., 0], ALPHA8])
    options = {"photometric": "minisblack", "planarconfig": "separate", "extrasamples": ["unassalpha"]}
    picture = read(tiff(planes, compression=compression, **options))
    assert torch.equal(picture.alpha, unit(ALPHA8)[:, :1])
    torch.testing.assert_close(picture.tensor, composited(unit(RGB8[..., 0]), picture.alpha), atol=1e-6, rtol=0)


def test_tiff_palette_of_8_bits(read) -> None:
    colors = RNG.integers(0, 256, (3, 256), dtype=np.uint16)
    for scale in (1, 257):
        picture = read(tiff(ALPHA8, photometric="palette", colormap=colors * np.uint16(scale)))
        assert torch.equal(picture.tensor, unit(np.moveaxis(colors.astype(np.uint8)[:, ALPHA8], 0, 2)))


@pytest.mark.parametrize("compression", [1, 5, 8])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [0, 1])
def test_float_gray_tiff(read, kind: int, order: str, compression: int) -> None:
    samples = RGB8[..., 0].astype(np.float32) / 300
    strip = {1: bytes, 5: lzw, 8: zlib.compress}[compression](samples.astype(order + "f4").tobytes())
    tags = {"t258": [32], "t259": [compression], "t262": [kind], "t277": [1], "t278": [24], "t339": [3]}
    picture = read(tiff_of([strip], (20, 24), order, **tags))
    assert torch.equal(picture.tensor[0, 0], torch.from_numpy(samples if kind else 1 - samples))


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan])
@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_float_tiff_out_of_range(read, value: float, shape: tuple[int, ...]) -> None:
    file, samples = io.BytesIO(), np.full(shape, 0.5, np.float32)
    samples[1, 1] = value
    tifffile.imwrite(file, samples, photometric="rgb" if len(shape) == 3 else "minisblack", metadata=None)
    with pytest.raises(ImpastoError, match=r"picture.any: holds floats outside 0 to 1; scale them"):
        read(file.getvalue())


# --- formats that Pillow alone knows about


@pytest.mark.parametrize("kind", ["JPEG2000", "ICO", "TGA", "PPM"])
def test_other_formats(read, kind: str) -> None:
    options = {"sizes": [(20, 24)]} if kind == "ICO" else {}
    picture = read(encoded(Image.fromarray(RGB8), kind, **options))
    assert torch.equal(picture.tensor, unit(RGB8))
    assert picture.notices == ()


def test_16_bit_gray_of_other_formats(read) -> None:
    gray = DEEP[..., 0]
    for data in (encoded(Image.fromarray(gray), "JPEG2000"), b"P5\n20 24\n65535\n" + gray.astype(">u2").tobytes()):
        assert torch.equal(read(data).tensor, unit(gray))


@pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow reads no AVIF")
def test_avif(read) -> None:
    smooth = np.asarray(Image.fromarray(RGB8[:3, :3]).resize((40, 32), Image.Resampling.BICUBIC))
    data = encoded(Image.fromarray(smooth), "AVIF", quality=100, subsampling="4:4:4")
    assert (read(data).tensor - unit(smooth)).abs().max() < 4 / 255
    with pytest.raises(ImpastoError, match=r"picture.any: is damaged or cut short"):
        read(data[:60])


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "is a HEIC file; install impasto[heif] to read it, or convert it to JPEG",
        ),
        (b"\xff\x0a\x7f\0", "is a JPEG XL file; install impasto[jxl] to read it, or convert it to JPEG"),
    ],
)
def test_formats_whose_package_is_not_there(read, monkeypatch: pytest.MonkeyPatch, start: bytes, what: str) -> None:
    for module in ("pillow_heif", "pillow_jxl", "pillow_jxl.JpegXLImagePlugin"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImpastoError) as caught:
        read(start + bytes(100))
    assert f"picture.any: {what}, PNG, WebP or TIFF" in str(caught.value)


def test_heic(read) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    small = Image.fromarray(RGB8[:3, :3]).resize((40, 32), Image.Resampling.BICUBIC)
    pillow_heif.from_pillow(small).save(file, quality=100, chroma=444, exif=exif.tobytes())
    picture = read(file.getvalue())
    assert picture.tensor.shape == (1, 3, 40, 32)
    assert (picture.tensor - unit(np.rot90(np.asarray(small), -1))).abs().max() < 6 / 255
    with pytest.raises(ImpastoError, match=r"picture.any: is damaged or cut short"):
        read(file.getvalue()[:200])


def test_jpeg_xl(read) -> None:
    pytest.importorskip("pillow_jxl")
    image = Image.fromarray(np.dstack([RGB8, ALPHA8]))
    picture = read(encoded(image, "JXL", lossless=True))
    assert torch.equal(picture.alpha, unit(ALPHA8)[:, :1])
    for size in ((40, 48), (1920, 1080), (300, 7)):  # the size stands in a few bits, in three ways
        with pytest.raises(ImpastoError, match=f"{size[0]} x {size[1]} pixels are more than the limit of 9; scale"):
            read(encoded(Image.new("RGB", size), "JXL"), max_pixels=9)


@pytest.mark.parametrize("channels", [3, 4])
def test_qoi(read, channels: int) -> None:
    pixels = np.dstack([RGB8, ALPHA8])[..., :channels].reshape(-1, channels)
    mark = {3: b"\xfe", 4: b"\xff"}[channels]
    body = b"".join(mark + pixel.tobytes() for pixel in pixels) + bytes(7) + b"\1"
    picture = read(b"qoif" + struct.pack(">IIBB", 20, 24, channels, 0) + body)
    assert (picture.alpha is None) == (channels == 3)
    if channels == 3:
        assert torch.equal(picture.tensor, unit(RGB8))
    with pytest.raises(ImpastoError, match=r"picture.any: is damaged or cut short"):
        read(b"qoif" + bytes(3))


def test_jpeg_2000_in_color_of_16_bits(read) -> None:
    data = bytearray(encoded(Image.fromarray(RGB8), "JPEG2000"))
    at = data.index(b"\xff\x51") + 40
    assert list(data[at : at + 9 : 3]) == [7, 7, 7]
    data[at : at + 9 : 3] = bytes([15, 15, 15])
    with pytest.raises(ImpastoError, match="is a JPEG 2000 in color with more than 8 bits a channel; save it as TIFF"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("frame", "bits", "said"),
    [
        (0xC3, 8, "is a lossless JPEG; save it as PNG or TIFF"),
        (0xC1, 12, "is a JPEG with 12 bits a channel; save it as TIFF, or with 8"),
    ],
)
def test_jpegs_of_other_kinds_are_named(read, frame: int, bits: int, said: str) -> None:
    data = bytearray(encoded(Image.fromarray(RGB8), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = frame, bits
    with pytest.raises(ImpastoError, match=f"picture.any: {said}"):
        read(bytes(data))


def test_jpeg_of_very_many_scans(read) -> None:
    data = encoded(Image.fromarray(RGB8), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert read(data[:last] + data[last:-2] * 20 + data[-2:]).notices == ()
    with pytest.raises(ImpastoError, match=r"picture.any: is a JPEG of more than 100 scans; save it anew"):
        read(data[:last] + data[last:-2] * 100 + data[-2:])


def test_of_many_exif_segments_the_first_counts(read) -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(Image.fromarray(RGB8), "JPEG", exif=exif.tobytes())
    more = b"\xff\xe1" + struct.pack(">H", 60_000) + b"Exif\0\0" + bytes(59_992)
    at = data.index(b"\xff\xdb")
    picture = read(data[:at] + more * 50 + data[at:])
    assert torch.equal(picture.tensor, read(data).tensor)
    assert picture.tensor.shape == (1, 3, 20, 24)


def test_subsampled_ycbcr_that_is_not_compressed(read) -> None:
    tags = {"t258": [8, 8, 8], "t259": [1], "t262": [6], "t277": [3], "t278": [24], "t530": [2, 2]}
    with pytest.raises(ImpastoError, match="is a TIFF of an unusual kind; save it as RGB with 8 or 16 bits"):
        read(tiff_of([bytes(24 * 20 * 3 // 2)], (20, 24), "<", **tags))


def test_palette_with_alpha_in_few_bits(read) -> None:
    colors = RNG.integers(0, 256, (3, 4), dtype=np.uint16) * 257
    samples = RNG.integers(0, 4, (24, 20, 2), dtype=np.uint16)
    tags = {"t320": colors.reshape(-1).tolist(), "t338": [2]}
    ones = (samples.reshape(24, -1, 1) >> np.array([1, 0]) & 1).reshape(24, -1).astype(np.uint8)
    strip = np.packbits(ones, axis=1).tobytes()
    kind = {"t258": [2, 2], "t259": [1], "t262": [3], "t277": [2], "t278": [24]}
    picture = read(tiff_of([strip], (20, 24), "<", **kind, **tags))
    torch.testing.assert_close(picture.alpha[0, 0], torch.from_numpy((samples[..., 1] / 3).astype(np.float32)))
    seen = picture.alpha[0, 0] == 1
    expected = torch.from_numpy((colors.T[samples[..., 0]] / 65535).astype(np.float32)).permute(2, 0, 1)
    torch.testing.assert_close(picture.tensor[0][:, seen], expected[:, seen])


def test_a_tile_far_larger_than_its_picture(read) -> None:
    strip = zlib.compress(bytes(1_000_000))[:900]
    tags = {"t258": [8], "t259": [8], "t262": [1], "t277": [1], "t322": [26_000], "t323": [26_000]}
    with pytest.raises(ImpastoError, match="is a TIFF of an unusual kind"):
        read(tiff_of([strip], (16, 16), "<", **tags, t324=[8], t325=[len(strip)]))


def test_avif_without_a_decoder(read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "AVIF", ())
    monkeypatch.setattr(formats, "FORMATS", ("PNG",))
    with pytest.raises(ImpastoError, match=r"picture.any: is an AVIF file, which this Pillow does not read; update"):
        read(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(100))


def psd(planes: np.ndarray, depth: int = 8) -> bytes:
    """(C, H, W) flattened, without layers."""
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", len(planes), *planes.shape[1:], depth, 3)
    return header + bytes(12) + b"\0\0" + planes.tobytes()


def test_psd(read) -> None:
    picture = read(psd(np.moveaxis(RGB8, 2, 0)))
    assert torch.equal(picture.tensor, unit(RGB8))
    assert picture.notices == ()
    with pytest.raises(ImpastoError, match=r"picture.any: is a PSD with 16 or 32 bits a channel; save it as TIFF"):
        read(psd(np.moveaxis(DEEP[..., :3], 2, 0), depth=16))


def test_bmp_with_odd_bit_fields(read) -> None:
    masks = struct.pack("<3I", 0xF00, 0xF0, 0xF)
    head = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 16, 3, 32, 0, 0, 0, 0)
    with pytest.raises(ImpastoError, match=r"picture.any: is a BMP of an unusual kind; save it as PNG or TIFF"):
        read(b"BM" + struct.pack("<IHHI", 98, 0, 0, 66) + head + masks + bytes(32))


def test_an_icon_larger_than_it_says(read) -> None:
    inside = encoded(Image.new("RGB", (3000, 3000)), "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    with pytest.raises(ImpastoError, match=r"picture.any: is damaged"):
        read(struct.pack("<HHH", 0, 1, 1) + entry + inside)


@pytest.mark.parametrize(("number", "name"), [(34887, "LERC"), (34712, "JPEG2000")])
def test_compression_that_nothing_here_unpacks(read, number: int, name: str) -> None:
    tags = {"t258": [16, 16], "t259": [number], "t262": [1], "t277": [2], "t278": [24], "t338": [2]}
    with pytest.raises(ImpastoError) as caught:
        read(tiff_of([bytes(24 * 20 * 4)], (20, 24), "<", **tags))
    what = f"uses a compression that impasto does not read ({name}); save it uncompressed or with deflate"
    assert str(caught.value).endswith(f"picture.any: {what}")


@pytest.mark.parametrize(("number", "name"), [(50001, "webp"), (32809, "tiff_thunderscan")])
def test_compression_that_libtiff_is_built_without(read, number: int, name: str, capfd) -> None:
    tags = {"t258": [8, 8, 8], "t259": [number], "t262": [2], "t277": [3], "t278": [24]}
    with pytest.raises(ImpastoError, match=rf"uses a compression that impasto does not read \({name}\); save it"):
        read(tiff_of([bytes(24 * 20 * 3)], (20, 24), "<", **tags))


# --- what a PNG says


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt"])
def test_png_with_a_long_text(read, name: bytes) -> None:
    text = {b"zTXt": b"note\0\0", b"iTXt": b"note\0\1\0\0\0"}[name] + zlib.compress(bytes(5_000_000))
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in RGB8))
    assert torch.equal(read(png(20, 24, 8, 2, rows, chunk(name, text))).tensor, unit(RGB8))
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    read(png(20, 24, 8, 2, rows))
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK


def test_png_with_a_damaged_chunk_that_is_not_needed(read) -> None:
    bad = chunk(b"tEXt", b"note\0hello")[:-1] + b"?"
    picture = read(png16(DEEP[..., :3], bad, chunk(b"tEXt", b"note\0hello")))
    assert torch.equal(picture.tensor, unit(DEEP[..., :3]))
    assert [notice.split(": ")[1] for notice in picture.notices] == ["its chunk tEXt is damaged and is ignored"]
    whole = png16(DEEP[..., :3])
    behind = whole[:-12] + bad + whole[-12:]
    assert torch.equal(read(behind).tensor, unit(DEEP[..., :3]))
    at = whole.index(b"IDAT")
    with pytest.raises(ImpastoError, match="damaged"):
        read(whole[: at + 9] + b"?" + whole[at + 10 :])


@pytest.mark.parametrize("deep", [False, True])
def test_gamma_of_a_png(read, deep: bool) -> None:
    linear = chunk(b"gAMA", struct.pack(">I", 100_000))
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in RGB8))
    data = png16(DEEP[..., :3], linear) if deep else png(20, 24, 8, 2, rows, linear)
    light = unit(DEEP[..., :3] if deep else RGB8).double()
    expected = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).float()
    picture = read(data)
    torch.testing.assert_close(picture.tensor, expected, atol=1e-5, rtol=0)
    assert picture.notices == ()
    if not deep:
        with Image.open(io.BytesIO(data)) as image:
            assert torch.equal(load_image(image).tensor, picture.tensor)


@pytest.mark.parametrize("extra", [b"gAMA", b"sRGB", b"iCCP", b"cICP"])
def test_png_that_means_srgb(read, extra: bytes) -> None:
    linear = chunk(b"gAMA", struct.pack(">I", 100_000))
    extras = {
        b"gAMA": [chunk(b"gAMA", struct.pack(">I", 45_455))],
        b"sRGB": [chunk(b"sRGB", b"\0"), linear],
        b"iCCP": [chunk(b"iCCP", b"it\0\0" + zlib.compress(srgb_profile())), chunk(b"cICP", b"\x0c\x0d\0\1"), linear],
        b"cICP": [chunk(b"cICP", b"\1\x0d\0\1"), linear],
    }[extra]
    picture = read(png16(DEEP[..., :3], *extras))
    assert torch.equal(picture.tensor, unit(DEEP[..., :3]))
    assert picture.notices == ()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (chunk(b"cICP", b"\x09\x10\0\1"), "is HDR (PQ), by its cICP chunk"),
        (chunk(b"cICP", b"\x09\x12\0\1"), "is HDR (HLG), by its cICP chunk"),
        (chunk(b"cICP", b"\x0c\x0d\0\1"), "has other primaries or another curve than sRGB, by its cICP chunk"),
        (
            chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
            "has other primaries than sRGB, by its cHRM chunk",
        ),
    ],
)
def test_png_in_colors_that_are_not_converted(read, extra: bytes, said: str) -> None:
    picture = read(png16(DEEP[..., :3], extra))
    assert torch.equal(picture.tensor, unit(DEEP[..., :3]))
    (notice,) = picture.notices
    assert notice.endswith(f"picture.any: {said}; its colors are taken as sRGB")


def test_what_keeps_8_of_16_bits_says_so(read) -> None:
    inks = tiff(DEEP, photometric="separated")
    for data in (inks, b"P6\n20 24\n65535\n" + DEEP[..., :3].astype(">u2").tobytes()):
        (notice,) = read(data).notices
        assert notice.endswith("picture.any: holds more than 8 bits a channel, of which the upper 8 are used")


# --- transparency


def test_hidden_colors_do_not_matter(read) -> None:
    visible = np.full((8, 8, 4), (10, 200, 30, 255), np.uint8)
    first, second = visible.copy(), visible.copy()
    first[:4], second[:4] = (255, 0, 255, 0), (0, 0, 0, 0)
    one, two = (read(encoded(Image.fromarray(pixels), "PNG")) for pixels in (first, second))
    assert torch.equal(one.tensor, two.tensor)
    assert torch.equal(one.tensor, unit(visible[..., :3]))
    assert one.alpha.mean() == 0.5


def test_nothing_visible_is_white(read) -> None:
    picture = read(encoded(Image.new("RGBA", (3, 3), (9, 9, 9, 0)), "PNG"))
    assert torch.equal(picture.tensor, torch.ones(1, 3, 3, 3))


# --- orientation

# Where EXIF's 0th row and 0th column are seen, from its specification.
ROW_COLUMN = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF16"])
def test_orientation(read, kind: str, orientation: int) -> None:
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, :16] = (255, 0, 0)  # where the 0th row meets the 0th column
    stored[:16, 32:] = (0, 255, 0)  # the far end of the 0th row
    exif = Image.Exif()
    exif[274] = orientation
    if kind == "TIFF16":
        file = io.BytesIO()
        planes = np.moveaxis(stored.astype(np.uint16) * 257, 2, 0)
        tifffile.imwrite(
            file, planes, photometric="rgb", planarconfig="separate", extratags=[(274, 3, 1, orientation, True)]
        )
        picture = read(file.getvalue())
    else:
        picture = read(encoded(Image.fromarray(stored), kind, exif=exif.tobytes()))
    row, column = ROW_COLUMN[orientation]
    height, width = (32, 48) if row in ("top", "bottom") else (48, 32)
    assert picture.tensor.shape == (1, 3, height, width)

    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    for sides, color in (((row, column), (1.0, 0, 0)), ((row, opposite[column]), (0, 1.0, 0))):
        y = 4 if "top" in sides else height - 5
        x = 4 if "left" in sides else width - 5
        torch.testing.assert_close(picture.tensor[0, :, y, x], torch.tensor(color), atol=0.1, rtol=0)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG", "TIFF"])
def test_orientation_as_a_byte(read, kind: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(Image.fromarray(RGB8), kind, exif=exif.tobytes())
    for order in "<>":
        data = data.replace(struct.pack(order + "HHIH", 274, 3, 1, 6), struct.pack(order + "HHIBB", 274, 1, 1, 6, 0))
    assert read(data).tensor.shape == (1, 3, 20, 24)


def test_orientation_as_a_byte_in_planes(read) -> None:
    planes = np.moveaxis(DEEP[..., :3], 2, 0)
    data = tiff(planes, photometric="rgb", planarconfig="separate", extratags=[(274, 1, 1, 6, True)])
    assert torch.equal(read(data).tensor, unit(np.rot90(DEEP[..., :3], -1)))


def test_broken_exif_is_no_reason_to_refuse(read) -> None:
    picture = read(encoded(Image.fromarray(RGB8), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    assert torch.equal(picture.tensor, unit(RGB8))


def test_alpha_turns_with_the_picture(read) -> None:
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.full((2, 3, 4), 255, np.uint8)
    pixels[0, 0, 3] = 0  # row 0 is on the right, column 0 on top
    picture = read(encoded(Image.fromarray(pixels), "PNG", exif=exif.tobytes()))
    assert picture.alpha[0, 0].tolist() == [[1, 0], [1, 1], [1, 1]]


# --- color profiles


def test_srgb_profile_changes_nothing(read) -> None:
    for profile in (srgb_profile(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        picture = read(encoded(Image.fromarray(RGB8), "PNG", icc_profile=profile))
        assert (picture.tensor - unit(RGB8)).abs().max() <= 1 / 255
        assert picture.notices == ()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_profile_is_converted(read, kind: str) -> None:
    options = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}.get(kind, {})
    picture = read(encoded(Image.new("RGB", (16, 16), (255, 0, 0)), kind, icc_profile=swapped_profile(), **options))
    torch.testing.assert_close(picture.tensor[0, :, 8, 8], torch.tensor([0.0, 1, 0]), atol=2 / 255, rtol=0)
    assert picture.notices == ()


def test_profile_of_grey(read) -> None:
    # Linear 128/255 is 188/255 in sRGB.
    picture = read(encoded(Image.new("L", (4, 4), 128), "PNG", icc_profile=gray_profile(None)))
    torch.testing.assert_close(picture.tensor, torch.full((1, 3, 4, 4), 188 / 255), atol=1.5 / 255, rtol=0)
    assert picture.notices == ()


def test_rgb_profile_on_grey(read) -> None:
    # Of grey, exchanged primaries change only what their different luminances do not: the same R = G = B stays grey.
    picture = read(encoded(Image.new("L", (4, 4), 128), "PNG", icc_profile=srgb_profile()))
    torch.testing.assert_close(picture.tensor, torch.full((1, 3, 4, 4), 128 / 255), atol=1 / 255, rtol=0)
    assert picture.notices == ()


def test_profile_with_alpha(read) -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    picture = read(encoded(image, "PNG", icc_profile=swapped_profile()))
    torch.testing.assert_close(picture.tensor[0, :, 0, 0], torch.tensor([0.0, 1, 0]), atol=2 / 255, rtol=0)
    assert torch.equal(picture.alpha, torch.full((1, 1, 4, 4), 128 / 255))


def test_profile_in_16_bit_keeps_the_steps(read) -> None:
    ramp = np.linspace(20000, 40000, 64).astype(np.uint16).reshape(1, 64, 1).repeat(3, 2).repeat(2, 0)
    profile = zlib.compress(gray_profile(None))
    picture = read(png16(ramp[..., :1], chunk(b"iCCP", b"grey\0\0" + profile)))
    linear = ramp[0, :, 0] / 65535
    expected = torch.from_numpy(1.055 * linear ** (1 / 2.4) - 0.055).float()
    torch.testing.assert_close(picture.tensor[0, 0, 0], expected, atol=1.5 / 255, rtol=0)
    assert len(picture.tensor.unique()) == 64
    # sRGB by its profile stays exact.
    srgb = chunk(b"iCCP", b"srgb\0\0" + zlib.compress(srgb_profile()))
    assert torch.equal(read(png16(DEEP[..., :3], srgb)).tensor, unit(DEEP[..., :3]))


@pytest.mark.parametrize("profile", [b"no profile at all", srgb_profile()[:200], bytes(588)])
def test_broken_profile_is_ignored_with_a_notice(read, profile: bytes) -> None:
    picture = read(encoded(Image.fromarray(RGB8), "PNG", icc_profile=profile))
    assert torch.equal(picture.tensor, unit(RGB8))
    (notice,) = picture.notices
    assert notice.endswith("picture.any: its color profile is broken or does not fit and is ignored; sRGB is assumed")


def test_profile_that_does_not_fit(read) -> None:
    picture = read(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF", icc_profile=srgb_profile()))
    assert len(picture.notices) == 1
    torch.testing.assert_close(picture.tensor[0, :, 0, 0], torch.tensor([1.0, 0, 0]))


# --- animations and pages


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_animation_gives_the_first_frame_and_a_notice(read, kind: str, options: dict[str, bool]) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    picture = read(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options))
    assert torch.equal(picture.tensor[0, :, 0, 0], torch.tensor([1.0, 0, 0]))
    (notice,) = picture.notices
    assert notice.endswith("picture.any: is animated; the first frame is used")


def test_pages_of_a_tiff(read) -> None:
    pages = [Image.new("RGB", (8, 8), color) for color in ("red", "lime")]
    picture = read(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert torch.equal(picture.tensor[0, :, 0, 0], torch.tensor([1.0, 0, 0]))
    assert picture.notices[0].endswith("holds several pages; the first is used")


def test_mpo_of_a_telephone_is_a_photograph(read) -> None:
    image = Image.new("RGB", (16, 16), "red")
    data = encoded(image, "MPO", save_all=True, append_images=[image.resize((8, 8))])
    assert read(data).notices == ()


# --- refused


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "gone.jpg"
    with pytest.raises(ImpastoError) as caught:
        load_image(str(path), role="content")
    assert str(caught.value) == f"content {path}: no such file; check the path"


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="is a folder; give one image file"):
        load_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImpastoError, match="is not a regular file"):
        load_image(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000 + ".png"])
def test_impossible_names(name: str) -> None:
    with pytest.raises(ImpastoError, match="cannot be opened"):
        load_image(name)


def test_empty_file(read) -> None:
    with pytest.raises(ImpastoError, match=r"picture.any: is empty \(0 bytes\); copy or export it again"):
        read(b"")


@pytest.mark.parametrize(
    "data",
    [b"hello, this is no picture", b"\0" * 100, b"<a>", b"PK\3\4" + bytes(40), b"\xff"],
)
def test_not_an_image(read, data: bytes) -> None:
    with pytest.raises(ImpastoError, match=r"picture.any: is not an image that impasto reads; convert it to JPEG, PNG"):
        read(data)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp42", "a video"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1webm", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG file"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<svg width='3'/>", "an SVG file"),
        (b"<!DOCTYPE html>\n<html><body><svg>", "a web page"),
        (b"gimp xcf v011\0", "an XCF file"),
    ],
)
def test_a_format_that_is_not_read_is_named(read, start: bytes, name: str) -> None:
    with pytest.raises(ImpastoError) as caught:
        read(start + bytes(100))
    end = f"picture.any: is {name}, which impasto does not read; convert it to JPEG, PNG, WebP or TIFF"
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize(
    "start",
    [b"II*\0\x10\0\0\0CR\2\0", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", b"FUJIFILMCCD-RAW 0201", b"IIU\0\x18\0\0\0"],
)
def test_camera_raw_that_is_no_plain_tiff(read, start: bytes) -> None:
    with pytest.raises(ImpastoError, match=r"picture.any: is a camera raw file; develop it first"):
        read(start + bytes(100))


def test_formats_that_run_other_programs_are_not_tried(read) -> None:
    with pytest.raises(ImpastoError, match="is a PostScript file, which impasto does not read"):
        read(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")


@pytest.mark.parametrize("size", [(1, 10), (10, 1), (1, 1)])
def test_one_pixel_wide(read, size: tuple[int, int]) -> None:
    with pytest.raises(ImpastoError, match=f"is only {size[0]} x {size[1]} pixels; give a picture of at least 2 x 2"):
        read(encoded(Image.new("RGB", size), "PNG"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_cut_anywhere_is_refused_or_whole(read, kind: str, options: dict[str, object]) -> None:
    data = encoded(Image.fromarray(RGB8), kind, **options)
    whole = read(data).tensor
    refusals = []
    for length in [*range(1, len(data), max(1, len(data) // 60)), len(data) - 1]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                picture = read(data[:length])
            except ImpastoError as error:
                refusals.append((length, str(error)))
            else:
                # All the pixels were there; only what closes the file was cut.
                assert length > 0.9 * len(data)
                assert torch.equal(picture.tensor, whole)
    assert len(refusals) > 40
    for length, refusal in refusals:
        assert "\n" not in refusal
        assert "picture.any: is " in refusal
        if length > 40 and kind != "TIFF":  # whose table of contents, cut, may still say something
            assert "damaged or cut short" in refusal


MAY = ["parts of it may be damaged"]
SMOOTH = Image.fromarray(RGB8).resize((640, 480), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 100, "subsampling": 0},
        {"optimize": True},
        {"quality": 20},
        {"restart_marker_blocks": 5},
        {"progressive": True},
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("flat", [False, True])
def test_whole_jpeg_is_not_called_damaged(read, mode: str, flat: bool, options: dict[str, int]) -> None:
    for size in ((640, 480), (23, 17), (8, 8)):
        image = Image.new("RGB", size, (128, 128, 128)) if flat else SMOOTH.crop((0, 0, *size))
        data = encoded(image.convert(mode), "JPEG", **options)
        for end in (b"", b"\xff\xd9" + bytes(9), encoded(Image.new("RGB", (9, 9)), "JPEG")):  # what telephones append
            assert read(data + end).notices == ()
        assert read(data[:-2] + b"\xff\xff\xff\xd9").notices == ()


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"quality": 97, "subsampling": 0}, {"progressive": True}])
@pytest.mark.parametrize("part", [0.3, 0.5])
def test_jpeg_with_an_end_before_its_time(read, part: float, options: dict[str, int]) -> None:
    data = encoded(SMOOTH, "JPEG", **options)
    (notice,) = read(data[: int(part * len(data))] + b"\xff\xd9").notices
    assert notice.endswith("picture.any: parts of it may be damaged")


def test_jpeg_that_is_zeros_from_some_place_on(read) -> None:
    data = encoded(SMOOTH, "JPEG")
    half = len(data) // 2
    assert [notice.split(": ")[1] for notice in read(data[:half] + bytes(60_000)).notices] == MAY
    assert [notice.split(": ")[1] for notice in read(data[:half] + bytes(4096) + data[half + 4096 :]).notices] == MAY


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"quality": 10}, {"exif": b"Exif\0\0MM\0*"}])
@pytest.mark.parametrize("color", [None, "black", "white"])
def test_webp_that_ends_in_zeros(read, color: str | None, options: dict[str, object]) -> None:
    image = SMOOTH if color is None else Image.new("RGB", (640, 480), color)
    data = encoded(image, "WEBP", **options)
    assert read(data).notices == ()
    if color is None and not {"lossless", "exif"} & options.keys():
        assert [notice.split(": ")[1] for notice in read(data[: len(data) // 2].ljust(len(data), b"\0")).notices] == MAY


def test_png_whose_pixels_do_not_have_their_checksum(read) -> None:
    data = bytearray(png(20, 24, 8, 2, zlib.compress(b"".join(b"\0" + row.tobytes() for row in RGB8))))
    data[-13] ^= 1  # the last byte of the checksum; that of the deflated data is right
    picture = read(bytes(data))
    assert torch.equal(picture.tensor, unit(RGB8))
    assert [notice.split(": ")[1] for notice in picture.notices] == MAY


@pytest.mark.parametrize("options", [{}, {"tile": (64, 64)}])
def test_deflate_tiff_with_zeros_inside(read, options: dict[str, object]) -> None:
    data = tiff(np.asarray(SMOOTH), photometric="rgb", compression="zlib", rowsperstrip=64, **options)
    assert read(data).notices == ()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at, half = file.pages[0].dataoffsets[3], file.pages[0].databytecounts[3] // 2
    # libtiff refuses some of what is broken so, and passes over the rest.
    picture = read(data[: at + half] + bytes(half) + data[at + 2 * half :])
    assert [notice.split(": ")[1] for notice in picture.notices] == MAY


def test_a_bad_file_prints_nothing(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(RGB8), "TIFF", compression="tiff_lzw")
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 2])
    script = "import sys, impasto.images as i\ntry: i.load_image(sys.argv[1])\nexcept i.ImpastoError: print('refused')"
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "cut.tif"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")


@pytest.mark.parametrize("options", [{"compression": "jpeg"}, {"compression": "tiff_lzw"}])
def test_libtiff_writes_nothing(read, capfd, options: dict[str, str]) -> None:
    data = bytearray(encoded(SMOOTH, "TIFF", **options))
    for at in range(2000, len(data) // 2, 700):
        data[at] ^= 0x55
    for part in (
        bytes(data),
        bytes(data) + b"?",
        bytes(data).replace(struct.pack("<HH", 277, 3), struct.pack("<HH", 60277, 3)),
    ):
        with contextlib.suppress(ImpastoError):
            read(part)
    assert capfd.readouterr() == ("", "")


def test_what_belongs_to_the_process_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, load = [], PngImagePlugin.PngImageFile.load

    def watched(image: PngImagePlugin.PngImageFile) -> object:
        seen.append((Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK))
        return load(image)

    before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", watched)
    load_image(io.BytesIO(encoded(Image.fromarray(RGB8), "PNG")))
    assert seen
    assert set(seen) == {before}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_while_another_thread_decodes(tmp_path: Path) -> None:
    script = (
        "import io, os, sys, threading\nfrom impasto.images import load_image\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "def decode():\n    while not done: load_image(data)\n"
        "done = False\nthread = threading.Thread(target=decode)\nthread.start()\n"
        "for _ in range(20):\n"
        "    child = os.fork()\n"
        "    if not child:\n        load_image(data)\n        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "done = True\nthread.join()\n"
    )
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(RGB8), "PNG"))
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, tmp_path / "a.png"], check=True, timeout=60)


def test_cut_16_bit_files(read) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.moveaxis(DEEP[..., :3], 2, 0), photometric="rgb", planarconfig="separate", metadata=None)
    for data in (file.getvalue(), png16(DEEP[..., :3])):
        for part in (0.3, 0.6, 0.9):
            with pytest.raises(ImpastoError, match="damaged or cut short"):
                read(data[: int(part * len(data))])


def test_flipped_bytes_never_escape_as_another_exception(read) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, DEEP[..., :2], photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    image, rng = Image.fromarray(RGB8), np.random.default_rng(1)
    kinds = [encoded(image, kind, icc_profile=srgb_profile()) for kind in ("PNG", "JPEG", "TIFF", "WEBP")]
    for data in [*kinds, encoded(image, "GIF"), file.getvalue()]:
        for _ in range(25):
            broken = bytearray(data)
            for place in rng.integers(0, min(len(data), 300), 3):
                broken[place] = rng.integers(0, 256)
            try:
                picture = read(bytes(broken), max_pixels=100_000)
            except ImpastoError:
                continue
            assert torch.isfinite(picture.tensor).all()


# --- the limit


def test_limit_is_exact(read) -> None:
    data = encoded(Image.fromarray(RGB8), "PNG")
    assert read(data, max_pixels=480).tensor.shape == (1, 3, 24, 20)
    with pytest.raises(ImpastoError) as caught:
        read(data, max_pixels=479)
    assert str(caught.value).endswith(
        "picture.any: 20 x 24 pixels are more than the limit of 479; scale it down or raise max_pixels"
    )


def test_limit_is_checked_before_decoding(read, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", decode)
    with pytest.raises(ImpastoError, match="100000 x 100000 pixels are more than the limit of 64000000"):
        read(png(100_000, 100_000, 8, 2, zlib.compress(bytes(1000))))


def test_limit_for_what_tifffile_reads(read, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    tifffile.imwrite(
        file, DEEP[..., :2], photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"], metadata=None
    )
    data = bytearray(file.getvalue())
    for tag in (256, 257):  # width and height, one LONG or SHORT each
        at = data.index(struct.pack("<H", tag) + struct.pack("<H", 3 if data[10 + 2] == 3 else 4))
        data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 100_000)

    def decode(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", decode)
    with pytest.raises(ImpastoError, match="100000 x 100000 pixels are more than the limit of 64000000"):
        read(bytes(data))


def test_deflate_bomb_in_a_tiff(read) -> None:
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.zeros((64, 64, 2), np.uint16),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
        compression="zlib",
        metadata=None,
    )
    whole = file.getvalue()
    with tifffile.TiffFile(io.BytesIO(whole)) as tiff:
        offset, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
        at = tiff.pages[0].tags["StripByteCounts"].valueoffset
    bomb = zlib.compress(bytes(50_000_000))
    data = bytearray(whole[:offset] + bomb + whole[offset + count :])
    data[at : at + 4] = struct.pack("<I", len(bomb))
    tracemalloc.start()
    picture = read(bytes(data))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert [notice.split(": ")[1] for notice in picture.notices] == MAY


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiles_of_a_16_bit_tiff(read, compression: str | None) -> None:
    file, planes = io.BytesIO(), np.moveaxis(DEEP[..., :3], 2, 0)
    options = {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 16), "metadata": None}
    tifffile.imwrite(file, planes, compression=compression, **options)
    assert torch.equal(read(file.getvalue()).tensor, unit(DEEP[..., :3]))


def test_our_limit_replaces_pillows(read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for kind in ("PNG", "GIF"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read(encoded(Image.fromarray(RGB8), kind)).tensor.shape == (1, 3, 24, 20)
    assert Image.MAX_IMAGE_PIXELS == 10
    with pytest.raises(ImpastoError):
        read(b"nothing")
    assert Image.MAX_IMAGE_PIXELS == 10


# --- PIL images


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_pil_modes(mode: str) -> None:
    image = Image.fromarray(RGB8).convert(mode)
    expected = image.convert("RGB")
    assert torch.equal(load_image(image).tensor, unit(np.asarray(expected)))
    assert load_image(image).alpha is None


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_pil_modes_with_alpha(mode: str) -> None:
    opaque = Image.fromarray(np.dstack([RGB8, np.full_like(ALPHA8, 255)]))
    image = opaque.convert("LA").convert(mode) if mode in ("LA", "La", "PA") else opaque.convert(mode)
    picture = load_image(image)
    assert torch.equal(picture.alpha, torch.ones(1, 1, 24, 20))
    expected = np.asarray(opaque.convert("L").convert("RGB") if mode in ("LA", "La", "PA") else opaque.convert("RGB"))
    assert torch.equal(picture.tensor, unit(expected))


def test_pil_lab() -> None:
    image = Image.new("LAB", (4, 4), (255, 128, 128))
    assert (load_image(image).tensor > 0.97).all()


def test_pil_16_bit_and_floats() -> None:
    assert torch.equal(load_image(Image.fromarray(DEEP[..., 0])).tensor, unit(DEEP[..., 0]))
    assert torch.equal(load_image(Image.fromarray(DEEP[..., 0].astype(np.int32))).tensor, unit(DEEP[..., 0]))
    floats = Image.fromarray(np.full((3, 3), 0.25, np.float32))
    assert torch.equal(load_image(floats).tensor, torch.full((1, 3, 3, 3), 0.25))
    with pytest.raises(ImpastoError, match="style: holds 32-bit or signed samples; save it with 8 or 16 bits"):
        load_image(Image.fromarray(np.full((3, 3), 70000, np.int32)), role="style")


def test_pil_image_is_left_alone_and_keeps_its_orientation() -> None:
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(io.BytesIO(encoded(Image.fromarray(RGB8), "PNG", exif=exif.tobytes()))) as image:
        picture = load_image(image)
        assert picture.tensor.shape == (1, 3, 20, 24)
        assert image.size == (20, 24)
    assert picture.name == ""


def test_pil_limit_and_size() -> None:
    with pytest.raises(ImpastoError, match="content: 20 x 24 pixels are more than the limit of 100"):
        load_image(Image.fromarray(RGB8), max_pixels=100, role="content")
    with pytest.raises(ImpastoError, match="content: is only 1 x 5 pixels"):
        load_image(Image.new("RGB", (1, 5)), role="content")
    with pytest.raises(ImpastoError, match="style: is damaged or cut short"):
        load_image(Image.open(io.BytesIO(encoded(Image.fromarray(RGB8), "PNG")[:-600])), role="style")


def test_pil_image_that_its_owner_has_turned() -> None:
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(io.BytesIO(encoded(Image.fromarray(RGB8), "PNG", exif=exif.tobytes()))) as image:
        upright = unit(np.rot90(RGB8, -1))
        turned = [
            image.rotate(-90, expand=True),
            image.transpose(Image.Transpose.ROTATE_270),
            ImageOps.exif_transpose(image),
        ]
        assert "exif" in turned[0].info
        for picture in [*turned, image]:
            assert torch.equal(load_image(picture).tensor, upright)
        ImageOps.exif_transpose(image, in_place=True)
        assert torch.equal(load_image(image).tensor, upright)
