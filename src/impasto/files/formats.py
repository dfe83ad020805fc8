"""Formats: which are tried, and what is said of a file in another, by its first bytes."""

from __future__ import annotations

import importlib
from typing import IO, Any

from PIL import Image, features

# A Pillow before 11.3 does not know the word.
AVIF = ("AVIF",) if "avif" in features.modules and features.check("avif") else ()

#: What is tried on a file. Pillow knows more formats; some start other programs, and none is needed. TGA is last: it
#: has no signature.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", *AVIF, "PSD", "PPM", "ICO", "QOI", "TGA")

_JPEG_2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_READ = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"8BPS", b"\0\0\1\0", b"qoif", b"II*\0", b"MM\0*", *_JPEG_2000)

#: How many of a file's first bytes tell.
ENOUGH = 1024

#: What to do about other formats.
CONVERT = "convert it to JPEG, PNG, WebP or TIFF"

#: What is said of the files of cameras.
CAMERA_RAW = "is a camera raw file; develop it first, for example to a TIFF or JPEG"

#: What is told of a picture whose decoder has made up pixels, and of one that is not used to its last bit.
DAMAGED, DEEP = "parts of it may be damaged", "holds more than 8 bits a channel, of which the upper 8 are used"

# Files of Fujifilm, Panasonic and Olympus; those of most other cameras are TIFFs, or begin as one.
_CAMERA_RAW = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR")
_STARTS = {
    b"%PDF": "a PDF file",
    b"%!PS": "a PostScript file",
    b"\xc5\xd0\xd3\xc6": "a PostScript file",
    b"8BPS\0\x02": "a PSB file",
    b"gimp xcf": "an XCF file",
    b"v/1\x01": "an OpenEXR file",
    b"#?RADIANCE": "a Radiance HDR file",
    b"\x1a\x45\xdf\xa3": "a video",
    b"\0\0\x01\xba": "a video",
    b"\0\0\x01\xb3": "a video",
    b"FLV": "a video",
}
#: How JPEG XL begins.
JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
# Read where a package is there: the extra of impasto that brings it, its module and class.
_EXTRAS = {
    "a HEIC file": ("heif", "pillow_heif", "HeifImageFile"),
    "a JPEG XL file": ("jxl", "pillow_jxl.JpegXLImagePlugin", "JXLImageFile"),
}
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def refusal(start: bytes) -> str | None:
    """What to say of a file that begins so; None where it may be a picture that is read."""
    boxes = start[8 : int.from_bytes(start[:4], "big")] if start[4:8] == b"ftyp" else b""
    if start.startswith(_CAMERA_RAW) or (start[:2] == b"II" and start[8:10] == b"CR") or boxes.startswith(b"crx "):
        return CAMERA_RAW
    kind = next((name for first, name in _STARTS.items() if start.startswith(first)), None)
    video = boxes and not boxes.startswith(_HEIC) and b"avif" not in boxes and b"avis" not in boxes
    if video or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        kind = "a video"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        kind = "a web page"
    elif text.startswith(b"<") and b"<svg" in text:
        kind = "an SVG file"
    return kind and f"is {kind}, which impasto does not read; {CONVERT}"


def extra_of(start: bytes) -> str | None:
    """What a file that begins so is, if a package beside Pillow reads it."""
    boxes = start[8 : int.from_bytes(start[:4], "big")] if start[4:8] == b"ftyp" else b""
    if boxes.startswith(_HEIC) and b"avif" not in boxes and b"avis" not in boxes:
        return "a HEIC file"
    return "a JPEG XL file" if start.startswith(JPEG_XL) else None


def open_extra(kind: str, file: IO[bytes]) -> Any:
    """The header of such a file; None where the package is not there."""
    _, module, name = _EXTRAS[kind]
    try:
        opener = getattr(importlib.import_module(module), name)
    except ImportError:
        return None
    return opener(file)


def missing_extra(kind: str) -> str:
    """What to say where the package is not there."""
    return f"is {kind}; install impasto[{_EXTRAS[kind][0]}] to read it, or {CONVERT}"


def open_known(file: IO[bytes]) -> Any:
    """The header of a file in one of :data:`FORMATS`, as a PIL image whose pixels are not decoded yet.

    Not ``Image.open``, which holds every picture against a limit that belongs to the whole process.

    Raises:
        Exception: whatever the parsing runs into; SyntaxError where the format is none of them.
    """
    file.seek(0)
    prefix = file.read(16)
    for name in FORMATS:
        if name not in Image.OPEN:
            Image.init()
        opener, accept = Image.OPEN[name]
        if accept is None or accept(prefix) is True:
            file.seek(0)
            return opener(file, "")
    raise SyntaxError("no format that is read")


def unopened(start: bytes, error: Exception) -> str:
    """What to say of a file that begins so and that Pillow did not open."""
    bmp, boxes = start[:2] == b"BM" and start[6:10] == bytes(4), start[4:8] == b"ftyp"
    if bmp and "nsupported" in str(error):
        return "is a BMP of an unusual kind; save it as PNG or TIFF"
    if start[:4] == b"8BPS" and start[22:24] in (b"\0\x10", b"\0\x20"):
        return "is a PSD with 16 or 32 bits a channel; save it as TIFF, or with 8"
    if boxes and not AVIF:
        return f"is an AVIF file, which this Pillow does not read; update Pillow, or {CONVERT}"
    if bmp or boxes or (start[:4] == b"RIFF" and start[8:12] == b"WEBP") or start.startswith(_READ):
        return "is damaged or cut short; copy or export it again"
    return f"is not an image that impasto reads; {CONVERT}"
