"""Make the pictures of README.md and docs/ with the package itself.

    python docs/make_pictures.py                      makes what is missing
    python docs/make_pictures.py --only hero --force  makes one again

Photographs and paintings come from the gallery of impasto. Thirty runs: one at 640 px, the others at 320 px;
and eight in one pass.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

import impasto
from impasto import gallery

FOLDER = Path(__file__).resolve().parent
#: Longest sides in pixels of the large picture, and of those in rows.
LARGE, SMALL = 640, 320
#: Steps of each run; None for the package's default.
STEPS: int | None = None
GAP = 8
HEAVIEST = 300_000  # bytes a picture
#: What each picture is made of, by the names of the gallery.
HERO = ("coffee", "starry_night")
ROWS = ("coffee", "composition_vii")
MANY, PORTRAIT = "coffee", "astronaut"
LEARNED, LEARNED_SIZE = ("starry_night", "the_scream", "wave", "mondrian"), 448
LAMBDAS = ("1e-5", "1e-4", "1e-3", "1e-2")


class Painter:
    """Paints, and remembers what it painted: two rows show the same picture."""

    def __init__(self, extractor: str) -> None:
        self.extractor = extractor
        self.done: dict[tuple[Any, ...], Image.Image] = {}

    def __call__(self, photo: str, style: str, size: int, **settings: Any) -> Image.Image:
        """A photograph of the gallery in the style of one of its paintings."""
        settings = {"content_weight": 1e-3, "preserve_color": "none", **settings}
        key = (photo, style, size, *settings.values())
        if key not in self.done:
            say(f"{photo} in the style of {style}, {size} px, {settings}")
            result = impasto.stylize(
                f"{gallery.PREFIX}{photo}",
                f"{gallery.PREFIX}{style}",
                size=size,
                steps=STEPS,
                extractor=self.extractor,
                **settings,
            )
            say(f"  {result.seconds:.0f} s")
            self.done[key] = result.image.convert("RGB")
        return self.done[key]


def main() -> None:
    """Read the options and make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--extractor", default="compact", help="compact, vgg19, or a file of weights")
    parser.add_argument("--only", choices=sorted(PICTURES), help="make this one alone")
    parser.add_argument("--force", action="store_true", help="make again what is there already")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the pictures go")
    arguments = parser.parse_args()
    painter = Painter(arguments.extractor)
    for name, make in PICTURES.items():
        path = arguments.out / f"{name}.webp"
        if arguments.only not in (None, name):
            continue
        if path.exists() and not arguments.force:
            say(f"{path} is there already; --force makes it again")
            continue
        data = as_webp(make(painter))
        path.write_bytes(data)
        say(f"{path}: {len(data) / 1000:.0f} KB")


def hero(painter: Painter) -> Image.Image:
    """The painting large, and what it was made of beside it."""
    photo, style = HERO
    large = painter(photo, style, LARGE)
    beside = (large.height - GAP) // 2
    column = [ImageOps.contain(picture(name), (large.width, beside)) for name in (photo, style)]
    sheet = Image.new("RGB", (large.width + GAP + max(cell.width for cell in column), large.height), "white")
    sheet.paste(large, (0, 0))
    for top, cell in zip((0, large.height - beside), column, strict=True):
        sheet.paste(cell, (large.width + GAP, top))
    return sheet


def lambdas(painter: Painter) -> Image.Image:
    """One photograph and one painting at four content weights."""
    photo, style = ROWS
    return grid(
        [
            (painter(photo, style, SMALL, content_weight=float(weight)), f"--content-weight {weight}")
            for weight in LAMBDAS
        ],
        columns=4,
    )


def styles(painter: Painter) -> Image.Image:
    """A still life in the style of each painting of the gallery."""
    return in_every_style(painter, MANY, inset=2 / 5)


def portraits(painter: Painter) -> Image.Image:
    """A portrait in the style of each painting of the gallery."""
    return in_every_style(painter, PORTRAIT, inset=1 / 4)


def in_every_style(painter: Painter, photo: str, inset: float) -> Image.Image:
    """A photograph in every style, with the painting in the corner, so much as high."""
    cells = []
    for style in gallery.names("painting"):
        cell = painter(photo, style, SMALL).copy()
        side = round(cell.height * inset)
        framed = ImageOps.expand(ImageOps.fit(picture(style), (side, side)), 2, "white")
        cell.paste(framed, (cell.width - framed.width, cell.height - framed.height))
        cells.append((cell, style))
    return grid(cells, columns=4)


def color(painter: Painter) -> Image.Image:
    """The photograph, and its three treatments of color."""
    photo, style = ROWS
    plain = painter(photo, style, SMALL, content_weight=1e-3)
    cells = [(picture(photo).resize(plain.size, Image.Resampling.LANCZOS), "the photograph")]
    cells.append((plain, "--preserve-color none"))
    for mode in ("luminance", "histogram"):
        cells.append((painter(photo, style, SMALL, preserve_color=mode), f"--preserve-color {mode}"))
    return grid(cells, columns=4)


def learned(painter: Painter) -> Image.Image:
    """A photograph in one pass of the network for all paintings, and of what it has learned of each."""
    cells = []
    for title, settings in (("base", {"model": "base"}), ("learned", {})):
        for style in LEARNED:
            sources = (f"{gallery.PREFIX}{name}" for name in (MANY, style))
            painted = impasto.stylize(*sources, method="instant", size=LEARNED_SIZE, **settings)
            cells.append((painted.image.convert("RGB"), f"{style}, {title}"))
    return grid(cells, columns=len(LEARNED))


PICTURES: dict[str, Callable[[Painter], Image.Image]] = {
    "hero": hero,
    "lambda": lambdas,
    "styles": styles,
    "portraits": portraits,
    "color": color,
    "learned": learned,
}


def picture(name: str) -> Image.Image:
    """One of the gallery's pictures."""
    with Image.open(gallery.path(name)) as image:
        return image.convert("RGB")


def grid(cells: Sequence[tuple[Image.Image, str]], columns: int) -> Image.Image:
    """Pictures of one size in rows, with a label under each."""
    width, height = cells[0][0].size
    font = ImageFont.load_default(size=max(10, width // 16))
    line = round(font.getbbox("Áq")[3] * 1.5)
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + line + GAP) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (picture, label) in enumerate(cells):
        left, top = index % columns * (width + GAP), index // columns * (height + line + GAP)
        sheet.paste(picture, (left, top))
        draw.text((left + width // 2, top + height + line // 2), label, "black", font, anchor="mm")
    return sheet


def as_webp(picture: Image.Image) -> bytes:
    """The best quality that stays under the limit."""
    for quality in (92, 86, 80, 72, 64, 55, 45):
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=quality, method=6)
        if file.tell() <= HEAVIEST:
            break
    return file.getvalue()


def say(text: str) -> None:
    """A line on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
