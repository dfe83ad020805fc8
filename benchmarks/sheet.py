"""Pictures side by side, with a line of text under each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 8
HEAVIEST = 300_000  # bytes of a WebP file: the best quality that stays below


def contact_sheet(rows: Sequence[Sequence[tuple[Path | None, str]]], output: Path, *, cell: int = 256) -> None:
    """Write rows of (picture, label), every picture fitted into ``cell`` by ``cell`` pixels; None leaves a gap."""
    font = ImageFont.load_default(size=max(10, cell // 16))
    line = round(font.size * 1.3)
    strips = [[(thumbnail(path, cell), label) for path, label in row] for row in rows]
    heights = [
        max(picture.height for picture, _ in strip) + line * max(label.count("\n") + 1 for _, label in strip) + GAP
        for strip in strips
    ]
    sheet = Image.new("RGB", (max(map(len, rows)) * (cell + GAP) + GAP, sum(heights) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for strip, height in zip(strips, heights, strict=True):
        base = top + max(picture.height for picture, _ in strip)
        for column, (picture, label) in enumerate(strip):
            middle = GAP + column * (cell + GAP) + cell // 2
            sheet.paste(picture, (middle - picture.width // 2, base - picture.height))
            draw.multiline_text((middle, base + 2), label, "black", font, anchor="ma", align="center")
        top += height
    output.parent.mkdir(parents=True, exist_ok=True)
    for quality in (90, 80, 70, 60, 50, 40) if output.suffix == ".webp" else (80,):
        sheet.save(output, quality=quality, method=6)
        if output.stat().st_size <= HEAVIEST:
            break


def thumbnail(path: Path | None, cell: int) -> Image.Image:
    if path is None:
        return Image.new("RGB", (1, 1), "white")
    with Image.open(path) as image:
        return ImageOps.contain(ImageOps.exif_transpose(image).convert("RGB"), (cell, cell))
