"""CelebA as people download it: aligned faces in a folder or a zip, 40 attributes, a partition.

Looked for in the folder, and in the ``Img``, ``Anno`` and ``Eval`` of the original release:

- ``img_align_celeba/`` (Kaggle's has one more of the same name inside), or ``img_align_celeba.zip``, read where it is;
- ``list_attr_celeba.csv`` (Kaggle: ``image_id`` and 40 columns of -1 and 1) or ``list_attr_celeba.txt`` (the original:
  a count, a header, rows); optional;
- ``list_eval_partition.csv`` or ``.txt``; optional.

Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild (ICCV 2015).
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.lessons.pictures import FolderOfPictures, ZipOfPictures, find_pictures

__all__ = ["ATTRIBUTES", "SPLITS", "CelebA", "read_celeba", "square_of"]

#: The 40 attributes, in the order of the release.
# fmt: off
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald",
    "Bangs", "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair",
    "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin",
    "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones",
    "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard",
    "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings",
    "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)
# fmt: on

#: The parts, in the order of the partition file's 0, 1 and 2.
SPLITS = ("train", "validation", "test")

# A face is 178 x 218; this is only there for what is no face.
_MAX_PIXELS = 64_000_000


@dataclass(frozen=True)
class CelebA:
    """The faces of one folder.

    Attributes:
        folder: where they lie.
        names: file names of the images, in the order of the attribute file, or sorted where there is none.
        attributes: names of the labels' columns, in the order of the file; empty without an attribute file.
        labels: (N, 40) bool, True for 1 and False for -1; None without an attribute file.
        split: ``train``, ``validation`` or ``test`` for every name.
    """

    folder: Path
    names: tuple[str, ...]
    attributes: tuple[str, ...]
    labels: Tensor | None
    split: tuple[str, ...]
    _pictures: FolderOfPictures | ZipOfPictures = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, split: str | None = None) -> list[int]:
        """The indices that belong to ``split``, ascending; all of them for None.

        Raises:
            ImpastoError: there is no split of that name.
        """
        if split is None:
            return list(range(len(self.names)))
        if split not in SPLITS:
            raise ImpastoError(f"split: {split!r} is none; take one of {', '.join(SPLITS)}")
        return [index for index, part in enumerate(self.split) if part == split]

    def image(self, index: int) -> Tensor:
        """One face as it is: (3, H, W) uint8, sRGB. Safe from several threads and processes at once.

        Raises:
            ImpastoError: the file is gone, damaged or no image.
        """
        return _to_tensor(self._decode(self.names[index]))

    def load(self, side: int, split: str | None = None) -> Tensor:
        """All faces of ``split`` (None: of all) in one tensor: (N, 3, side, side) uint8, in the order of :meth:`rows`.

        The largest central square is cut out (178 x 178 of the aligned 178 x 218: hair to chin, little background)
        and brought to ``side`` by Lanczos' filter. As many threads decode as torch computes with.

        Raises:
            ImpastoError: ``side`` below 1, an unknown split, a file that is gone, damaged or no image.
        """
        if side < 1:
            raise ImpastoError(f"side: {side} pixels; give at least 1")
        rows = self.rows(split)
        faces = torch.empty(len(rows), 3, side, side, dtype=torch.uint8)

        def fill(place: int) -> None:
            faces[place] = square_of(self._decode(self.names[rows[place]]), side)

        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            try:
                for _ in pool.map(fill, range(len(rows))):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)  # The first mistake is told at once, not after all the others.
                raise
        return faces

    def _decode(self, name: str) -> Image.Image:
        data = self._pictures.read(name)
        where = self._pictures.where(name)
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
                if picture.width * picture.height > _MAX_PIXELS:
                    raise ImpastoError(f"{where}: {picture.width} x {picture.height} pixels are no face; remove it")
                return picture.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            if isinstance(error, ImpastoError):
                raise
            raise ImpastoError(f"{where}: damaged or no image; get the data set again") from error


def square_of(picture: Image.Image, side: int) -> Tensor:
    """The largest central square: (3, side, side) uint8. Of an odd margin the right and the bottom lose more."""
    cut = min(picture.size)
    left, top = (picture.width - cut) // 2, (picture.height - cut) // 2
    # Not resize's own box: its filter would look past the border of it.
    cropped = picture.crop((left, top, left + cut, top + cut))
    return _to_tensor(cropped.resize((side, side), Image.Resampling.LANCZOS))


def _to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as (3, H, W) uint8."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def read_celeba(folder: str | Path) -> CelebA:
    """Look through a folder of CelebA. Tables are read and checked whole; images are only listed.

    Where there is no partition file, a hash of each file name decides: 80 % train, 10 % validation, 10 % test, the same
    on every machine, and a face stays where it is when others are added.

    Args:
        folder: see the head of this module.

    Raises:
        ImpastoError: no such folder, no images, a zip cut short, a table with other columns, a label that is not -1 or
            1, a row twice, a row without its image, an image without its row, or a count that is not that of the rows.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImpastoError(f"{folder}: no such folder; give one with img_align_celeba in it")
    pictures = find_pictures(folder)
    table = _find(folder, "Anno", "list_attr_celeba")
    if table is None:
        return _assemble(folder, tuple(sorted(pictures.names)), (), None, pictures)
    return _assemble(folder, *_read_attributes(table, pictures), pictures)


def _assemble(
    folder: Path,
    names: tuple[str, ...],
    attributes: tuple[str, ...],
    labels: Tensor | None,
    pictures: FolderOfPictures | ZipOfPictures,
) -> CelebA:
    partition = _find(folder, "Eval", "list_eval_partition")
    split = tuple(map(_split_by_hash, names)) if partition is None else _read_partition(partition, names)
    return CelebA(folder, names, attributes, labels, split, pictures)


def _find(folder: Path, inner: str, stem: str) -> Path | None:
    candidates = (place / f"{stem}{ending}" for place in (folder, folder / inner) for ending in (".csv", ".txt"))
    return next((path for path in candidates if path.is_file()), None)


def _split_by_hash(name: str) -> str:
    tenth = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") * 10 >> 64
    return SPLITS[max(0, tenth - 7)]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The line's number, from 1, and its cells; empty lines are left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix == ".csv":
                reader = csv.reader(file)
                for row in reader:
                    if row:
                        yield reader.line_num, [cell.strip() for cell in row]
            else:
                for number, line in enumerate(file, 1):
                    if cells := line.split():
                        yield number, cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise ImpastoError(f"{path}: is no text in UTF-8 ({error}); get it again") from error


def _read_attributes(
    path: Path, pictures: FolderOfPictures | ZipOfPictures
) -> tuple[tuple[str, ...], tuple[str, ...], Tensor]:
    lines = _lines(path)
    count: int | None = None
    if path.suffix == ".txt":
        number, cells = next(lines, (1, []))
        if len(cells) != 1 or not cells[0].isdecimal():
            raise ImpastoError(f"{path}, line {number}: no count of rows; the original file begins with one")
        count = int(cells[0])
    number, header = next(lines, (1, []))
    if path.suffix == ".csv":
        if header[:1] != ["image_id"]:
            raise ImpastoError(
                f"{path}, line {number}: the first column is {header[0]!r}, not 'image_id'"
                if header
                else f"{path}: is empty; get it again"
            )
        header = header[1:]
    _check_columns(path, number, header)
    names: dict[str, int] = {}
    labels: list[list[bool]] = []
    for number, (name, *values) in lines:
        if len(values) != len(header):
            raise ImpastoError(f"{path}, line {number}: {name} has {len(values)} labels instead of {len(header)}")
        if not {"1", "-1"}.issuperset(values):
            column = next(index for index, value in enumerate(values) if value not in ("1", "-1"))
            raise ImpastoError(
                f"{path}, line {number}: {header[column]} of {name} is {values[column]!r}; labels are -1 or 1"
            )
        if name in names:
            raise ImpastoError(f"{path}, line {number}: {name} stands in line {names[name]} already; remove one")
        if name not in pictures.names:
            raise ImpastoError(f"{path}, line {number}: {name} is not in {pictures.path}; get it, or remove the row")
        names[name] = number
        labels.append([value == "1" for value in values])
    if count is not None and count != len(names):
        raise ImpastoError(f"{path}, line 1: {count} rows are announced and {len(names)} are there; get it again")
    if not names:
        raise ImpastoError(f"{path}: has no rows; get it again")
    if len(names) < len(pictures.names):
        stray = min(pictures.names - names.keys())
        raise ImpastoError(f"{path}: has no row for {stray} in {pictures.path}; get the table again")
    return tuple(names), tuple(header), torch.tensor(labels, dtype=torch.bool)


def _check_columns(path: Path, number: int, header: list[str]) -> None:
    twice = next((column for index, column in enumerate(header) if column in header[:index]), None)
    if twice is not None:
        raise ImpastoError(f"{path}, line {number}: the column {twice} is there twice")
    strange = next((column for column in header if column not in ATTRIBUTES), None)
    if strange is not None:
        raise ImpastoError(f"{path}, line {number}: {strange!r} is no attribute of CelebA")
    missing = next((column for column in ATTRIBUTES if column not in header), None)
    if missing is not None:
        raise ImpastoError(f"{path}, line {number}: the column {missing} is missing")


def _read_partition(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Rows for images that are not here are passed over: the file of the whole data set fits every part of it."""
    parts: dict[str, str] = {}
    for index, (number, cells) in enumerate(_lines(path)):
        if index == 0 and path.suffix == ".csv":
            if cells != ["image_id", "partition"]:
                raise ImpastoError(f"{path}, line {number}: the columns are {','.join(cells)}, not image_id,partition")
            continue
        if len(cells) != 2 or cells[1] not in ("0", "1", "2"):
            raise ImpastoError(f"{path}, line {number}: {' '.join(cells)!r} is not a file name and 0, 1 or 2")
        if cells[0] in parts:
            raise ImpastoError(f"{path}, line {number}: {cells[0]} is there twice; remove one")
        parts[cells[0]] = SPLITS[int(cells[1])]
    missing = next((name for name in names if name not in parts), None)
    if missing is not None:
        raise ImpastoError(
            f"{path}: has no row for {missing}; get it again, or remove it to split by a hash of the names"
        )
    return tuple(parts[name] for name in names)
