"""Picture files and PIL images -> pixels: what is read, and what is refused.

Files may come from strangers. The size in the header is held against the limit before a pixel is decoded, only a short
list of formats is tried, and whatever a decoder raises becomes one plain line.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.files.deep import read_16_bit, read_tiff, to_unit
from impasto.files.srgb import Pixels, Samples, to_pixels

#: What is tried on a file. Pillow knows more formats; some start other programs, and none is needed.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")

_TIFF_STARTS, _STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), (b"\xff\xd8\xff", b"\x89PNG", b"GIF8")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _PLANAR_CONFIGURATION = 258, 262, 274, 284

# Both log what is wrong in a file, and logging prints that to stderr where nobody has set it up.
for _library in ("PIL", "tifffile"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

# Pillow's limit and Python's warning filters belong to the whole process: one thread at a time.
_lock = threading.Lock()


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


def decode_file(file: IO[bytes], label: str, max_pixels: int) -> Pixels:
    """Decode an open picture file.

    Raises:
        ImpastoError: not an image, damaged, too small, or more than ``max_pixels`` by its header.
    """
    with guarded(label):
        image = open_image(file, label)
        notices: list[str] = []
        if image is None or _has_deep_planes(image):
            samples = read_tiff(file, label, lambda size: check_size(size, label, max_pixels))
        else:
            check_size(image.size, label, max_pixels)
            # An MPO is a photograph with its own thumbnail or depth map behind it, as telephones write.
            if image.format != "MPO" and getattr(image, "is_animated", False):
                pages, frames = "holds several pages; the first is used", "is animated; the first frame is used"
                notices.append(pages if image.format == "TIFF" else frames)
            samples = _read(image, file, label)
        return to_pixels(samples, notices)


def decode_pil(image: Image.Image, label: str, max_pixels: int) -> Pixels:
    """Decode a PIL image at the frame it stands on; it is left as it was.

    Raises:
        ImpastoError: its file is damaged, it is too small, or has more than ``max_pixels``.
    """
    with guarded(label):
        check_size(image.size, label, max_pixels)
        return to_pixels(_read(image, None, label), [])


def open_image(file: IO[bytes], label: str) -> Image.Image | None:
    """Read the header; None for a TIFF that Pillow has no mode for.

    Raises:
        ImpastoError: not an image that impasto reads, or its header is damaged.
    """
    try:
        return Image.open(file, formats=FORMATS)
    except Exception as error:  # plugins raise whatever their parsing runs into
        file.seek(0)
        start = file.read(12)
        if start.startswith(_TIFF_STARTS):
            return None
        webp, bmp = start[:4] == b"RIFF" and start[8:] == b"WEBP", start[:2] == b"BM" and start[6:10] == bytes(4)
        if webp or bmp or start.startswith(_STARTS):
            raise ImpastoError(f"{label}: is damaged or cut short; copy or export it again") from error
        mend = "convert it to JPEG, PNG, WebP or TIFF"
        raise ImpastoError(f"{label}: is not an image that impasto reads; {mend}") from error


@contextmanager
def guarded(label: str) -> Iterator[None]:
    """Around every use of Pillow on a stranger's file: whatever a decoder raises becomes one plain line.

    Pillow's own limit is off (ours is checked instead, and may be the higher one) and its warnings are silent.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        except ImpastoError:
            raise
        except MemoryError as error:
            raise ImpastoError(f"{label}: does not fit into memory; scale it down first") from error
        except Exception as error:  # decoders raise whatever they run into; the cause stays attached for --debug
            raise ImpastoError(f"{label}: is damaged or cut short; copy or export it again") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _tag(image: Image.Image, number: int) -> Any:
    """A TIFF's own tag; None in other formats."""
    return getattr(image, "tag_v2", {}).get(number)


def _has_deep_planes(image: Image.Image) -> bool:
    return _tag(image, _PLANAR_CONFIGURATION) == 2 and max(_tag(image, _BITS_PER_SAMPLE) or (1,)) > 8


def _read(image: Image.Image, file: IO[bytes] | None, label: str) -> Samples:
    """Load ``image`` (from ``file``, if it came from one of ours), whatever its mode."""
    tiles = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    image.load()
    profile, key = image.info.get("icc_profile"), image.info.get("transparency")
    orientation = _exif_orientation(image)
    fine = read_16_bit(image, args if isinstance(args, str) else str(args[0]), file) if file else None
    if image.mode.startswith("I"):
        fine = np.asarray(image)
        if not 0 <= fine.min() <= fine.max() <= 65535:
            raise ImpastoError(f"{label}: holds 32-bit or signed samples; save it with 8 or 16 bits")
        fine = fine.astype(np.uint16)
        if _tag(image, _PHOTOMETRIC) == 0:  # white is zero: Pillow forgets it at this depth
            fine = 65535 - fine
    elif image.mode == "F":
        fine = np.asarray(image)
    if fine is not None:
        samples = Samples.from_array(to_unit(fine, label), profile, orientation)
        if key is not None and samples.alpha is None:  # A PNG may name one color as the transparent one.
            samples.alpha = (fine.reshape(*fine.shape[:2], -1) != np.asarray(key)).any(axis=2).astype(np.float32)
        return samples

    if image.mode in ("La", "RGBa"):  # Premultiplied.
        image = image.convert(image.mode.upper())
    alpha = None
    if key is not None or image.mode in ("LA", "PA", "RGBA"):
        alpha = np.asarray(image.convert("RGBA").getchannel("A"), np.float32) / np.float32(255)
    if image.mode in ("1", "L", "LA"):
        base = image.convert("L")
    else:
        base = image if image.mode in ("RGB", "CMYK", "LAB") else image.convert("RGB")
    return Samples(base, None, alpha, profile, orientation)


def _exif_orientation(image: Image.Image) -> int:
    """1 to 8; 1 where there is none, it is broken, or Pillow has turned the picture already, as with TIFF."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return orientation if orientation in range(1, 9) else 1
