"""Never half a file, and never two runs that write the same one."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from impasto.errors import ImpastoError
from impasto.gallery import resolve

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that is open.
    fcntl = None  # type: ignore[assignment]


def write_atomically(path: Path, data: bytes | Iterable[bytes | memoryview], *, replace: bool = True) -> None:
    """Write ``data`` beside ``path``, flush it to the disk, and rename it: ``path`` holds all of it or what it held.

    A link is followed: the file it points to is replaced, and keeps its permissions. What is too large for memory comes
    in parts. The temporary file's name follows from the target's: what a killed process left is used by the next.

    Args:
        path: the file.
        data: what it is to hold.
        replace: False keeps a file that is there, also one that was made in the meantime.

    Raises:
        ImpastoError: the file cannot be written, is none, or exists. The temporary file is gone then.
    """
    target = Path(os.path.realpath(path))
    check_writable(path)
    temporary = _beside(target, "part")
    try:
        with _locked(temporary) as file:
            try:
                file.truncate(0)
                for part in [data] if isinstance(data, bytes) else data:
                    file.write(part)
                file.flush()
                with suppress(FileNotFoundError, AttributeError):  # Nothing is there; Windows has no permissions.
                    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
                os.fsync(file.fileno())
                _publish(temporary, target, file, replace=replace)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise ImpastoError(f"{path}: exists already; give `force` to replace it") from error
    except OSError as error:
        what = f"cannot be written ({error.strerror or error}); choose another folder or make room"
        raise ImpastoError(f"{path}: {what}") from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse what a file cannot be written to, through links as well.

    Raises:
        ImpastoError: it is a folder, a device, a pipe or a socket; or its folder is missing or cannot be written to.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_dir():
        raise ImpastoError(f"{path}: is a folder; give a file name, such as {path / 'painting.png'}")
    if target.exists() and not target.is_file():
        raise ImpastoError(f"{path}: is a device or a pipe; name a file")
    if not target.parent.is_dir():
        raise ImpastoError(f"{path}: the folder {target.parent} does not exist; make it first")
    if not os.access(target.parent, os.W_OK):
        raise ImpastoError(f"{path}: the folder {target.parent} cannot be written to; choose another")


def check_no_input(output: str | os.PathLike[str], *inputs: str | os.PathLike[str] | None) -> None:
    """Refuse an output that is one of the inputs, by whatever name: it could not be made again.

    Raises:
        ImpastoError: it is. ``inputs`` may be words or pictures of the gallery, too.
    """
    for source in inputs:
        file = None if source is None else resolve(source)
        if file is not None and file.exists() and Path(output).exists() and file.samefile(output):
            raise ImpastoError(f"{output} is one of the inputs; name another file")


def discard(path: Path) -> None:
    """Remove a file of :func:`write_atomically`, and what a killed process left of it; as far as that is possible."""
    for file in (path, _beside(Path(os.path.realpath(path)), "part")):
        with suppress(OSError):
            file.unlink()


@contextmanager
def claimed(path: str | os.PathLike[str]) -> Iterator[None]:
    """While this lasts no other run may write ``path``. Nothing is left of it, and a killed run holds no claim.

    Raises:
        ImpastoError: another run has it.
    """
    lock = _beside(Path(os.path.realpath(path)), "lock")
    try:
        with _locked(lock, wait=False):
            try:
                yield
            finally:
                with suppress(OSError):  # Windows removes no open file.
                    lock.unlink()
    except BlockingIOError as error:
        raise ImpastoError(f"{path}: another run is writing it; wait for it, or name another file") from error


def _beside(target: Path, ending: str) -> Path:
    """A hidden name, as short for the longest names of files."""
    return target.with_name(f".impasto-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.{ending}")


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[IO[bytes]]:
    """The file, made if it is not there, and this process's alone; unless it may ``wait``, or BlockingIOError."""
    while True:
        # Not tempfile.mkstemp, whose files only their owner can read: this one follows the umask.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags, 0o666), "r+b") as file:
            _lock(file, wait)
            if _is_at(file, path):
                yield file
                return


def _lock(file: IO[bytes], wait: bool) -> None:
    """Lock the file; on a file system without locks nothing happens."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether the file still is where it was opened: who had it before may have renamed or removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _publish(temporary: Path, target: Path, file: IO[bytes], *, replace: bool) -> None:
    """Give a written file its name. Raises FileExistsError where that is taken."""
    if fcntl is None:  # Windows renames no open file.
        file.close()
    if not replace:
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError as error:  # A file system without hard links.
            if target.exists():
                raise FileExistsError from error
        else:
            temporary.unlink()
            return
    temporary.replace(target)
