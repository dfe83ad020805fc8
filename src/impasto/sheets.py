"""Labeled sheets: pictures in rows and columns, with text.

Everything is a block, an RGB image on white as large as what it holds: text, captioned pictures and grids are put
beside and above one another, and nothing is ever clipped. Pillow's own font has no Greek letters: labels are ASCII.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT = (255, 255, 255), (28, 28, 30), (104, 104, 112)
#: Between two pictures, in pixels; the margin of a page is twice as wide.
GAP = 12
_LABEL = 14


@dataclass(frozen=True)
class Cell:
    """A picture and the lines under it."""

    picture: Image.Image
    label: str = ""


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text(words: str, size: int = _LABEL, *, color: tuple[int, int, int] = INK, width: int | None = None) -> Image.Image:
    """A block of text; its lines are broken where they are wider than ``width`` pixels, but no word is."""
    font, height = _font(size), round(size * 1.35)
    lines = [part for line in words.split("\n") for part in _broken(line, font, width)]
    boxes = [font.getbbox(line) for line in lines]
    # Some letters begin a pixel before where they are put.
    left = max(0, *(-math.floor(box[0]) for box in boxes))
    room = max(1, *(math.ceil(box[2]) for box in boxes))
    block = Image.new("RGB", (left + room, height * len(lines)), PAPER)
    draw = ImageDraw.Draw(block)
    for index, line in enumerate(lines):
        draw.text((left, index * height), line, color, font)
    return block


def _broken(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int | None) -> list[str]:
    lines = [""]
    for word in line.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width is None or not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def fitted(picture: Image.Image, longest: int) -> Image.Image:
    """The picture as RGB with a longer side of ``longest`` pixels. Enlarged pixels stay squares."""
    scale = longest / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def empty(size: tuple[int, int]) -> Image.Image:
    """A pale field with a thin frame, where a picture is missing."""
    field = Image.new("RGB", size, (244, 244, 246))
    ImageDraw.Draw(field).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(205, 205, 210))
    return field


def stack(blocks: Sequence[Image.Image], gap: int = GAP, *, centered: bool = False) -> Image.Image:
    """Blocks above one another, flush left or centered."""
    width = max(block.width for block in blocks)
    whole = Image.new("RGB", (width, sum(block.height for block in blocks) + gap * (len(blocks) - 1)), PAPER)
    top = 0
    for block in blocks:
        whole.paste(block, ((width - block.width) // 2 if centered else 0, top))
        top += block.height + gap
    return whole


def beside(blocks: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """Blocks next to one another, flush at the top."""
    height = max(block.height for block in blocks)
    whole = Image.new("RGB", (sum(block.width for block in blocks) + gap * (len(blocks) - 1), height), PAPER)
    left = 0
    for block in blocks:
        whole.paste(block, (left, 0))
        left += block.width + gap
    return whole


def page(blocks: Sequence[Image.Image]) -> Image.Image:
    """Blocks above one another, flush left, with the same margin on all four sides."""
    inside = stack(blocks, 2 * GAP)
    return _boxed(inside, inside.width + 4 * GAP, inside.height + 4 * GAP)


def grid(rows: Sequence[Sequence[Cell]], *, columns: Sequence[str] = (), heads: Sequence[str] = ()) -> Image.Image:
    """Cells in rows and columns, every picture centered in its column with its label under it.

    Args:
        rows: the cells; a row may be shorter than others.
        columns: what stands above the columns.
        heads: what stands before the rows, as high as the middle of their pictures.
    """
    above = [_centered(column, _LABEL + 2) for column in columns]
    before = [text(head, _LABEL + 2) for head in heads]
    side = max((head.width for head in before), default=0)
    lines, talls = [], []
    for index, row in enumerate(rows):
        # A head with many lines may be taller than its pictures.
        tall = max(block.height for block in (*before[index : index + 1], *(cell.picture for cell in row)))
        blocks = [[_boxed(cell.picture, cell.picture.width, tall), *_caption(cell)] for cell in row]
        lines.append([stack(block, 4, centered=True) for block in blocks])
        talls.append(tall)
    widths = [max(block.width for block in column if block) for column in zip_longest(above, *lines)]
    table = []
    for index, line in enumerate(lines):
        head = [_boxed(block, side, talls[index], flush=True) for block in before[index : index + 1]]
        table.append(beside(head + _in_columns(line, widths)))
    if not above:
        return stack(table)
    corner = [Image.new("RGB", (side, 1), PAPER)] if before else []
    return stack([beside(corner + _in_columns(above, widths)), stack(table)], GAP // 2)


def _in_columns(line: Sequence[Image.Image], widths: Sequence[int]) -> list[Image.Image]:
    return [_boxed(block, width, block.height) for block, width in zip(line, widths, strict=False)]


def _boxed(block: Image.Image, width: int, height: int, *, flush: bool = False) -> Image.Image:
    """A block in the middle of a white field, or at its left."""
    whole = Image.new("RGB", (width, height), PAPER)
    whole.paste(block, (0 if flush else (width - block.width) // 2, (height - block.height) // 2))
    return whole


def _caption(cell: Cell) -> list[Image.Image]:
    return [_centered(cell.label, _LABEL)] if cell.label else []


def _centered(words: str, size: int) -> Image.Image:
    """A block of text whose lines are centered on one another."""
    return stack([text(line, size) for line in words.split("\n")], gap=0, centered=True)


@cache
def heat_colors() -> NDArray[np.uint8]:
    """256 colors (256, 3), from black over violet, red and orange to a pale yellow, perceptually uniform.

    A path through CIELAB in steps of equal length on which lightness only rises: equal differences of the values are
    equal differences to the eye, and a print in gray still shows the order.
    """
    import torch  # With kornia a third of a second, and the grid of a sweep does not need it.
    from kornia.color import lab_to_rgb

    along = np.linspace(0, 1, 4001)
    chroma, hue = 60 * np.sin(0.9 * np.pi * along), np.deg2rad(290 + 170 * along)
    path = np.stack([4 + 93 * along, chroma * np.cos(hue), chroma * np.sin(hue)])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path), axis=0))])
    even = np.stack([np.interp(np.linspace(0, length[-1], 256), length, row) for row in path])
    colors = lab_to_rgb(torch.from_numpy(even)[None, :, :, None], clip=True)[0, :, :, 0]
    return np.rint(colors.T.numpy() * 255).astype(np.uint8)


def heat(values: NDArray[np.floating]) -> Image.Image:
    """Values (H, W) as colors: 0 and less is black, 1 and more a pale yellow."""
    return Image.fromarray(heat_colors()[np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)])
