"""A published file, fetched over a connection that may break, and checked before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from impasto import __version__
from impasto.errors import ImpastoError

KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
KERAS_MD5 = "253f8cb515780f3b799900260a226db6"

BLOCK = 1 << 17  # bytes
TIMEOUT = 30  # seconds without a byte
ELSEWHERE = "give a file of yours to 'impasto weights add FILE'"

Progress = Callable[[int, "int | None"], None]


def fetch(url: str, part: Path, *, md5: str, progress: Progress | None = None) -> Path:
    """Fetch ``url`` into ``part``, resuming what it holds already, check its MD5 and return ``part``.

    ``progress`` is called with the bytes that are here, and how many there will be, None if the server does not say.

    Raises:
        ImpastoError: no connection, no such file, a broken transfer (what came stays in ``part``), a wrong hash
            (``part`` goes), or no room on the disk.
    """
    if part.is_file() and _md5(part) == md5:
        return part
    _transfer(url, part, progress)
    found = _md5(part)
    if found != md5:
        part.unlink()
        what = f"what came is not the file that was published: its MD5 is {found}, not {md5}"
        raise ImpastoError(f"{url}: {what}. It was thrown away; try again, or {ELSEWHERE}")
    return part


def _transfer(url: str, part: Path, progress: Progress | None) -> None:
    response, here = _open(url, part.stat().st_size if part.is_file() else 0)
    with response:
        length = response.headers.get("Content-Length")
        total = here + int(length) if length else None
        try:
            with part.open("ab" if here else "wb") as file:
                for block in _blocks(url, response):
                    file.write(block)
                    here += len(block)
                    if progress:
                        progress(here, total)
        except OSError as error:
            mend = "make room, or set IMPASTO_HOME to another folder"
            raise ImpastoError(f"{part}: cannot be written ({error.strerror}); {mend}") from error
    if total is not None and here < total:
        raise _broken(url, f"after {here} of {total} bytes")


def _open(url: str, here: int) -> tuple[HTTPResponse, int]:
    """Ask for what comes after the first ``here`` bytes; also returns how many of them the answer lets stand."""
    headers = {"User-Agent": f"impasto/{__version__}"} | ({"Range": f"bytes={here}-"} if here else {})
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if here and error.code == 416:  # Nothing comes after them: they are the beginning of something else.
            return _open(url, 0)
        raise ImpastoError(f"{url}: the server answers {error.code} ({error.reason}); {ELSEWHERE}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ImpastoError(f"{url}: no connection ({reason}); go online, or {ELSEWHERE}") from error
    if response.status != 206:
        return response, 0
    if response.headers.get("Content-Range", "").startswith(f"bytes {here}-"):
        return response, here
    response.close()
    return _open(url, 0)


def _blocks(url: str, response: HTTPResponse) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK):
            yield block
    except (OSError, HTTPException) as error:
        raise _broken(url, f"({error})") from error


def _broken(url: str, when: str) -> ImpastoError:
    return ImpastoError(f"{url}: the connection broke {when}; the same command again goes on from there")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
