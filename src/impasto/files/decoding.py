"""Picture files and PIL images -> pixels: what is read, and what is refused.

Files may come from strangers. The size in the header is held against the limit before a pixel is decoded, only a short
list of formats is tried, and whatever a decoder raises becomes one plain line.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

from impasto.errors import ImpastoError
from impasto.files import boxes, jpeg, png, tiff
from impasto.files.formats import DAMAGED, DEEP
from impasto.files.opening import Opened, check_size, guarded, open_image
from impasto.files.segments import lacks_codec
from impasto.files.srgb import ARTIST, COPYRIGHT, Array, Pixels, Samples, as_orientation, in_blocks, to_pixels, to_unit

_ORIENTATION = 274
_LARGEST_EXIF = 131072  # bytes; a block may be as long as its file, and every entry of it point to all of it
# How far Pillow scales the samples of a PNG in gray, but not the transparent one of its tRNS chunk.
_SCALED = {"L;2": 85, "L;4": 17}


def decode_file(file: IO[bytes], label: str, max_pixels: int) -> Pixels:
    """Decode an open picture file.

    Raises:
        ImpastoError: not an image, damaged, too small, or more than ``max_pixels`` by its header.
    """
    notices: list[str] = []
    with guarded(label):
        page = tiff.first_page(file, label, lambda size: check_size(size, label, max_pixels))
        samples = None if page is None else tiff.read_page(page, file, label, notices)
        if samples is None:
            try:
                opened = open_image(file, label, max_pixels)
            except ImpastoError as error:
                # Where tifffile has read its table of contents, the file is in order.
                raise error if page is None else tiff.unread(page, label) from error
            samples = _read_as_meant(opened, label, notices)
        return to_pixels(samples, notices)


def decode_pil(image: Image.Image, label: str, max_pixels: int) -> Pixels:
    """Decode a PIL image at the frame it stands on; it is left as it was.

    Raises:
        ImpastoError: its file is damaged, it is too small, or has more than ``max_pixels``.
    """
    notices: list[str] = []
    with guarded(label):
        check_size(image.size, label, max_pixels)
        # Copies keep what their file said, though their owner may have turned them since.
        meant = isinstance(image, ImageFile.ImageFile)
        samples = _read_as_meant(Opened(image), label, notices) if meant else _read(Opened(image), label, notices)
        return to_pixels(samples, notices)


def _read_as_meant(opened: Opened, label: str, notices: list[str]) -> Samples:
    """Load an image that still is its file's: with the orientation and the gamma that the file says."""
    image = opened.image
    notices += [f"its chunk {name} is damaged and is ignored" for name in opened.damaged]
    # An MPO is a photograph with its own thumbnail or depth map behind it, as telephones write; the frames of a PSD are
    # its layers, and what is read is all of them; those of a HEIC are other photographs.
    if opened.file and image.format not in ("MPO", "PSD", "HEIF") and getattr(image, "is_animated", False):
        pages, frames = "holds several pages; the first is used", "is animated; the first frame is used"
        notices.append(pages if image.format == "TIFF" else frames)
    zeros = opened.file and image.format == "WEBP" and boxes.ends_in_zeros(opened.file, image.size)
    samples = _read(opened, label, notices)
    tags = opened.exif
    samples.orientation = as_orientation(tags.get(_ORIENTATION))
    samples.credit = {number: tags.get(number) for number in (ARTIST, COPYRIGHT)}
    if image.format in ("PNG", "AVIF", "HEIF"):
        samples.gamma, notice = png.gamma_and_notice(image.info, opened.cicp)
        notices += [notice] if notice else []
    if opened.broken or (opened.jpeg and jpeg.ends_early(*opened.jpeg)) or zeros:
        notices.append(DAMAGED)
    return samples


def _read(opened: Opened, label: str, notices: list[str]) -> Samples:
    """Load an image, whatever its mode; not its orientation. One that came from a file of ours is closed."""
    image, layout = opened.image, _layout(opened.image)
    if opened.file and boxes.bits_of(image, opened.start) > 8 and not image.mode.startswith("I"):
        if image.format == "JPEG2000":  # Pillow makes black of its white
            raise ImpastoError(f"{label}: is a JPEG 2000 in color with more than 8 bits a channel; save it as TIFF")
        notices.append(DEEP)
    _load(image, label)
    opened.exif = _exif(opened)
    key, fine = image.info.get("transparency"), _deep_gray(image, label)
    if opened.file and layout in png.SIXTEEN_BITS:
        fine = png.read_16_bit(image, layout, opened.file)
    if fine is not None:
        mode = "L" if fine.ndim == 2 or fine.shape[2] < 3 else "RGB"
        blocks = (_keyed(to_unit(rows, label), rows, key) for rows in in_blocks(fine))
        return Samples(image.size, mode, blocks, image.info.get("icc_profile"))
    if image.mode in ("La", "RGBa"):  # Premultiplied.
        image = image.convert(image.mode.upper())
    scale = _SCALED.get(layout)
    if key is not None and scale is None:
        image = image.convert("RGBA")
    if image.mode in ("1", "L", "LA"):
        mode, array = "L", np.asarray(image.convert("L") if image.mode == "1" else image)
    elif image.mode in ("PA", "RGBA"):
        mode, array = "RGB", np.asarray(image if image.mode == "RGBA" else image.convert("RGBA"))
    else:
        mode = image.mode if image.mode in ("CMYK", "LAB") else "RGB"
        array = np.asarray(image if image.mode == mode else image.convert("RGB"))
    blocks = (rows if scale is None else _keyed(rows, rows // scale, key) for rows in in_blocks(array))
    size, profile = image.size, image.info.get("icc_profile")
    if opened.file:
        Image.Image.close(opened.image)  # its pixels are in the array; the file stays open
    return Samples(size, mode, blocks, profile)


def _layout(image: Image.Image) -> str:
    """What Pillow found in the file, for example ``L;2``; "" where the pixels are loaded already."""
    tiles = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    return args if isinstance(args, str) else ""


def _load(image: Image.Image, label: str) -> None:
    try:
        image.load()
    except OSError as error:
        compression = image.info.get("compression")
        if image.format == "TIFF" and compression in tiff.RARE and lacks_codec(compression):
            raise tiff.unread_compression(compression, label) from error
        raise


def _deep_gray(image: Image.Image, label: str) -> Array | None:
    """(H, W) uint16 or float32 of a loaded image in a mode of more than 8 bits; None of others."""
    if image.mode == "F":
        return np.asarray(image)
    if not image.mode.startswith("I"):
        return None
    samples = np.asarray(image)
    if not 0 <= samples.min() <= samples.max() <= 65535:
        raise ImpastoError(f"{label}: holds 32-bit or signed samples; save it with 8 or 16 bits")
    return samples.astype(np.uint16)


def _keyed(colors: Array, samples: Array, key: Any) -> Array:
    """(h, W, C) colors, and alpha where a PNG has a transparent color, its ``key``: 0 where the samples are it."""
    if key is None:
        return colors
    opaque = (samples != np.asarray(key)).any(axis=2, keepdims=True)
    return np.concatenate([colors, opaque * (colors.dtype.type(255) if colors.dtype == np.uint8 else np.float32(1))], 2)


def _exif(opened: Opened) -> Any:
    """EXIF's tags; none where they are broken. Pillow has turned the picture already if it is a TIFF."""
    info = opened.image.info
    if opened.file and len(info.get("exif") or b"") > _LARGEST_EXIF:
        info["exif"] = info["exif"][:_LARGEST_EXIF]
    try:
        return opened.image.getexif()
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return {}
