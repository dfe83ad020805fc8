"""What a run needs to go on, in a file that is whole or not there, with a digest over everything in it."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.files.regular import open_regular

DAMAGES = (EOFError, LookupError, AttributeError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError)
#: Bytes of the digest, which are the last of the file.
DIGEST = hashlib.sha256().digest_size

Named = Mapping[str, Any]


def write_sealed(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write ``parts`` and their digest, all of it or nothing.

    Raises:
        ImpastoError: the file cannot be written.
    """

    def sealed() -> Iterator[bytes | memoryview]:
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
            yield part
        yield digest.digest()

    write_atomically(path, sealed())


@contextmanager
def open_sealed(path: Path) -> Iterator[IO[bytes]]:
    """A file of :func:`write_sealed` at its beginning, once its digest is found right.

    Whatever goes wrong while it is read is its damage.

    Raises:
        ImpastoError: it cannot be read, or is damaged.
    """
    try:
        with open_regular(path) as file:
            digest, left = hashlib.sha256(), file.seek(0, io.SEEK_END) - DIGEST
            file.seek(0)
            while left > 0:
                part = file.read(min(left, 1 << 20))
                digest.update(part)
                left -= len(part) or left
            if file.read() != digest.digest():
                raise ValueError("digest")
            file.seek(0)
            yield file
    except ImpastoError:  # Which is a ValueError, too.
        raise
    except DAMAGES as error:
        raise ImpastoError(f"{path}: a damaged checkpoint; remove it to begin anew") from error


def write_checkpoint(path: Path, made_of: Named, parts: Named, notes: Named) -> None:
    """Write the states of ``parts``, all of them or nothing.

    Args:
        path: the file.
        made_of: what has to be the same when the training resumes, by what to call it, such as ``settings``.
        parts: whatever has a ``state_dict``, by name.
        notes: plain values and tensors to keep with them.

    Raises:
        ImpastoError: the file cannot be written.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    buffer = io.BytesIO()
    torch.save({"made_of": dict(made_of), "parts": states, "notes": dict(notes)}, buffer)
    write_sealed(path, [buffer.getbuffer()])


def read_checkpoint(path: Path, made_of: Named, parts: Named) -> dict[str, Any]:
    """Load the states of ``parts``; returns the notes.

    Raises:
        ImpastoError: the training of the file was made of something else, or the file is damaged.
    """
    with open_sealed(path) as file:
        state = torch.load(io.BytesIO(file.read()[:-DIGEST]), map_location="cpu", weights_only=True)
        others = [what for what, value in made_of.items() if state["made_of"][what] != value]
        if others:
            raise ImpastoError(f"{path}: made with other {' and '.join(others)}; remove it or train with the same")
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        return dict(state["notes"])
