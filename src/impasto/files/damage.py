"""Damage that decoders pass over: they fill in what they miss, and say nothing."""

from __future__ import annotations

import io
import re
from typing import IO

from PIL import Image

from impasto.files.deep import has_broken_segments

# Markers of a JPEG: frames that are read in one go, frames of other kinds, a scan, the end.
_PLAIN, _FRAMES, _SCAN, _END = (0xC0, 0xC1), (0xC0, 0xC1, 0xC2, 0xC9, 0xCA), 0xDA, 0xD9
# What follows the 0xff of a marker: neither a byte of a scan's data nor a restart. The 0xff may be repeated.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)


def seems_damaged(image: Image.Image, file: IO[bytes]) -> bool:
    """Whether parts of the file of an ``image`` are wrong or missing, of what can be told cheaply.

    Found are JPEGs whose data end early, as where some were lost, or more often than not where some were overwritten,
    and of progressive ones those that lack whole scans; and TIFFs whose deflated data are broken.
    """
    if image.format in ("JPEG", "MPO"):
        file.seek(0)
        try:
            return _ends_early(file.read())
        except (IndexError, ValueError):  # a segment is cut
            return True
    return image.info.get("compression") in ("tiff_deflate", "tiff_adobe_deflate") and has_broken_segments(file)


def _ends_early(jpeg: bytes) -> bool:
    """Whether a JPEG has no end, lacks scans, or has an end in a place where the decoder would read on."""
    at, frame, components, scans = 2, 0, 0, 0
    seen: set[tuple[int, int]] = set()  # (component, coefficient) of which all bits are there
    while (marker := _MARKER.search(jpeg, at)) and marker[1][0] != _END:
        kind, at = marker[1][0], marker.end()
        segment = jpeg[at + 2 : at + int.from_bytes(jpeg[at : at + 2], "big")]
        at += 2 + len(segment)
        if kind in _FRAMES:
            frame, components = kind, segment[5]
        elif kind == _SCAN:
            scans, count = scans + 1, segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            if bits & 15 == 0:
                seen |= {(name, place) for name in segment[1 : 1 + 2 * count : 2] for place in range(first, last + 1)}
    if not marker or len(seen) < 64 * components:
        return True
    return scans == 1 and frame in _PLAIN and _asks_for_more(jpeg[: marker.start()])


def _asks_for_more(jpeg: bytes) -> bool:
    """Whether the decoder wants more than there is of a JPEG in one scan, without its end marker.

    Past that marker it would make up what it misses. The few bytes that stand in for it are for the decoder of a whole
    file, which looks ahead.
    """
    try:
        with Image.open(io.BytesIO(jpeg + bytes(16)), formats=("JPEG",)) as again:
            again.draft("L", (1, 1))  # an eighth of the size: it is not for looking at
            again.load()
    except OSError:
        return True
    return False
