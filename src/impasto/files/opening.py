"""Opening picture files: one guarded door for every picture, with what its header tells."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from PIL import Image

from impasto.errors import ImpastoError
from impasto.files import boxes, jpeg, png, tiff
from impasto.files.formats import CONVERT, ENOUGH, extra_of, missing_extra, open_extra, open_known, refusal, unopened

# Both log what is wrong in a file, and logging prints that to stderr where nobody has set it up.
for _library in ("PIL", "tifffile"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

# Python's warning filters and libtiff's messages belong to the whole process: one thread at a time, and no fork inside.
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@dataclass
class Opened:
    """A picture whose pixels are not decoded yet.

    Attributes:
        image: as Pillow has it.
        file: for a second look at its bytes; None where a program gave the image.
        start: its first bytes.
        broken: whether a PNG's pixels do not have their checksum.
        damaged: names of the chunks of a PNG that are damaged but not needed.
        cicp: primaries, curve and matrix by ITU-T H.273, and whether the range is full: a byte each, or nothing.
        jpeg: all of a JPEG's bytes, and their markers.
        exif: its tags, by number, once it is loaded.
    """

    image: Image.Image
    file: IO[bytes] | None = None
    start: bytes = b""
    broken: bool = False
    damaged: tuple[str, ...] = ()
    cicp: bytes = b""
    jpeg: tuple[bytes, jpeg.Markers] | None = None
    exif: Any = field(default_factory=dict)


@contextmanager
def open_file(path: Path, label: str) -> Iterator[IO[bytes]]:
    """The open file.

    Raises:
        ImpastoError: it is missing, a folder, empty, or may not be read.
    """
    try:
        if path.is_dir():
            raise ImpastoError(f"{label}: is a folder; give one image file")
        if path.exists() and not path.is_file():
            raise ImpastoError(f"{label}: is not a regular file; save the picture to a file first")
        file = path.open("rb")
    except ImpastoError:
        raise
    except FileNotFoundError as error:
        raise ImpastoError(f"{label}: no such file; check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImpastoError(f"{label}: cannot be opened ({reason}); check the path and its permissions") from error
    with file:
        if not file.read(1):
            raise ImpastoError(f"{label}: is empty (0 bytes); copy or export it again")
        file.seek(0)
        yield file


def check_size(size: tuple[int, int], label: str, max_pixels: float, smallest: int = 2) -> None:
    """Refuse a picture of ``size`` (width, height) with too many pixels, or a side below ``smallest``.

    Raises:
        ImpastoError: it is refused.
    """
    width, height = size
    if width * height > max_pixels:
        what = f"{width} x {height} pixels are more than the limit of {max_pixels}"
        raise ImpastoError(f"{label}: {what}; scale it down or raise `max_pixels`")
    if min(size) < smallest:
        raise ImpastoError(f"{label}: is only {width} x {height} pixels; give a picture of at least 2 x 2")


def open_image(file: IO[bytes], label: str, max_pixels: float, *, keyword: bytes = b"", extras: bool = True) -> Opened:
    """Read the header. Texts of a PNG under ``keyword`` are kept; ``extras`` are formats beyond Pillow's.

    Raises:
        ImpastoError: not an image that impasto reads, its header is damaged, or it tells of more than ``max_pixels``.
    """
    file.seek(0)
    start = file.read(ENOUGH)
    if said := refusal(start):
        raise ImpastoError(f"{label}: {said}")
    opened = Opened(Image.new("L", (1, 1)), file, start)
    if start.startswith(b"\xff\xd8\xff"):
        _look_at_jpeg(opened, label)
    elif start.startswith(b"\x89PNG"):
        chunks = png.read_chunks(file, keyword)
        opened.file, opened.broken = chunks.file, chunks.broken
        opened.damaged, opened.cicp = tuple(chunks.damaged), chunks.cicp
    else:
        opened.cicp = boxes.read_cicp(start)
    # The plugins of these two decode as they open.
    if start.startswith(b"\0\0\1\0"):
        boxes.check_icons(file)
    if (size := boxes.jxl_size(start)) is not None:
        check_size(size, label, max_pixels)
    kind = extra_of(start)
    if kind and not extras:
        raise ImpastoError(f"{label}: is {kind}; {CONVERT}")
    try:
        assert opened.file is not None
        opened.file.seek(0)
        opened.image = open_known(opened.file) if kind is None else open_extra(kind, opened.file)
    except Exception as error:  # plugins raise whatever their parsing runs into
        raise ImpastoError(f"{label}: {unopened(start, error)}") from error
    if opened.image is None:
        raise ImpastoError(f"{label}: {missing_extra(kind or '')}")
    if opened.image.format == "TIFF":
        tiff.refuse_raw(opened.image.tag_v2.get, label)  # type: ignore[attr-defined]
    check_size(opened.image.size, label, max_pixels)
    return opened


def _look_at_jpeg(opened: Opened, label: str) -> None:
    assert opened.file is not None
    opened.file.seek(0)
    data = opened.file.read()
    markers = jpeg.read_markers(data)
    jpeg.refuse_unread(markers, label)
    if markers.more_exif:
        data = jpeg.without(data, markers.more_exif)
        markers = jpeg.read_markers(data)
        opened.file = io.BytesIO(data)
    opened.jpeg = data, markers


@contextmanager
def guarded(label: str) -> Iterator[None]:
    """Around every use of Pillow on a stranger's file: whatever a decoder raises becomes one plain line.

    Warnings, and what libtiff writes to stderr by itself, are silent.
    """
    with _lock, warnings.catch_warnings(), _silent_libtiff():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImpastoError:
            raise
        except MemoryError as error:
            raise ImpastoError(f"{label}: does not fit into memory; scale it down first") from error
        except Image.DecompressionBombError as error:
            what = "has parts of more pixels than PIL.Image.MAX_IMAGE_PIXELS allows"
            raise ImpastoError(f"{label}: {what}; save it as PNG") from error
        except Exception as error:  # decoders raise whatever they run into; the cause stays attached for --debug
            raise ImpastoError(f"{label}: is damaged or cut short; copy or export it again") from error


@contextmanager
def _silent_libtiff() -> Iterator[None]:
    """Libtiff without its handlers of errors and warnings, where Pillow's can be got at."""
    with ExitStack() as after:
        with suppress(AttributeError, OSError):
            libtiff: Any = ctypes.CDLL(Image.core.__file__)
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                setter = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)((name, libtiff))
                after.callback(setter, setter(None))
        yield
