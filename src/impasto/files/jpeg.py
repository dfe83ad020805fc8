"""JPEG beside Pillow: what its markers tell before a pixel is decoded, and damage that decoders pass over."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field

from PIL import JpegImagePlugin

from impasto.errors import ImpastoError

# Markers: frames, those among them that are read in one go, those of lossless JPEG, a scan, the end, EXIF's segment.
_FRAMES, _PLAIN, _LOSSLESS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC)), (0xC0, 0xC1), (0xC3, 0xCB)
_SCAN, _END, _APP1 = 0xDA, 0xD9, 0xE1
# What follows the 0xff of a marker: neither a byte of a scan's data nor a restart. The 0xff may be repeated.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_MOST_SCANS = 100  # cameras and programs write about ten; each is a pass over the whole picture


@dataclass
class Markers:
    """What the markers of a JPEG tell.

    Attributes:
        frame: kind of the frame, by its marker; 0 where there is none.
        bits: a sample.
        components: of a pixel.
        scans: how many there are.
        complete: how many pairs of component and coefficient are there with all their bits.
        end: where the end marker stands; None where it is missing, or a segment is cut.
        more_exif: where every EXIF segment but the first begins and ends.
    """

    frame: int = 0
    bits: int = 8
    components: int = 0
    scans: int = 0
    complete: set[tuple[int, int]] = field(default_factory=set)
    end: int | None = None
    more_exif: list[tuple[int, int]] = field(default_factory=list)


def read_markers(jpeg: bytes) -> Markers:
    """Walk through the segments of a file."""
    found, at, exif = Markers(), 2, 0
    while marker := _MARKER.search(jpeg, at):
        kind, at = marker[1][0], marker.end()
        if kind == _END:
            found.end = marker.start()
            break
        segment = jpeg[at + 2 : at + int.from_bytes(jpeg[at : at + 2], "big")]
        at += 2 + len(segment)
        try:
            if kind in _FRAMES:
                found.frame, found.bits, found.components = kind, segment[0], segment[5]
            elif kind == _SCAN:
                found.scans, count = found.scans + 1, segment[0]
                first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
                if bits & 15 == 0:
                    names = segment[1 : 1 + 2 * count : 2]
                    found.complete |= {(name, place) for name in names for place in range(first, min(last, 63) + 1)}
            elif kind == _APP1 and segment.startswith(b"Exif\0\0"):
                exif += 1
                found.more_exif += [(marker.start(), at)] if exif > 1 else []
        except (IndexError, ValueError):  # the segment is cut
            break
    return found


def refuse_unread(markers: Markers, label: str) -> None:
    """Refuse JPEGs that are not read here, and such as take minutes.

    Raises:
        ImpastoError: it is refused.
    """
    if markers.frame in _LOSSLESS:
        raise ImpastoError(f"{label}: is a lossless JPEG; save it as PNG or TIFF")
    if markers.frame and markers.bits != 8:
        raise ImpastoError(f"{label}: is a JPEG with {markers.bits} bits a channel; save it as TIFF, or with 8")
    if markers.scans > _MOST_SCANS:
        raise ImpastoError(f"{label}: is a JPEG of more than {_MOST_SCANS} scans; save it anew")


def without(jpeg: bytes, parts: list[tuple[int, int]]) -> bytes:
    """The file but for some parts: many EXIF segments take Pillow minutes, and only the first counts."""
    starts = [0, *(end for _, end in parts)]
    ends = [*(start for start, _ in parts), len(jpeg)]
    return b"".join(jpeg[start:end] for start, end in zip(starts, ends, strict=True))


def ends_early(jpeg: bytes, markers: Markers) -> bool:
    """Whether a JPEG has no end, lacks scans, or has an end in a place where the decoder would read on.

    Found are those whose data end early, as where some were lost, or more often than not where some were overwritten,
    and of progressive ones those that lack whole scans.
    """
    if markers.end is None or len(markers.complete) < 64 * markers.components:
        return True
    return markers.scans == 1 and markers.frame in _PLAIN and _asks_for_more(jpeg[: markers.end])


def _asks_for_more(jpeg: bytes) -> bool:
    """Whether the decoder wants more than there is of a JPEG in one scan, without its end marker.

    Past that marker it would make up what it misses. The few bytes that stand in for it are for the decoder of a whole
    file, which looks ahead.
    """
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg + bytes(16))) as again:
            again.draft("L", (1, 1))  # an eighth of the size: it is not for looking at
            again.load()
    except OSError:
        return True
    return False
