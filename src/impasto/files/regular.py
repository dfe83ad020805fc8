"""Files that come from others: regular ones, opened without waiting for anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from impasto.errors import ImpastoError


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """A regular file, open for reading.

    Raises:
        ImpastoError: it is missing, a folder, a device or a pipe, which may never end, or cannot be read.
    """
    try:
        # Opening a pipe would wait for who writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise ImpastoError(f"{path}: cannot be read ({error.strerror}); check the name") from error
    except ValueError as error:  # A zero byte.
        raise ImpastoError(f"{str(path)!r} is no name of a file; check it") from error
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    what = "a folder; name a file in it" if stat.S_ISDIR(kind) else "a device or a pipe; name a file"
    raise ImpastoError(f"{path}: is {what}")


def check_regular(path: str | os.PathLike[str]) -> Path:
    """The path of a regular file that can be read, for libraries that open files themselves.

    Raises:
        ImpastoError: as :func:`open_regular`.
    """
    open_regular(path).close()
    return Path(path)
