"""SHA-256 of files: how recipes and weights are told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from impasto.files.regular import open_regular


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        ImpastoError: it is no regular file, or cannot be read.
    """
    with open_regular(path) as file:
        return stream_sha256(file)


def stream_sha256(file: IO[bytes]) -> str:
    """SHA-256 of an open file, from its beginning."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
