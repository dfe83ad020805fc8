"""Images -> the bytes of a picture file, with the recipe inside, and the recipe out again.

PNG carries the text in a chunk of its own; the others in XMP, where any tool that shows metadata shows it. The same
image gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, PngImagePlugin

from impasto.files.srgb import ARTIST, COPYRIGHT, Array, srgb_profile

FORMATS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
}
#: The longest side, in pixels, where the format has a limit that a painting can meet.
LARGEST_SIDE = {"jpeg": 65500, "webp": 16383, "avif": 65536}

KEYWORD = "impasto"
_NAMESPACE = "urn:impasto:ns#"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP_TAG, _ICC_TAG = 700, 34675
_BYTE, _ASCII, _UNDEFINED = 1, 2, 7
_TAG_TYPES = {_XMP_TAG: _BYTE, _ICC_TAG: _UNDEFINED, ARTIST: _ASCII, COPYRIGHT: _ASCII}
_XMP_HEADER, _EXTENSION_HEADER = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_SEGMENT = 65000  # bytes of XMP in one JPEG segment, which holds 65533 with its headers
# What neither XML nor, in part, UTF-8 can carry.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def encode(
    samples: Array, kind: str, recipe: str | None, quality: int, credit: Mapping[int, str] | None = None
) -> bytes:
    r"""A picture file.

    Args:
        samples: (H, W, 3 or 4), uint8 or uint16, sRGB, the fourth channel alpha (not for JPEG).
        kind: png or tiff, or, in uint8 only, jpeg, webp or avif.
        recipe: text to embed. Characters that XML cannot carry become JSON's ``\uXXXX``: the same JSON.
        quality: of JPEG, WebP and AVIF, 1 to 100.
        credit: text of EXIF's tags, by number.
    """
    text = None if recipe is None else _UNWRITABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", recipe)
    tags = {number: value.encode() + b"\0" for number, value in sorted((credit or {}).items())}
    exif = _exif(tags)
    if kind == "png":
        return _png16(samples, text, exif) if samples.dtype == np.uint16 else _png(samples, text, exif)
    if kind == "tiff":
        return _tiff(samples, text, tags)
    image, file = Image.fromarray(samples), io.BytesIO()
    extra = {"icc_profile": srgb_profile()} | ({"exif": exif} if exif else {})
    if kind == "jpeg":
        image.save(file, "JPEG", quality=quality, subsampling="4:4:4", **extra)
        return file.getvalue() if text is None else _jpeg_with_xmp(file.getvalue(), text)
    extra |= {} if text is None else {"xmp": _packet(text)}
    options = {"method": 4} if kind == "webp" else {"subsampling": "4:4:4"}
    image.save(file, kind.upper(), quality=quality, **options, **extra)
    return file.getvalue()


def embedded_text(image: Image.Image, max_pixels: int) -> str | None:
    """The text that ``encode`` embedded in an opened image, or None.

    Some tools move a PNG's text behind its pixels. Finding it there takes decoding, which ``max_pixels`` limits.
    """
    if image.format == "PNG":
        text = image.info.get(KEYWORD)
        if text is None and image.width * image.height <= max_pixels:
            text = getattr(image, "text", {}).get(KEYWORD)
        return None if text is None else str(text)
    if image.format in ("JPEG", "MPO"):
        segments = [data for name, data in getattr(image, "applist", []) if name == "APP1"]
        packets = [data[len(_XMP_HEADER) :] for data in segments if data.startswith(_XMP_HEADER)]
        packets += _extensions([data for data in segments if data.startswith(_EXTENSION_HEADER)])
    else:
        packet = image.tag_v2.get(_XMP_TAG) if image.format == "TIFF" else image.info.get("xmp")  # type: ignore[attr-defined]
        packets = [] if packet is None else [bytes(packet)]
    return next((text for text in map(_unpack, packets) if text is not None), None)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _exif(tags: Mapping[int, bytes]) -> bytes:
    """An EXIF block with texts, their zero at the end included; nothing where there are none."""
    at, table, body = 8 + 2 + 12 * len(tags) + 4, b"", b""
    for number, text in tags.items():
        inside = len(text) <= 4
        place = text.ljust(4, b"\0") if inside else struct.pack(">I", at + len(body))
        table += struct.pack(">HHI", number, _ASCII, len(text)) + place
        body += b"" if inside else text
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(tags)) + table + bytes(4) + body if tags else b""


def _png(samples: Array, text: str | None, exif: bytes) -> bytes:
    chunks, file = PngImagePlugin.PngInfo(), io.BytesIO()
    chunks.add(b"sRGB", b"\0")
    if text is not None:
        chunks.add_itxt(KEYWORD, text)
    Image.fromarray(samples).save(file, "PNG", pnginfo=chunks, exif=exif or None)
    return file.getvalue()


def _png16(samples: Array, text: str | None, exif: bytes) -> bytes:
    """PNG with 16 bits a channel, which Pillow does not write."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    # Filter 1: every byte minus the same byte of the pixel to its left.
    filtered = rows.copy()
    filtered[:, 2 * channels :] -= rows[:, : -2 * channels]
    data = np.concatenate([np.ones((height, 1), np.uint8), filtered], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), _chunk(b"sRGB", b"\0")]
    if exif:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if text is not None:
        chunks.append(_chunk(b"iTXt", KEYWORD.encode() + bytes(5) + text.encode()))
    chunks += [_chunk(b"IDAT", zlib.compress(data.tobytes(), 6)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _tiff(samples: Array, text: str | None, tags: Mapping[int, bytes]) -> bytes:
    import tifffile

    tags = {**tags, _ICC_TAG: srgb_profile()} | ({} if text is None else {_XMP_TAG: _packet(text)})
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        samples,
        photometric="rgb",
        planarconfig="contig",
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        compression="zlib",
        byteorder="<",
        metadata=None,
        software=False,
        extratags=[(tag, _TAG_TYPES[tag], len(data), data, True) for tag, data in tags.items()],
    )
    return file.getvalue()


def _packet(text: str | None, note: str = "") -> bytes:
    """An XMP packet with the recipe, or with the attribute ``note`` that announces an extension."""
    # '="' must not appear as such: some readers look for tiff:Orientation="..." in the packet without parsing it.
    escaped = escape(text or "", {"\r": "&#13;", '="': "=&quot;"})
    body = "" if text is None else f"<impasto:recipe>{escaped}</impasto:recipe>"
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about="" xmlns:impasto="{_NAMESPACE}"{note}>{body}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _jpeg_with_xmp(jpeg: bytes, text: str) -> bytes:
    """Put the packet behind the first header; one longer than a segment goes into numbered extensions."""
    packet = _packet(text)
    contents = [_XMP_HEADER + packet]
    if len(packet) > _SEGMENT:
        name = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper()
        note = f' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{name}"'
        contents = [_XMP_HEADER + _packet(None, note)]
        for start in range(0, len(packet), _SEGMENT):
            place = name.encode() + struct.pack(">II", len(packet), start)
            contents.append(_EXTENSION_HEADER + place + packet[start : start + _SEGMENT])
    first = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:first] + b"".join(b"\xff\xe1" + struct.pack(">H", len(c) + 2) + c for c in contents) + jpeg[first:]


def _extensions(segments: list[bytes]) -> list[bytes]:
    """The packets that were cut into JPEG's extension segments: name (32), length (4), offset (4), content."""
    pieces: dict[bytes, dict[int, bytes]] = {}
    for segment in segments:
        data = segment.removeprefix(_EXTENSION_HEADER)
        pieces.setdefault(data[:32], {})[int.from_bytes(data[36:40], "big")] = data[40:]
    return [b"".join(content for _, content in sorted(piece.items())) for piece in pieces.values()]


def _unpack(packet: bytes) -> str | None:
    """The recipe in an XMP packet, ours or one that another tool has written anew."""
    try:
        text = packet.strip(b"\0 \r\n\t").decode()
        # XMP has no document type, and so no entities that could grow; in UTF-16, which has zeros, it would be missed.
        if "<!" in text or "\0" in text:
            return None
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return None
    name = f"{{{_NAMESPACE}}}recipe"
    found = ((element.text or "") if element.tag == name else element.get(name) for element in root.iter())
    return next((text for text in found if text is not None), None)
