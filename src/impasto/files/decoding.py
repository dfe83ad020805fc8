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
from PIL import Image, ImageFile, PngImagePlugin

from impasto.errors import ImpastoError
from impasto.files import png
from impasto.files.damage import seems_damaged
from impasto.files.deep import (
    bits_of,
    lacks_codec,
    mend_tiff,
    raw_mode,
    read_16_bit,
    read_tiff,
    refuse_raw,
    to_unit,
    unread_compression,
)
from impasto.files.formats import ENOUGH, FORMATS, refusal, unopened
from impasto.files.srgb import Array, Pixels, Samples, as_orientation, to_pixels

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGEST_ICON = 1024 * 1024  # pixels
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _PLANAR_CONFIGURATION, _SAMPLE_FORMAT = 258, 262, 274, 284, 339
# How far Pillow scales the samples of a PNG in gray, but not the transparent one of its tRNS chunk.
_SCALED = {"L;2": 85, "L;4": 17}

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
        if image is None or _is_for_tifffile(image):
            samples = read_tiff(file, label, lambda size: check_size(size, label, max_pixels))
            return to_pixels(samples, [])
        check_size(image.size, label, max_pixels)
        file, dropped, cicp = png.sound(file)
        notices = [f"its chunk {name} is damaged and is ignored" for name in dropped]
        # An MPO is a photograph with its own thumbnail or depth map behind it, as telephones write; the frames of a
        # PSD are its layers, and what is read is all of them.
        if image.format not in ("MPO", "PSD") and getattr(image, "is_animated", False):
            pages, frames = "holds several pages; the first is used", "is animated; the first frame is used"
            notices.append(pages if image.format == "TIFF" else frames)
        samples = _read_as_meant(image, file, label, notices, cicp)
        if seems_damaged(image, file):
            notices.append("parts of it may be damaged")
        return to_pixels(samples, notices)


def decode_pil(image: Image.Image, label: str, max_pixels: int) -> Pixels:
    """Decode a PIL image at the frame it stands on; it is left as it was.

    Raises:
        ImpastoError: its file is damaged, it is too small, or has more than ``max_pixels``.
    """
    with guarded(label):
        check_size(image.size, label, max_pixels)
        notices: list[str] = []
        # Copies keep what their file said, though their owner may have turned them since.
        meant = isinstance(image, ImageFile.ImageFile)
        samples = _read_as_meant(image, None, label, notices) if meant else _read(image, None, label, notices)
        return to_pixels(samples, notices)


def open_image(file: IO[bytes], label: str) -> Image.Image | None:
    """Read the header; None for a TIFF that Pillow has no mode for.

    Raises:
        ImpastoError: not an image that impasto reads, or its header is damaged.
    """
    file.seek(0)
    start = file.read(ENOUGH)
    if said := refusal(start):
        raise ImpastoError(f"{label}: {said}")
    if start[:4] == b"\0\0\1\0":  # Pillow decodes an icon as it opens it
        Image.MAX_IMAGE_PIXELS = _LARGEST_ICON
    try:
        image = Image.open(png.sound(file)[0], formats=FORMATS)
    except Exception as error:  # plugins raise whatever their parsing runs into
        if start.startswith(_TIFF_STARTS):
            return None
        raise ImpastoError(f"{label}: {unopened(start, error)}") from error
    if image.format == "TIFF":
        refuse_raw(image.tag_v2.get, label)  # type: ignore[attr-defined]
    return image


@contextmanager
def guarded(label: str) -> Iterator[None]:
    """Around every use of Pillow on a stranger's file: whatever a decoder raises becomes one plain line.

    Pillow's own limit is off (ours is checked instead, and may be the higher one), that of a PNG's text is the one for
    all of them, and its warnings are silent.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        longest, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
        try:
            yield
        except ImpastoError:
            raise
        except MemoryError as error:
            raise ImpastoError(f"{label}: does not fit into memory; scale it down first") from error
        except Exception as error:  # decoders raise whatever they run into; the cause stays attached for --debug
            raise ImpastoError(f"{label}: is damaged or cut short; copy or export it again") from error
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before, longest


def _tag(image: Image.Image, number: int) -> Any:
    """A TIFF's own tag; None in other formats."""
    return getattr(image, "tag_v2", {}).get(number)


def _is_for_tifffile(image: Image.Image) -> bool:
    """A TIFF in separate planes that Pillow mistakes: more than 8 bits, or gray and alpha."""
    deep = max(_tag(image, _BITS_PER_SAMPLE) or (1,)) > 8
    return _tag(image, _PLANAR_CONFIGURATION) == 2 and (deep or image.mode in ("L", "LA", "La", "P", "PA"))


def _read_as_meant(
    image: Image.Image, file: IO[bytes] | None, label: str, notices: list[str], cicp: bytes = b""
) -> Samples:
    """Load an image that still is its file's: with the orientation and the gamma that the file says."""
    samples = _read(image, file, label, notices)
    samples.orientation = _exif_orientation(image)
    if image.format == "PNG":
        samples.gamma, notice = png.gamma_and_notice(image.info, cicp)
        notices += [notice] if notice else []
    return samples


def _read(image: Image.Image, file: IO[bytes] | None, label: str, notices: list[str]) -> Samples:
    """Load ``image`` (from ``file``, if it came from one of ours), whatever its mode; not its orientation."""
    deep = bits_of(image) > 8
    if hasattr(image, "tag_v2"):
        mend_tiff(image)
    layout = raw_mode(image)
    try:
        image.load()
    except OSError as error:
        if lacks_codec(image):
            raise unread_compression(image.info["compression"], label) from error
        raise
    profile, key = image.info.get("icc_profile"), image.info.get("transparency")
    fine = _deep_gray(image, label)
    if fine is None and file and (sixteen := read_16_bit(image, layout, file)) is not None:
        fine = to_unit(sixteen, label)
    if fine is not None:
        samples = Samples.from_array(fine, profile)
        if key is not None and samples.alpha is None:  # A PNG may name one color as the transparent one.
            samples.alpha = _all_but(np.rint(fine * np.float32(65535)), key)
        return samples

    if deep and file:
        notices.append("holds more than 8 bits a channel, of which the upper 8 are used")
    if image.mode in ("La", "RGBa"):  # Premultiplied.
        image = image.convert(image.mode.upper())
    alpha = None
    if key is not None and layout in _SCALED:
        alpha = _all_but(np.asarray(image), key * _SCALED[layout])
    elif key is not None or image.mode in ("LA", "PA", "RGBA"):
        alpha = np.asarray(image.convert("RGBA").getchannel("A"), np.float32) / np.float32(255)
    if image.mode in ("1", "L", "LA"):
        base = image.convert("L")
    else:
        base = image if image.mode in ("RGB", "CMYK", "LAB") else image.convert("RGB")
    return Samples(base, None, alpha, profile)


def _deep_gray(image: Image.Image, label: str) -> Array | None:
    """(H, W) float32 in [0, 1] of a loaded image in a mode of more than 8 bits; None of others."""
    bits = max(_tag(image, _BITS_PER_SAMPLE) or (0,))
    signed = bits in (8, 16) and 2 in (_tag(image, _SAMPLE_FORMAT) or ())
    if image.mode.startswith("I") or signed:
        samples = np.asarray(image)
        if signed or not 0 <= samples.min() <= samples.max() <= 65535:
            raise ImpastoError(f"{label}: holds 32-bit or signed samples; save it with 8 or 16 bits")
        fine = to_unit(samples.astype(np.uint16), label, bits if bits < 16 else 16)
    elif image.mode == "F":
        fine = to_unit(np.asarray(image), label)
    else:
        return None
    # Where white is zero Pillow forgets it at this depth.
    return 1 - fine if _tag(image, _PHOTOMETRIC) == 0 else fine


def _all_but(samples: Array, key: Any) -> Array:
    """Alpha of (H, W[, C]) samples: 0 where they are the ``key``, 1 elsewhere."""
    return (samples.reshape(*samples.shape[:2], -1) != np.asarray(key)).any(axis=2).astype(np.float32)


def _exif_orientation(image: Image.Image) -> int:
    """1 to 8; 1 where there is none, it is broken, or Pillow has turned the picture already, as with TIFF."""
    try:
        return as_orientation(image.getexif().get(_ORIENTATION))
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
