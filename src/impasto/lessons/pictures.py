"""Image files by name, in a folder or inside a zip. Nothing stays open: any thread or process may read at any time."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from impasto.errors import ImpastoError

__all__ = ["FolderOfPictures", "ZipOfPictures", "find_pictures"]

_ENDINGS = (".jpg", ".jpeg", ".png")
_NAME = "img_align_celeba"
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
# No face takes more; a zip that claims it would fill the memory.
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class FolderOfPictures:
    """Image files in a folder."""

    path: Path
    names: frozenset[str] = field(repr=False)

    def where(self, name: str) -> str:
        """What to call the file in a message."""
        return str(self.path / name)

    def read(self, name: str) -> bytes:
        """The file's bytes.

        Raises:
            ImpastoError: it is gone or cannot be read.
        """
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise ImpastoError(f"{self.where(name)}: cannot be read ({error.strerror})") from error


@dataclass(frozen=True)
class ZipOfPictures:
    """Image files in a zip that stays packed.

    Its directory is read once. ``zipfile`` shares one open file among its readers, and a process that is forked shares
    the position in it; here every reading opens the file for itself and knows where its image begins.
    """

    path: Path
    members: dict[str, zipfile.ZipInfo] = field(repr=False)
    names: frozenset[str] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> ZipOfPictures:
        """Read the directory of the zip.

        Raises:
            ImpastoError: no zip, one that was cut short, or two images of one name.
        """
        members: dict[str, zipfile.ZipInfo] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ImpastoError(f"{path}: cut short, or no zip ({error}); get it again") from error
        for entry in entries:
            folder, _, name = entry.filename.rpartition("/")
            # A Mac adds a shadow of every file under this name.
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
        """The image's bytes, checked against the sum that the zip keeps of them.

        Raises:
            ImpastoError: damaged, encrypted, or packed in a way that photographs are not.
        """
        entry = self.members[name]
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ImpastoError(f"{self.where(name)}: encrypted or packed unusually; unpack the zip beside itself")
        if max(entry.file_size, entry.compress_size) > _MAX_BYTES:
            raise ImpastoError(f"{self.where(name)}: {entry.file_size} bytes are no face; get the zip again")
        try:
            with self.path.open("rb") as file:
                file.seek(entry.header_offset)
                header = file.read(_LOCAL_HEADER.size)
                signature, *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
                if signature != b"PK\3\4":
                    raise ValueError("no header")
                file.seek(name_length + extra_length, os.SEEK_CUR)
                data = file.read(entry.compress_size)
            if entry.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-15).decompress(data, entry.file_size + 1)
            if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
                raise ValueError("other bytes than were packed")
        except (OSError, ValueError, struct.error, zlib.error) as error:
            raise ImpastoError(f"{self.where(name)}: damaged in the zip ({error}); get it again") from error
        return data


def find_pictures(folder: Path) -> FolderOfPictures | ZipOfPictures:
    """The images of CelebA below ``folder``: a folder of them if there is one, or else the zip.

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
            if not pictures.names:
                raise ImpastoError(f"{path}: there are no images in it; get it again")
            return pictures
    raise ImpastoError(f"{folder}: neither {_NAME}/*.jpg nor {_NAME}.zip is in it; give the folder that holds one")
