"""What a file is by its first bytes, where impasto does not read it."""

from __future__ import annotations

#: How many of a file's first bytes tell.
ENOUGH = 1024

#: What to do about other formats.
CONVERT = "convert it to JPEG, PNG, WebP or TIFF"

#: What is said of the files of cameras.
CAMERA_RAW = "is a camera raw file; develop it first, for example to a TIFF or JPEG"

# Files of Fujifilm, Panasonic and Olympus; those of most other cameras are TIFFs, or begin as one.
_CAMERA_RAW = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR")
_STARTS = {
    b"\xff\x0a": "a JPEG XL file",
    b"\0\0\0\x0cJXL ": "a JPEG XL file",
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
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def refusal(start: bytes) -> str | None:
    """What to say of a file that begins so; None where it may be a picture that is read."""
    boxes = start[8 : int.from_bytes(start[:4], "big")] if start[4:8] == b"ftyp" else b""
    if start.startswith(_CAMERA_RAW) or (start[:2] == b"II" and start[8:10] == b"CR") or boxes.startswith(b"crx "):
        return CAMERA_RAW
    kind = next((name for first, name in _STARTS.items() if start.startswith(first)), None)
    if boxes and b"avif" not in boxes and b"avis" not in boxes:
        kind = "a HEIC file" if boxes.startswith(_HEIC) else "a video"
    elif start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        kind = "a video"
    elif b"<svg" in start and start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        kind = "an SVG file"
    return kind and f"is {kind}, which impasto does not read; {CONVERT}"
