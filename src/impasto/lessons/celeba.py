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

import torch
from PIL import Image
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.files.plain import read_rgb, to_tensor
from impasto.lessons.pictures import FolderOfPictures, ZipOfPictures, find_pictures

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
        return to_tensor(self._decode(self.names[index]))

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
            for _ in pool.map(fill, range(len(rows))):  # At the first mistake, map cancels all the others.
                pass
        return faces

    def _decode(self, name: str) -> Image.Image:
        return read_rgb(io.BytesIO(self._pictures.read(name)), self._pictures.where(name))


def square_of(picture: Image.Image, side: int) -> Tensor:
    """The largest central square: (3, side, side) uint8. Of an odd margin the right and the bottom lose more."""
    cut = min(picture.size)
    left, top = (picture.width - cut) // 2, (picture.height - cut) // 2
    # Not resize's own box: its filter would look past the border of it.
    cropped = picture.crop((left, top, left + cut, top + cut))
    return to_tensor(cropped.resize((side, side), Image.Resampling.LANCZOS))


def read_celeba(folder: str | Path) -> CelebA:
    """Look through a folder of CelebA. Tables are read and checked whole; images are only listed.

    Where there is no partition file, a hash of each file name decides: 80 % train, 10 % validation, 10 % test, the same
    on every machine, and a face stays where it is when others are added.

    Raises:
        ImpastoError: no such folder, no images, a zip cut short, a table with other columns, a label that is not -1 or
            1, a row twice, a row without its image, an image without its row, or a count that is not that of the rows.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImpastoError(f"{folder}: no such folder; give one with img_align_celeba in it")
    pictures = find_pictures(folder)
    table = _find(folder, "Anno", "list_attr_celeba")
    alone = tuple(sorted(pictures.names)), (), None
    names, attributes, labels = alone if table is None else _read_attributes(table, pictures)
    partition = _find(folder, "Eval", "list_eval_partition")
    split = tuple(map(_split_by_hash, names)) if partition is None else _read_partition(partition, names)
    return CelebA(folder, names, attributes, labels, split, pictures)


def _find(folder: Path, inner: str, stem: str) -> Path | None:
    candidates = (place / f"{stem}{ending}" for place in (folder, folder / inner) for ending in (".csv", ".txt"))
    return next((path for path in candidates if path.is_file()), None)


def _split_by_hash(name: str) -> str:
    tenth = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") * 10 >> 64
    return SPLITS[max(0, tenth - 7)]


class _Table:
    """Rows of a table, in turn; whatever is wrong with one is told with its number."""

    def __init__(self, path: Path) -> None:
        self.path, self.csv, self.number = path, path.suffix == ".csv", 1
        self._rows = self._read()

    def _read(self) -> Iterator[list[str]]:
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                rows = csv.reader(file) if self.csv else (line.split() for line in file)
                for number, cells in enumerate(rows, 1):
                    self.number = getattr(rows, "line_num", number)  # A cell of a .csv may have line breaks in it.
                    if cells:
                        yield [cell.strip() for cell in cells]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ImpastoError(f"{self.path}: is no text in UTF-8 ({error}); get it again") from error

    def __iter__(self) -> Iterator[list[str]]:
        return self._rows

    def head(self) -> list[str]:
        """The next row, or an empty one."""
        return next(self._rows, [])

    def require(self, fine: bool, wrong: str) -> None:
        """Raise, unless the row at hand is ``fine``."""
        if not fine:
            raise ImpastoError(f"{self.path}, line {self.number}: {wrong}")


def _read_attributes(
    path: Path, pictures: FolderOfPictures | ZipOfPictures
) -> tuple[tuple[str, ...], tuple[str, ...], Tensor]:
    table = _Table(path)
    count, header = _read_header(table)
    lines: dict[str, int] = {}
    labels: list[list[bool]] = []
    for name, *values in table:
        found, wanted = len(values), len(header)
        table.require(found == wanted, f"{name} has {found} labels instead of {wanted}")
        for column, value in zip(header, values, strict=True):
            table.require(value in ("1", "-1"), f"{column} of {name} is {value!r}; labels are -1 or 1")
        table.require(name not in lines, f"{name} stands in line {lines.get(name)} already; remove one")
        table.require(name in pictures.names, f"{name} is not in {pictures.path}; get it, or remove the row")
        lines[name] = table.number
        labels.append([value == "1" for value in values])
    if count not in (None, len(lines)):
        raise ImpastoError(f"{path}, line 1: {count} rows are announced and {len(lines)} are there; get it again")
    if not lines:
        raise ImpastoError(f"{path}: has no rows; get it again")
    if len(lines) < len(pictures.names):
        stray = min(pictures.names - lines.keys())
        raise ImpastoError(f"{path}: has no row for {stray} in {pictures.path}; get the table again")
    return tuple(lines), tuple(header), torch.tensor(labels, dtype=torch.bool)


def _read_header(table: _Table) -> tuple[int | None, list[str]]:
    """How many rows a table of attributes announces, if it does, and its columns."""
    head, count = table.head(), None
    if table.csv:
        table.require(head[:1] == ["image_id"], f"the first column is {(head or [''])[0]!r}, not 'image_id'")
        header = head[1:]
    else:
        table.require(len(head) == 1 and head[0].isdecimal(), "no count of rows; the original file begins with one")
        count, header = int(head[0]), table.head()
    for index, column in enumerate(header):
        table.require(column not in header[:index], f"the column {column} is there twice")
        table.require(column in ATTRIBUTES, f"{column!r} is no attribute of CelebA")
    missing = next((column for column in ATTRIBUTES if column not in header), None)
    table.require(missing is None, f"the column {missing} is missing")
    return count, header


def _read_partition(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Rows for images that are not here are passed over: the file of the whole data set fits every part of it."""
    table, parts = _Table(path), dict[str, str]()
    if table.csv:
        head = table.head()
        table.require(head == ["image_id", "partition"], f"the columns are {','.join(head)}, not image_id,partition")
    for cells in table:
        fine = len(cells) == 2 and cells[1] in ("0", "1", "2")
        table.require(fine, f"{' '.join(cells)!r} is not a file name and 0, 1 or 2")
        table.require(cells[0] not in parts, f"{cells[0]} is there twice; remove one")
        parts[cells[0]] = SPLITS[int(cells[1])]
    missing = next((name for name in names if name not in parts), None)
    if missing is not None:
        raise ImpastoError(
            f"{path}: has no row for {missing}; get it again, or remove it to split by a hash of the names"
        )
    return tuple(parts[name] for name in names)
