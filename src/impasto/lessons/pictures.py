"""Image files by name, in a folder or inside a zip; any thread or process may read at any time."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from impasto.errors import ImpastoError

_ENDINGS = (".jpg", ".jpeg", ".png")
_NAME = "img_align_celeba"
_MAX_BYTES = 64 << 20  # of one file: no face takes more


@dataclass(frozen=True)
class FolderOfPictures:
    """Image files in a folder."""

    path: Path
    names: frozenset[str] = field(repr=False)

    @classmethod
    def below(cls, path: Path) -> FolderOfPictures:
        """All images in a folder, however deep."""
        files = (Path(folder, name).relative_to(path) for folder, _, names in os.walk(path) for name in names)
        return cls(path, frozenset(file.as_posix() for file in files if file.suffix.lower() in _ENDINGS))

    def where(self, name: str) -> str:
        """What to call the file in a message."""
        return str(self.path / name)

    def read(self, name: str) -> bytes:
        """The file's bytes. Raises ImpastoError if it cannot be read."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise ImpastoError(f"{self.where(name)}: cannot be read ({error.strerror})") from error


@dataclass(frozen=True)
class ZipOfPictures:
    """Image files in a zip that stays packed."""

    path: Path
    members: dict[str, zipfile.ZipInfo] = field(repr=False)
    names: frozenset[str] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> ZipOfPictures:
        """Read the directory. Raises ImpastoError for no zip, one cut short, or two images of one name."""
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ImpastoError(f"{path}: cut short, or no zip ({error}); get it again") from error
        members: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            folder, _, name = entry.filename.rpartition("/")
            # macOS adds metadata of every file under this name.
            if not name.lower().endswith(_ENDINGS) or folder.split("/")[0] == "__MACOSX":
                continue
            if name in members:
                raise ImpastoError(f"{path}: {name} is in it twice; get it again")
            members[name] = entry
        return cls(path, members, frozenset(members))

    def where(self, name: str) -> str:
        """What to call the file in a message."""
        return f"{name} in {self.path}"

    def read(self, name: str) -> bytes:
        """The file's bytes, checked by the zip's CRC. Raises ImpastoError if damaged, encrypted or too large."""
        entry = self.members[name]
        if entry.file_size > _MAX_BYTES:
            raise ImpastoError(f"{self.where(name)}: {entry.file_size} bytes are no face; get the zip again")
        try:
            return _opened(self.path, os.getpid(), self.path.stat().st_mtime_ns).read(entry)
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError, zlib.error) as error:
            raise ImpastoError(f"{self.where(name)}: damaged in the zip ({error}); get it again") from error


Pictures = FolderOfPictures | ZipOfPictures


@lru_cache(maxsize=4)
def _opened(path: Path, process: int, changed: int) -> zipfile.ZipFile:
    """The open zip, for all threads; a forked process opens its own, or it would move its parent's position."""
    return zipfile.ZipFile(path)


def find_pictures(folder: Path) -> Pictures:
    """The images of CelebA in ``folder`` or its ``Img``: ``img_align_celeba/`` if there is one, or else its zip.

    Kaggle's folder has one more of the same name inside.

    Raises:
        ImpastoError: there is neither, or no image in what there is.
    """
    for place in (folder, folder / "Img"):
        for path in (place / _NAME, place / _NAME / _NAME):
            if path.is_dir():
                with os.scandir(path) as entries:
                    names = frozenset(entry.name for entry in entries if entry.name.lower().endswith(_ENDINGS))
                if names:
                    return FolderOfPictures(path, names)
        path = place / f"{_NAME}.zip"
        if path.is_file():
            pictures = ZipOfPictures.open(path)
            if pictures.names:
                return pictures
            raise ImpastoError(f"{path}: there are no images in it; get it again")
    raise ImpastoError(f"{folder}: neither {_NAME}/*.jpg nor {_NAME}.zip is in it; give the folder that holds one")
