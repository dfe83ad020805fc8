"""Which files are pictures."""

from __future__ import annotations

from pathlib import PurePath

EXTENSIONS = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}


def is_image_file(name: str) -> bool:
    """By its ending."""
    return PurePath(name).suffix.lower() in EXTENSIONS
