"""Never half a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from impasto.errors import ImpastoError


def write_atomically(path: Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Write ``data`` beside ``path``, flush it to the disk, and rename it: ``path`` holds all of it or what it held.

    A link is followed: the file it points to is replaced. What is too large for memory comes in parts.

    Raises:
        ImpastoError: the file cannot be written. The temporary file is gone then.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".impasto-{secrets.token_hex(8)}.part")
    try:
        # Not tempfile.mkstemp, whose files only their owner can read: this one follows the umask.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            for part in [data] if isinstance(data, bytes) else data:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error}); choose another folder or make room"
        raise ImpastoError(f"{path}: {what}") from error
    finally:
        temporary.unlink(missing_ok=True)
