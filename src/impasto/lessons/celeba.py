"""CelebA as it is downloaded: aligned faces in a folder or a zip, 40 attributes, a partition.

:mod:`impasto.lessons.pictures` finds the images. The tables, both optional, lie in the folder, or in ``Anno`` and
``Eval`` as in the original release: ``list_attr_celeba.csv`` (Kaggle: ``image_id`` and 40 columns of -1 and 1) or
``.txt`` (the original: a count, a header, rows), and ``list_eval_partition.csv`` or ``.txt``.

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
from impasto.lessons.pictures import Pictures, find_pictures

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
    """The faces of one folder."""

    folder: Path
    names: tuple[str, ...]  # of the image files, in the order of the attribute file, or sorted where there is none
    attributes: tuple[str, ...]  # names of the labels' columns; empty without an attribute file
    labels: Tensor | None  # (N, 40) bool; None without an attribute file
    split: tuple[str, ...]  # train, validation or test for every name
    _pictures: Pictures = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, split: str | None = None) -> list[int]:
        """The indices that belong to ``split`` (None: all), ascending. Raises ImpastoError for an unknown split."""
        if split is None:
            return list(range(len(self.names)))
        if split not in SPLITS:
            raise ImpastoError(f"split: {split!r} is none; take one of {', '.join(SPLITS)}")
        return [index for index, part in enumerate(self.split) if part == split]

    def image(self, index: int) -> Tensor:
        """One face as it is, (3, H, W) uint8, sRGB; safe from several threads and processes. Raises as :meth:`load`."""
        return to_tensor(self._decode(self.names[index]))

    def load(self, side: int, split: str | None = None) -> Tensor:
        """All faces of ``split`` (None: of all) in one tensor: (N, 3, side, side) uint8, in the order of :meth:`rows`.

        The largest central square is cut out and brought to ``side`` by Lanczos' filter, in as many threads as torch
        computes with.

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
            list(pool.map(fill, range(len(rows))))  # raises the first error, and cancels what is left
        return faces

    def _decode(self, name: str) -> Image.Image:
        return read_rgb(io.BytesIO(self._pictures.read(name)), self._pictures.where(name))


def square_of(picture: Image.Image, side: int) -> Tensor:
    """The largest central square: (3, side, side) uint8. An odd margin is cut more at the right and the bottom."""
    cut = min(picture.size)
    left, top = (picture.width - cut) // 2, (picture.height - cut) // 2
    # Not resize's own box: its filter would read pixels outside of it.
    cropped = picture.crop((left, top, left + cut, top + cut))
    return to_tensor(cropped.resize((side, side), Image.Resampling.LANCZOS))


def read_celeba(folder: str | Path) -> CelebA:
    """Read and check the tables of a folder of CelebA, and list its images.

    Without a partition file a hash of each file name decides: 80 % train, 10 % validation, 10 % test, the same on every
    machine, whatever other faces there are.

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
    return next(filter(Path.is_file, candidates), None)


def _split_by_hash(name: str) -> str:
    tenth = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") * 10 >> 64
    return SPLITS[max(0, tenth - 7)]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not empty, with their line numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file) if path.suffix == ".csv" else map(str.split, file)
            for number, cells in enumerate(rows, 1):
                if cells:
                    # A cell of a .csv may have line breaks in it.
                    yield getattr(rows, "line_num", number), [cell.strip() for cell in cells]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ImpastoError(f"{path}: is no text in UTF-8 ({error}); get it again") from error


def _require(fine: bool, at: tuple[Path, int], wrong: str) -> None:
    if not fine:
        raise ImpastoError(f"{at[0]}, line {at[1]}: {wrong}")


def _read_attributes(path: Path, pictures: Pictures) -> tuple[tuple[str, ...], tuple[str, ...], Tensor]:
    rows = _rows(path)
    count, header = _read_header(path, rows)
    lines: dict[str, int] = {}
    labels: list[list[bool]] = []
    for number, (name, *values) in rows:
        at, found, wanted = (path, number), len(values), len(header)
        _require(found == wanted, at, f"{name} has {found} labels instead of {wanted}")
        for column, value in zip(header, values, strict=True):
            _require(value in ("1", "-1"), at, f"{column} of {name} is {value!r}; labels are -1 or 1")
        _require(name not in lines, at, f"{name} stands in line {lines.get(name)} already; remove one")
        _require(name in pictures.names, at, f"{name} is not in {pictures.path}; get it, or remove the row")
        lines[name] = number
        labels.append([value == "1" for value in values])
    if count not in (None, len(lines)):
        raise ImpastoError(f"{path}, line 1: {count} rows are announced and {len(lines)} are there; get it again")
    if not lines:
        raise ImpastoError(f"{path}: has no rows; get it again")
    if len(lines) < len(pictures.names):
        stray = min(pictures.names - lines.keys())
        raise ImpastoError(f"{path}: has no row for {stray} in {pictures.path}; get the table again")
    return tuple(lines), tuple(header), torch.tensor(labels, dtype=torch.bool)


def _read_header(path: Path, rows: Iterator[tuple[int, list[str]]]) -> tuple[int | None, list[str]]:
    """How many rows a table of attributes announces (None: it does not), and its columns."""
    number, head = next(rows, (1, []))
    count = None
    if path.suffix == ".csv":
        _require(head[:1] == ["image_id"], (path, number), f"the first column is {''.join(head[:1])!r}, not 'image_id'")
        header = head[1:]
    else:
        announced = len(head) == 1 and head[0].isdecimal()
        _require(announced, (path, number), "no count of rows; the original file begins with one")
        count = int(head[0])
        number, header = next(rows, (number, []))
    for index, column in enumerate(header):
        _require(column not in header[:index], (path, number), f"the column {column} is there twice")
        _require(column in ATTRIBUTES, (path, number), f"{column!r} is no attribute of CelebA")
    missing = next((column for column in ATTRIBUTES if column not in header), None)
    _require(missing is None, (path, number), f"the column {missing} is missing")
    return count, header


def _read_partition(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """The split of every name. Rows of other images are skipped: the whole data set's file fits every part of it."""
    rows, parts = _rows(path), dict[str, str]()
    if path.suffix == ".csv":
        number, head = next(rows, (1, []))
        wrong = f"the columns are {','.join(head)}, not image_id,partition"
        _require(head == ["image_id", "partition"], (path, number), wrong)
    for number, cells in rows:
        fine = len(cells) == 2 and cells[1] in ("0", "1", "2")
        _require(fine, (path, number), f"{' '.join(cells)!r} is not a file name and 0, 1 or 2")
        _require(cells[0] not in parts, (path, number), f"{cells[0]} is there twice; remove one")
        parts[cells[0]] = SPLITS[int(cells[1])]
    missing = next((name for name in names if name not in parts), None)
    if missing is not None:
        raise ImpastoError(f"{path}: has no row for {missing}; get it again, or remove it to split by a hash of names")
    return tuple(parts[name] for name in names)
