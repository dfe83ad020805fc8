"""Drawn faces in CelebA's format, for tests and demonstrations without the data set.

The attributes that are drawn are labeled as they were drawn. All other columns (Attractive, Young, Male, ...) are -1
for every face; averages over attributes leave constant columns out.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from impasto.errors import ImpastoError
from impasto.files.atomic import write_atomically
from impasto.lessons.celeba import ATTRIBUTES

Color = tuple[int, int, int]

#: The attributes that are drawn, each with its share of the faces. A hat or a bald head leaves no bangs.
# fmt: off
DRAWN = {
    "Smiling": 0.5, "Mouth_Slightly_Open": 0.4, "Wearing_Lipstick": 0.4,
    "Bangs": 0.25, "Black_Hair": 0.28, "Blond_Hair": 0.24, "Brown_Hair": 0.24, "Gray_Hair": 0.12,
    "Eyeglasses": 0.25, "Rosy_Cheeks": 0.2, "Wearing_Necktie": 0.2, "Mustache": 0.15,
    "Wearing_Hat": 0.12, "Bald": 0.06, "No_Beard": 0.8,
}
# fmt: on

_HAIR = {
    "Black_Hair": (28, 24, 26),
    "Brown_Hair": (104, 66, 40),
    "Blond_Hair": (222, 190, 112),
    "Gray_Hair": (168, 168, 170),
    "": (176, 72, 36),  # red: CelebA has no column for it
}
_SKINS = ((246, 214, 188), (226, 182, 148), (196, 146, 110), (146, 100, 72), (104, 70, 50))
_FINER = 3  # drawn this much larger and reduced: soft edges


class _Pen:
    """Draws in units of the face's width, from its middle, y downwards."""

    def __init__(self, canvas: Image.Image, unit: float, middle: tuple[float, float]) -> None:
        self._draw, self._unit, self._middle = ImageDraw.Draw(canvas), unit, middle

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return self._middle[0] + x * self._unit, self._middle[1] + y * self._unit

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        self._draw.ellipse([*self._at(x - rx, y - ry), *self._at(x + rx, y + ry)], fill)

    def polygon(self, *points: tuple[float, float], fill: Color) -> None:
        self._draw.polygon([self._at(*point) for point in points], fill)

    def line(self, *points: tuple[float, float], fill: Color, width: float = 0.02) -> None:
        self._draw.line([self._at(*point) for point in points], fill, max(1, round(width * self._unit)), "curve")


def draw_face(generator: np.random.Generator, side: int, has: set[str] | None = None) -> tuple[Image.Image, set[str]]:
    """One face, ``side`` pixels wide and, as CelebA's, 218/178 times as high; and the attributes it has.

    The attributes are ``has``, or random. All of them can be seen in the central square. Position, size, colors,
    background, light and noise vary, so that no single pixel tells one.
    """
    has = _choose(generator) if has is None else has
    height = round(side * 218 / 178)
    canvas = Image.new("RGB", (side * _FINER, height * _FINER), _color(generator.integers(40, 230, 3)))
    unit = side * _FINER * generator.uniform(0.8, 0.98)
    x = canvas.width * (0.5 + generator.uniform(-0.06, 0.06))
    pen = _Pen(canvas, unit, (x, canvas.height * (0.48 + generator.uniform(-0.04, 0.04))))

    def jitter(color: Color, by: int = 16) -> Color:
        return _color(np.clip(np.array(color) + generator.integers(-by, by + 1, 3), 0, 255))

    # All random numbers are drawn, needed or not: with and without glasses it is the same face.
    skin = jitter(_SKINS[generator.integers(len(_SKINS))], 10)
    hair = jitter(_HAIR[next((name for name in _HAIR if name in has), "")])
    long = generator.random() < 0.5
    shirt, tie, hat = jitter((120, 120, 130), 90), jitter((170, 40, 50), 40), jitter((110, 90, 120), 90)
    pupils, frame, lipstick = jitter((60, 54, 50), 20), jitter((40, 40, 48), 30), jitter((190, 30, 60))
    if "Bald" not in has:
        pen.ellipse(0, -0.08, 0.36, 0.4, hair)
        if long:
            pen.polygon((-0.36, -0.1), (0.36, -0.1), (0.38, 0.42), (-0.38, 0.42), fill=hair)
    _draw_body(pen, has, skin, shirt, tie)
    _draw_features(pen, has, skin, hair, pupils)
    _draw_mouth(pen, has, lipstick if "Wearing_Lipstick" in has else _shaded(skin, 0.68))
    _draw_worn(pen, has, frame, hat)
    return _photographed(canvas.resize((side, height), Image.Resampling.BOX), generator), has


def _draw_body(pen: _Pen, has: set[str], skin: Color, shirt: Color, tie: Color) -> None:
    pen.polygon((-0.5, 0.8), (-0.34, 0.47), (0.34, 0.47), (0.5, 0.8), fill=shirt)
    pen.polygon((-0.12, 0.3), (0.12, 0.3), (0.12, 0.56), (-0.12, 0.56), fill=_shaded(skin, 0.85))
    if "Wearing_Necktie" in has:
        pen.polygon((-0.09, 0.43), (0.09, 0.43), (0.06, 0.5), (0.11, 0.8), (-0.11, 0.8), (-0.06, 0.5), fill=tie)


def _draw_features(pen: _Pen, has: set[str], skin: Color, hair: Color, pupils: Color) -> None:
    pen.ellipse(0, 0.03, 0.29, 0.38, skin)
    if "Bangs" in has:
        pen.polygon((-0.27, -0.12), (-0.24, -0.3), (0, -0.38), (0.24, -0.3), (0.27, -0.12), fill=hair)
    if "Rosy_Cheeks" in has:
        for x in (-0.17, 0.17):
            pen.ellipse(x, 0.13, 0.07, 0.055, _shaded(skin, 1.0, (40, -34, -24)))
    for x in (-0.12, 0.12):
        pen.ellipse(x, -0.03, 0.05, 0.03, (240, 238, 234))
        pen.ellipse(x, -0.03, 0.024, 0.028, pupils)
        pen.line((x - 0.06, -0.09), (x, -0.11), (x + 0.06, -0.09), fill=_shaded(hair, 0.7))
    pen.line((0, 0), (0.03, 0.12), (-0.01, 0.13), fill=_shaded(skin, 0.75), width=0.016)
    if "No_Beard" not in has:
        pen.polygon((-0.2, 0.26), (0.2, 0.26), (0.12, 0.42), (-0.12, 0.42), fill=_shaded(hair, 0.9))
    if "Mustache" in has:
        pen.polygon((-0.14, 0.2), (0, 0.13), (0.14, 0.2), (0, 0.19), fill=_shaded(hair, 0.9))


def _draw_mouth(pen: _Pen, has: set[str], lips: Color) -> None:
    bend = 0.1 if "Smiling" in has else -0.03
    curve = [(x, 0.26 + bend * (0.5 - (x / 0.14) ** 2)) for x in np.linspace(-0.14, 0.14, 9)]
    if "Mouth_Slightly_Open" in has:
        pen.ellipse(0, curve[4][1], 0.075, 0.032, (70, 16, 20))
    pen.line(*curve, fill=lips, width=0.034)


def _draw_worn(pen: _Pen, has: set[str], frame: Color, hat: Color) -> None:
    if "Eyeglasses" in has:
        for x in (-0.12, 0.12):
            angles = np.linspace(0, 2 * np.pi, 25)
            pen.line(*((x + 0.085 * np.cos(a), -0.03 + 0.07 * np.sin(a)) for a in angles), fill=frame)
        pen.line((-0.035, -0.03), (0.035, -0.03), fill=frame)
    if "Wearing_Hat" in has:
        pen.polygon((-0.28, -0.2), (-0.24, -0.5), (0.24, -0.5), (0.28, -0.2), fill=hat)
        pen.polygon((-0.46, -0.17), (-0.44, -0.22), (0.44, -0.22), (0.46, -0.17), fill=_shaded(hat, 0.7))


def draw_faces(folder: str | Path, count: int, seed: int, side: int = 178) -> Path:
    """Draw ``count`` faces: ``img_align_celeba/000001.jpg`` ... and ``list_attr_celeba.csv`` with all 40 columns.

    The same seed draws the same faces, whatever their number. Images are ``side`` pixels wide, at least 16. Returns
    ``folder``, for :func:`impasto.lessons.celeba.read_celeba`.

    Raises:
        ImpastoError: a number out of range, or a folder that holds a data set already or cannot be made.
    """
    for name, value, low in (("count", count, 1), ("seed", seed, 0), ("side", side, 16)):
        if value < low:
            raise ImpastoError(f"{name}: {value} is below {low}")
    folder = Path(folder)
    images, table = folder / "img_align_celeba", folder / "list_attr_celeba.csv"
    if table.exists() or images.exists():
        raise ImpastoError(f"{folder}: holds a data set already; name another folder")
    try:
        images.mkdir(parents=True)
    except OSError as error:
        raise ImpastoError(f"{images}: cannot be made ({error.strerror}); name another folder") from error
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["image_id", *ATTRIBUTES])
    for number in range(1, count + 1):
        face, has = draw_face(np.random.default_rng([seed, number]), side)
        name = f"{number:06}.jpg"
        face.save(images / name, "JPEG", quality=92)
        rows.writerow([name, *(1 if attribute in has else -1 for attribute in ATTRIBUTES)])
    write_atomically(table, text.getvalue().encode())
    return folder


def _choose(generator: np.random.Generator) -> set[str]:
    """Attributes by their shares; at most one color of hair."""
    colors = [name for name in _HAIR if name]
    has = {name for name, share in DRAWN.items() if name not in colors and generator.random() < share}
    shares = [DRAWN[name] for name in colors]
    color = str(generator.choice([*colors, ""], p=[*shares, 1 - sum(shares)]))
    if has & {"Bald", "Wearing_Hat"}:
        has -= {"Bangs"}
    return has if "Bald" in has else has | {color} - {""}


def _photographed(face: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Light from one side, another exposure, and noise."""
    pixels = np.asarray(face, np.float64)
    slope = generator.uniform(-0.2, 0.2) * np.linspace(-1, 1, face.width)[None, :, None]
    pixels = pixels * (generator.uniform(0.8, 1.15) + slope) + generator.normal(0, 5, pixels.shape)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _shaded(color: Color, by: float, plus: Color = (0, 0, 0)) -> Color:
    return _color(np.clip(np.array(color) * by + np.array(plus), 0, 255))


def _color(values: np.ndarray) -> Color:
    red, green, blue = (int(value) for value in values)
    return red, green, blue
