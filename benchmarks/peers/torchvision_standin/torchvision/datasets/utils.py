"""Whether a download is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path


def check_md5(path: str, md5: str) -> bool:
    """Whether the file has this checksum."""
    return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest() == md5
