"""Labelled sheets: pictures in rows and columns, and text that is measured before it is drawn.

Everything is a block, which is an RGB image on white: text, captioned pictures and grids are put beside and above one
another until a page is full. Every block is made as large as what it holds, so that nothing is ever clipped.

Pillow's own font has no Greek letters and no typographer's signs: labels are plain ASCII.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

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
    """A block of text, one line for each of its own, broken further where ``width`` pixels are not enough.

    A single word wider than that stays whole, and the block is as wide as the word. Nothing is cut off.
    """
    font = _font(size)
    lines = [part for line in words.split("\n") for part in _broken(line, font, width)]
    height = _line_height(size)
    boxes = [font.getbbox(line) for line in lines]
    # Some letters begin a pixel before where they are put.
    left = max(0, *(-math.floor(box[0]) for box in boxes))
    room = max(1, *(math.ceil(box[2]) for box in boxes))
    block = Image.new("RGB", (left + room, height * len(lines)), PAPER)
    draw = ImageDraw.Draw(block)
    for index, line in enumerate(lines):
        draw.text((left, index * height), line, color, font)
    return block


def _line_height(size: int) -> int:
    return round(size * 1.35)


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
    """The picture with its longer side ``longest`` pixels long, as RGB.

    Enlarged, its pixels stay squares: they are what there is to see in a small map.
    """
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


def page(blocks: Sequence[Image.Image], gap: int = 2 * GAP) -> Image.Image:
    """Blocks above one another, flush left, with the same margin on all four sides."""
    inside = stack(blocks, gap)
    whole = Image.new("RGB", (inside.width + 4 * GAP, inside.height + 4 * GAP), PAPER)
    whole.paste(inside, (2 * GAP, 2 * GAP))
    return whole


def grid(
    rows: Sequence[Sequence[Cell]], *, columns: Sequence[str] = (), heads: Sequence[str] = (), label: int = _LABEL
) -> Image.Image:
    """Cells in rows and columns, every picture centered in its column with its label under it.

    Args:
        rows: the cells; a row may be shorter than others.
        columns: what stands above the columns.
        heads: what stands before the rows, as high as the middle of their pictures.
        label: size of the labels' letters, in pixels.
    """
    labels = [[text_centered(cell.label, label) if cell.label else None for cell in row] for row in rows]
    above = [text_centered(column, label + 2) for column in columns]
    before = [text(head, label + 2) for head in heads]
    count = max([len(above), *(len(row) for row in rows)])
    widths = [
        max(
            [block.width for block in above[index : index + 1]]
            + [row[index].picture.width for row in rows if index < len(row)]
            + [block.width for line in labels for block in line[index : index + 1] if block is not None]
        )
        for index in range(count)
    ]
    tall = [max(cell.picture.height for cell in row) for row in rows]
    # A head with many lines may be taller than its pictures.
    tall = [max([height, *(b.height for b in before[i : i + 1])]) for i, height in enumerate(tall)]
    under = [max([0, *(block.height + 4 for block in line if block is not None)]) for line in labels]
    side = max((block.width for block in before), default=0) + (GAP if before else 0)
    crown = max((block.height for block in above), default=0) + (GAP // 2 if above else 0)
    width = side + sum(widths) + GAP * (count - 1)
    whole = Image.new("RGB", (width, crown + sum(tall) + sum(under) + GAP * (len(rows) - 1)), PAPER)
    lefts = [side + sum(widths[:index]) + GAP * index for index in range(count)]
    for block, left, room in zip(above, lefts, widths, strict=False):
        whole.paste(block, (left + (room - block.width) // 2, 0))
    top = crown
    for index, row in enumerate(rows):
        if before:
            whole.paste(before[index], (0, top + (tall[index] - before[index].height) // 2))
        for cell, caption, left, room in zip(row, labels[index], lefts, widths, strict=False):
            picture = cell.picture
            whole.paste(picture, (left + (room - picture.width) // 2, top + (tall[index] - picture.height) // 2))
            if caption is not None:
                whole.paste(caption, (left + (room - caption.width) // 2, top + tall[index] + 4))
        top += tall[index] + under[index] + GAP
    return whole


def text_centered(words: str, size: int = _LABEL) -> Image.Image:
    """A block of text whose lines are centered on one another."""
    return stack([text(line, size) for line in words.split("\n")], gap=0, centered=True)


@cache
def heat_colors() -> NDArray[np.uint8]:
    """256 colors (256, 3), from black over violet, red and orange to a pale yellow, perceptually uniform.

    A path through CIELAB on which lightness only rises, walked in steps of equal length: equal differences of the
    values are equal differences to the eye, and a print in gray still shows the order.
    """
    # Takes a third of a second to import, and the grid of a sweep has no use for it.
    import torch
    from kornia.color import lab_to_rgb

    along = np.linspace(0, 1, 4001)
    chroma, hue = 60 * np.sin(0.9 * np.pi * along), np.deg2rad(290 + 170 * along)
    path = np.stack([4 + 93 * along, chroma * np.cos(hue), chroma * np.sin(hue)])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path), axis=0))])
    even = np.stack([np.interp(np.linspace(0, length[-1], 256), length, row) for row in path])
    colors = lab_to_rgb(torch.from_numpy(even)[None, :, :, None], clip=True)[0, :, :, 0]
    return np.rint(colors.T.numpy() * 255).astype(np.uint8)


def heat(values: NDArray[np.floating]) -> Image.Image:
    """Values (H, W) as colors: 0 is black, 1 a pale yellow; what lies outside is taken for the nearer of the two."""
    return Image.fromarray(heat_colors()[np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)])
