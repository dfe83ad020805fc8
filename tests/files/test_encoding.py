"""The bytes of what is written: chunks, packets, compression; and the text out of them again."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from impasto.files.encoding import embedded_text, encode
from impasto.files.srgb import srgb_profile

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)
RGBA16 = RNG.integers(0, 65536, (12, 10, 4), dtype=np.uint16)
RECIPE = json.dumps({"name": "Zwölf Boxkämpfer ☃ 🎨 日本", "markup": '<a href="x">&amp;\'</a>'}, ensure_ascii=False)
LIMIT = 10_000


def text_in(data: bytes) -> str | None:
    return embedded_text(Image.open(io.BytesIO(data)), LIMIT)


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + data)
        found.append((name, data))
        at += 12 + length
    return found


KINDS = [("png", np.uint8), ("png", np.uint16), ("jpeg", np.uint8), ("webp", np.uint8), ("tiff", np.uint8)]
KINDS.append(("tiff", np.uint16))


@pytest.mark.parametrize(("kind", "depth"), KINDS)
def test_text_comes_back(kind: str, depth: type) -> None:
    samples = RGBA16[..., :3].astype(depth)
    assert text_in(encode(samples, kind, RECIPE, 95)) == RECIPE
    assert text_in(encode(samples, kind, None, 95)) is None
    assert text_in(encode(samples, kind, "", 95)) == ""


@pytest.mark.parametrize(("kind", "depth"), KINDS)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff", min_codepoint=32))
    | st.text(alphabet=" \t\n\r<>&\"'=]\\{}:,;#x")
)
@settings(max_examples=25, deadline=None)
def test_any_text_comes_back(kind: str, depth: type, text: str) -> None:
    assert text_in(encode(RGBA16[:2, :2, :3].astype(depth), kind, text, 95)) == text


@pytest.mark.parametrize(("kind", "depth"), KINDS)
def test_what_xml_cannot_carry_stays_the_same_json(kind: str, depth: type) -> None:
    value = {"name": "bell\x07 nul\x00 lone\ud800 last\uffff"}
    text = json.dumps(value, ensure_ascii=False).replace("\\u0007", "\\u0007")
    found = text_in(encode(RGBA16[:2, :2, :3].astype(depth), kind, text, 95))
    assert found is not None
    assert json.loads(found) == value


@pytest.mark.parametrize(("kind", "depth"), KINDS)
@pytest.mark.parametrize("length", [64_000, 65_535, 200_000])
def test_long_text_comes_back(kind: str, depth: type, length: int) -> None:
    # Longer than one segment of a JPEG can be; with characters of two bytes, which the cuts may part.
    text = json.dumps({"losses": "é<&" * (length // 4)}, ensure_ascii=False)
    data = encode(RGB8.astype(depth), kind, text, 95)
    assert text_in(data) == text
    Image.open(io.BytesIO(data)).load()


def test_png_chunks() -> None:
    for samples in (RGB8, RGBA16):
        names = [name for name, _ in chunks(encode(samples, "png", RECIPE, 95))]
        assert names[0] == b"IHDR"
        assert names[-1] == b"IEND"
        assert names.index(b"sRGB") < names.index(b"IDAT")
        assert names.index(b"iTXt") < names.index(b"IDAT")


def test_png_16_bit_is_what_the_specification_says() -> None:
    """Undo the filter by hand: Recon(x) = Filt(x) + Recon(a), byte a one pixel to the left."""
    parts = dict(chunks(encode(RGBA16, "png", None, 95)))
    assert struct.unpack(">IIBBBBB", parts[b"IHDR"]) == (10, 12, 16, 6, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(12, 1 + 10 * 8)
    assert (lines[:, 0] == 1).all()
    restored = np.cumsum(lines[:, 1:].reshape(12, 10, 8), axis=1, dtype=np.uint8)
    assert np.array_equal(restored.reshape(12, -1).view(">u2").reshape(12, 10, 4), RGBA16)


def test_png_16_bit_is_read_by_pillow() -> None:
    image = Image.open(io.BytesIO(encode(RGBA16, "png", RECIPE, 95)))
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image), RGBA16 >> 8)
    assert image.info["impasto"] == RECIPE
    assert image.info["srgb"] == 0


def test_text_moved_behind_the_pixels() -> None:
    first, *rest = chunks(encode(RGB8, "png", RECIPE, 95))
    order = [
        first,
        *(c for c in rest if c[0] not in (b"iTXt", b"IEND")),
        *(c for c in rest if c[0] == b"iTXt"),
        rest[-1],
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in order
    )
    assert text_in(data) == RECIPE
    assert embedded_text(Image.open(io.BytesIO(data)), max_pixels=5) is None


def test_plain_text_chunk_of_another_tool() -> None:
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("impasto", "{}")
    Image.fromarray(RGB8).save(file, "PNG", pnginfo=info)
    assert text_in(file.getvalue()) == "{}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_entities_do_not_grow(encoding: str) -> None:
    names = ['<!ENTITY e0 "aaaaaaaaaa">'] + [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 8)]
    packet = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [{"".join(names)}]><x>&e7;</x>'
    file = io.BytesIO()
    Image.fromarray(RGB8).save(file, "WEBP", xmp=packet.encode(encoding))
    tracemalloc.start()
    assert text_in(file.getvalue()) is None
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_xmp_written_anew_by_another_tool() -> None:
    """As an attribute, with other prefixes: the same RDF."""
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<r:Description r:about="" xmlns:ns1="urn:impasto:ns#" ns1:recipe="{&quot;a&quot;:1}"/></r:RDF></x:xmpmeta>'
    )
    file = io.BytesIO()
    Image.fromarray(RGB8).save(file, "WEBP", xmp=packet)
    assert text_in(file.getvalue()) == '{"a":1}'


@pytest.mark.parametrize("packet", [b"<x:xmpmeta", b"", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', b"<x><y/></x>"])
def test_foreign_or_broken_xmp_holds_no_recipe(packet: bytes) -> None:
    file = io.BytesIO()
    Image.fromarray(RGB8).save(file, "WEBP", xmp=packet)
    assert text_in(file.getvalue()) is None


def test_xmp_is_well_formed_and_does_not_turn_the_picture() -> None:
    # Pillow looks for this in the packet with a regular expression.
    text = '{"trap": "tiff:Orientation="6" <tiff:Orientation>6</tiff:Orientation>"}'
    for kind in ("jpeg", "webp", "tiff"):
        image = Image.open(io.BytesIO(encode(RGB8, kind, text, 95)))
        assert text_in(encode(RGB8, kind, text, 95)) == text
        assert image.getexif().get(274, 1) == 1
        packet = image.tag_v2[700] if kind == "tiff" else image.info.get("xmp")
        if packet is not None:  # older Pillows do not show a JPEG's
            ElementTree.fromstring(bytes(packet))


@pytest.mark.parametrize("kind", ["jpeg", "webp", "tiff"])
def test_files_say_that_they_are_srgb(kind: str) -> None:
    assert Image.open(io.BytesIO(encode(RGB8, kind, None, 95))).info["icc_profile"] == srgb_profile()


def test_profile_does_not_know_the_time() -> None:
    assert struct.unpack(">6H", srgb_profile()[24:36]) == (2000, 1, 1, 0, 0, 0)


def test_jpeg_keeps_color_at_full_resolution() -> None:
    image = Image.open(io.BytesIO(encode(RGB8, "jpeg", RECIPE, 95)))
    assert [component[1:3] for component in image.layer] == [(1, 1)] * 3
    coarse = len(encode(RGB8, "jpeg", None, 30))
    assert coarse < len(encode(RGB8, "jpeg", None, 95))


@pytest.mark.parametrize("quality", [1, 95, 100])
def test_jpeg_of_noise(quality: int) -> None:
    """More bytes than Pillow sets aside for its optimizing encoder."""
    noise = RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert Image.open(io.BytesIO(encode(noise, "jpeg", None, quality))).size == (300, 300)


@pytest.mark.parametrize("samples", [RGBA16, RGBA16.astype(np.uint8), RGB8])
def test_tiff_is_read_by_tifffile(samples: np.ndarray) -> None:
    data = encode(samples, "tiff", RECIPE, 95)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        assert np.array_equal(page.asarray(), samples)
        assert page.compression == 8
        assert [int(kind) for kind in page.extrasamples] == ([2] if samples.shape[2] == 4 else [])


@pytest.mark.parametrize(("kind", "depth"), KINDS)
def test_same_bytes(kind: str, depth: type) -> None:
    samples = RGBA16[..., :3].astype(depth)
    assert encode(samples, kind, RECIPE, 95) == encode(samples.copy(), kind, RECIPE, 95)
