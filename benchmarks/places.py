"""Twelve portraits and twelve landscapes, each in the style of a painting with a strong composition: what comes along.

    python benchmarks/places.py --extractor vgg19
    python benchmarks/places.py --extractor compact --pairs 8
    python benchmarks/places.py --only p1085 l0998 --options='--content-weight 2e-3'

Leak, style share, content error and chroma noise of every saved picture by `impasto measure`, with VGG-19, and their
medians. A picture that is there is not painted again.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from runner import CLASSICS, SHARED, WEIGHTS, command_line, measure, say, stylize, write_json
from tables import table

FIGURES = ("leak", "style_share", "content_error", "chroma_noise")
PHOTOS = SHARED / "data" / "photos"
PORTRAITS = {
    "astronaut": "gallery:astronaut",
    **{f"p{n}": str(PHOTOS / f"{n}.jpg") for n in (1084, 1085, 1088, 1096, 1105, 1111, 1158, 1166, 1167, 1176, 1182)},
}
LANDSCAPES = {
    **{
        name: str(CLASSICS / "contents" / f"{name}.jpg")
        for name in ("tubingen", "golden_gate", "chicago", "venice-boat", "hoovertowernight")
    },
    **{f"l{n}": str(PHOTOS / f"{n}.jpg") for n in ("0919", "0998", "1024", "1049", "1145", "1149", "1001")},
}
PAINTINGS = (
    "the_scream",
    "starry_night",
    "wave",
    "shipwreck",
    "mondrian",
    "udnie",
    "composition_vii",
    "night_cafe",
    "adele_bloch_bauer",
    "apocalypse",
    "bridge_in_london",
    "children_at_the_beach",
)


def pairs() -> list[tuple[str, str, str]]:
    """Name, photograph and painting of each: portraits and landscapes by turns; both have every painting once."""
    turned = (*PAINTINGS[1:], PAINTINGS[0])
    portraits, landscapes = zip(PORTRAITS, PAINTINGS, strict=True), zip(LANDSCAPES, turned, strict=True)
    files = {**PORTRAITS, **LANDSCAPES}
    both = (pair for two in zip(portraits, landscapes, strict=True) for pair in two)
    return [(name, files[name], f"gallery:{painting}") for name, painting in both]


def main(argv: Sequence[str] | None = None) -> None:
    """Paint, judge, print."""
    parser = command_line(__doc__, "places")
    parser.add_argument("--size", type=int, default=384, help="longest side in pixels")
    parser.add_argument("--extractor", default="compact", help="vgg19, compact or a file of weights")
    parser.add_argument("--pairs", type=int, default=24, help="so many of them")
    parser.add_argument("--only", nargs="*", help="these photographs alone")
    parser.add_argument("--options", default="", help="further options of impasto stylize")
    arguments = parser.parse_args(argv)
    seen = str(WEIGHTS) if arguments.extractor == "vgg19" else arguments.extractor
    rows, found = [], {}
    for name, photograph, painting in pairs()[: arguments.pairs]:
        if arguments.only and name not in arguments.only:
            continue
        style = painting.partition(":")[2]
        picture = arguments.out / f"{arguments.extractor}-{arguments.size}" / f"{name}-{style}.png"
        if not picture.exists():
            options = shlex.split(arguments.options)
            stylize(
                Path(photograph),
                Path(painting),
                picture,
                size=arguments.size,
                threads=arguments.threads,
                extractor=seen,
                options=options,
            )
        command = [sys.executable, "-m", "impasto", "measure", picture, "-c", photograph, "-s", painting, "--json"]
        (line,) = measure([*command, "--extractor", WEIGHTS], threads=arguments.threads).lines
        found[picture.stem] = figures = {figure: json.loads(line[1])[figure] for figure in FIGURES}
        rows.append((name, style, *(f"{figures[figure]:.3f}" for figure in FIGURES)))
        say(" ".join(rows[-1]))
    for kind, names in (("portraits", PORTRAITS), ("landscapes", LANDSCAPES), ("all", {**PORTRAITS, **LANDSCAPES})):
        those = [figures for stem, figures in found.items() if stem.rpartition("-")[0] in names]
        if those:
            rows.append((kind, "median", *(f"{median(entry[figure] for entry in those):.3f}" for figure in FIGURES)))
    print(table(("photograph", "painting", *(figure.replace("_", " ") for figure in FIGURES)), rows))
    write_json(arguments.out / f"{arguments.extractor}-{arguments.size}.json", found)


if __name__ == "__main__":
    main()
