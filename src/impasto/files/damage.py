"""Damage that decoders pass over: they fill in what they miss, and say nothing."""

from __future__ import annotations

import io
import re
from typing import IO

from PIL import Image

from impasto.files.deep import has_broken_segments

_SCAN, _END = 0xDA, b"\xff\xd9"
# What follows the 0xff that ends a scan: neither a byte of its data nor a restart. The 0xff may be repeated.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)


def seems_damaged(image: Image.Image, file: IO[bytes]) -> bool:
    """Whether parts of the file of an ``image`` are wrong or missing, of what can be told cheaply.

    Found are JPEGs in one scan whose data end early, as where some were lost, or more often than not where some were
    overwritten; those without an end; and TIFFs whose deflated data are broken. Damage elsewhere shows in no file.
    """
    if image.format in ("JPEG", "MPO"):
        file.seek(0)
        return _ends_early(file.read())
    return image.info.get("compression") in ("tiff_deflate", "tiff_adobe_deflate") and has_broken_segments(file)


def _ends_early(jpeg: bytes) -> bool:
    """Whether the decoder would read on where the only scan of a JPEG ends."""
    scan = _scan(jpeg)
    end = _MARKER.search(jpeg, scan)
    if not scan or (end and end[1] != _END[1:]):
        return False  # more scans follow
    if not end:
        return True
    # Past an end marker the decoder makes up what it misses. Past a few more bytes it asks for more, as of a cut file.
    # The bytes are for a decoder of a whole file: it looks ahead.
    try:
        with Image.open(io.BytesIO(jpeg[: end.start()] + bytes(16)), formats=("JPEG",)) as again:
            again.draft("L", (1, 1))  # an eighth of the size: it is not for looking at
            again.load()
    except OSError:
        return True
    return False


def _scan(jpeg: bytes) -> int:
    """Where the first scan of a JPEG begins; 0 where there is none, or it is one of many by the kind of the file."""
    at = 2
    while (at := jpeg.find(b"\xff", at)) >= 0 and at + 4 <= len(jpeg):
        kind = jpeg[at + 1]
        if kind == 0xC2:  # progressive
            return 0
        at += 1 if kind == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if kind == _SCAN:
            return at
    return 0
