"""What does not fit into memory lies in nameless temporary files, which are gone with the process, however it ends.

They are read and written in pieces, not mapped: only what the system caches is resident, until memory is wanted.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import torch
from torch import Tensor

from impasto.errors import ImpastoError

#: Numbers that are worked on at a time.
PIECE = 1 << 21


def pieces(count: int, width: int = 1) -> Iterator[tuple[int, int]]:
    """Beginnings and ends of pieces that cover ``count`` rows of ``width`` numbers."""
    step = max(1, PIECE // width)
    for start in range(0, count, step):
        yield start, min(start + step, count)


class _Stored:
    """Numbers in a file; zeros where none were written, which take no room."""

    def __init__(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        self.shape, self.dtype, self.device = torch.Size(shape), dtype, device
        self.count = self.shape.numel()
        with _roomy():
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=_folder(), buffering=0, prefix="impasto-")  # noqa: SIM115
            self._file.truncate(self.count * dtype.itemsize)

    @classmethod
    def like(cls, other: Tensor | _Stored) -> Self:
        return cls(other.shape, other.dtype, other.device)

    def _get(self, start: int, into: Tensor) -> None:
        """Fill ``into``, contiguous and on the CPU, with the numbers from ``start`` on."""
        bytes_left = into.view(-1).view(torch.uint8).numpy().data
        self._file.seek(start * self.dtype.itemsize)
        while bytes_left:
            bytes_left = bytes_left[self._file.readinto(bytes_left) :]  # type: ignore[attr-defined]

    def _put(self, start: int, numbers: Tensor) -> None:
        """Write ``numbers``, contiguous and on the CPU, from ``start`` on."""
        bytes_left = numbers.view(-1).view(torch.uint8).numpy().data
        self._file.seek(start * self.dtype.itemsize)
        with _roomy():
            while bytes_left:
                bytes_left = bytes_left[self._file.write(bytes_left) :]


class StoredVector(_Stored):
    """A tensor (1, 3, h, w) that is read in pieces of its numbers, in order."""

    @classmethod
    def of(cls, tensor: Tensor) -> StoredVector:
        """A copy of ``tensor``."""
        stored, flat = cls.like(tensor), tensor.flatten()
        for start, stop in pieces(stored.count):
            stored.write(start, flat[start:stop])
        return stored

    def read(self, start: int, stop: int) -> Tensor:
        """The numbers from ``start`` to before ``stop``."""
        numbers = torch.empty(stop - start, dtype=self.dtype)
        self._get(start, numbers)
        return numbers.to(self.device)

    def write(self, start: int, numbers: Tensor) -> None:
        """Put ``numbers`` there, from ``start`` on."""
        self._put(start, numbers.cpu().contiguous())


class StoredMaps(_Stored):
    """Feature maps (1, C, h, w) that are read in windows; the channels of a position lie side by side."""

    def read(self, rows: slice, columns: slice) -> Tensor:
        """The window (1, C, rows, columns), channels last."""
        channels, _, width = self.shape[1:]
        window = torch.empty(rows.stop - rows.start, columns.stop - columns.start, channels, dtype=self.dtype)
        for line, row in zip(window, range(rows.start, rows.stop), strict=True):
            self._get((row * width + columns.start) * channels, line)
        return _channels_last(window.to(self.device))

    def write(self, rows: slice, columns: slice, maps: Tensor) -> None:
        """Put ``maps`` (1, C, rows, columns) there."""
        channels, _, width = self.shape[1:]
        for line, row in zip(_lines(maps), range(rows.start, rows.stop), strict=True):
            self._put((row * width + columns.start) * channels, line)


def read_maps(maps: Tensor | StoredMaps, rows: slice, columns: slice) -> Tensor:
    """A window of maps in memory, a view then, or on the disk."""
    return maps.read(rows, columns) if isinstance(maps, StoredMaps) else maps[..., rows, columns]


class StoredPile(_Stored):
    """Feature maps (1, C, h, w) of any sizes, the last ones in the first ones out."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__((0,), dtype, device)
        self._sizes: list[torch.Size] = []

    def push(self, maps: Tensor) -> None:
        """Put ``maps`` on top."""
        lines = _lines(maps)
        self._put(self.count, lines)
        self._sizes.append(lines.shape)
        self.count += lines.numel()

    def pop(self) -> Tensor:
        """Take away what lies on top; channels last."""
        lines = torch.empty(self._sizes.pop(), dtype=self.dtype)
        self.count -= lines.numel()
        self._get(self.count, lines)
        return _channels_last(lines.to(self.device))


def _lines(maps: Tensor) -> Tensor:
    """(1, C, h, w) as (h, w, C), contiguous and on the CPU."""
    return maps[0].permute(1, 2, 0).cpu().contiguous()


def _channels_last(lines: Tensor) -> Tensor:
    """(h, w, C) as (1, C, h, w)."""
    # Only with the first axis added before does torch see that this is channels last, and need no copy.
    return lines[None].permute(0, 3, 1, 2)


@contextmanager
def _roomy() -> Iterator[None]:
    """A disk that is full becomes one plain line."""
    try:
        yield
    except OSError as error:
        raise ImpastoError(
            f"{_folder()} takes no more ({error.strerror or error}), and what does not fit into "
            "memory lies there; make room, or name another folder in the environment variable TMPDIR",
            setting="max_memory",
        ) from error


def _folder() -> str:
    """Where temporary files go: as the user says, or else to /var/tmp, as /tmp is often a RAM disk."""
    said = any(name in os.environ for name in ("TMPDIR", "TEMP", "TMP"))
    roomy = Path("/var/tmp")
    return str(roomy) if not said and roomy.is_dir() and os.access(roomy, os.W_OK) else tempfile.gettempdir()
