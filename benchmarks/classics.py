"""Pairs of the classics, painted with one set of options or several, and judged: median and worst.

    python benchmarks/classics.py --size 512
    python benchmarks/classics.py --size 384 --pairs 20 --variant 'vgg19=' --variant 'compact=--extractor compact'
    python benchmarks/classics.py --size 256 --pairs tubingen:starry_night,lion:wave --lambdas 1e-5,1e-4,1e-3,1e-2

A picture is painted through VGG-19 where its options name no other extractor. Variants are compared with the first one.
Along --lambdas the content error must fall and the style share must rise, strictly, in every pair; it ends with 1 where
they don't.

A finished picture is not painted again; an interrupted benchmark goes on with the same command. After a change to
impasto that matters for the pictures, add --fresh. Leaves OUT/summary.json and contact sheets: OUT/sheet.webp, all
photographs by all paintings, or OUT/sheet-1.webp and so on, content, style and every variant.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from runner import CLASSICS, WEIGHTS, command_line, commit, conditions, judge, say, stylize, write_json
from sheet import contact_sheet
from store import Record
from tables import table

#: Low is good for all of them.
FIGURES = ("style_share", "content_error", "seconds", "peak_mb")
VALUES, RATIOS = ("median", "best", "worst"), ("median", "largest")
ROWS = 5  # of a sheet
KINDS = ("contents", "styles")

Pair = tuple[Path, Path]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line(__doc__, "classics")
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--pairs", default="all", help="all, so many, or CONTENT:STYLE,... (default: %(default)s)")
    parser.add_argument("--options", default="", help="further options of all, as in --options='--method instant'")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=OPTIONS", help="repeatable")
    parser.add_argument("--lambdas", help="a variant for each of these values of λ, rising")
    parser.add_argument("--cell", type=int, default=192, help="side of a picture on the sheet, in pixels")
    parser.add_argument("--fresh", action="store_true", help="paint finished pictures again")
    parser.add_argument("--classics", type=Path, default=CLASSICS, help="a folder with contents/ and styles/")
    arguments = parser.parse_args(argv)
    given = [one.partition("=")[::2] for one in arguments.variant] or [("default", "")]
    if arguments.lambdas:
        given = [(value, f"--content-weight {value}") for value in arguments.lambdas.split(",")]
    arguments.variants = {name: read_options(f"{arguments.options} {options}") for name, options in given}
    return arguments


def read_options(text: str) -> list[str]:
    """Options of ``impasto stylize``; VGG-19 sees unless they name another extractor, or a method that has none."""
    words = shlex.split(text)
    return words if {"--extractor", "instant"} & set(words) else ["--extractor", str(WEIGHTS), *words]


def choose(classics: Path, wanted: str) -> list[Pair]:
    """All pairs, those that are named, or a number of them in which every picture comes as often as any other."""
    contents, styles = ({path.stem: path for path in sorted((classics / kind).glob("*.jpg"))} for kind in KINDS)
    if wanted == "all":
        return [(content, style) for content in contents.values() for style in styles.values()]
    if wanted.isdecimal():
        turned = list(styles.values())
        rounds = (
            (content, turned[(place + turn) % len(turned)])
            for turn in range(len(turned))
            for place, content in enumerate(contents.values())
        )
        return list(rounds)[: int(wanted)]
    names = [pair.partition(":")[::2] for pair in wanted.split(",")]
    if missing := [":".join(pair) for pair in names if pair[0] not in contents or pair[1] not in styles]:
        sys.exit(f"--pairs: {classics} has no {', '.join(missing)}")
    return [(contents[content], styles[style]) for content, style in names]


def name_of(pair: Pair) -> str:
    return f"{pair[0].stem}-{pair[1].stem}"


def paint_pair(pair: Pair, out: Path, size: int, options: Sequence[str], *, threads: int, fresh: bool) -> Record:
    """Paint one in the style of the other and judge; once is enough. Leaves CONTENT-STYLE.png and .json in ``out``."""
    picture = out / f"{name_of(pair)}.png"
    kept = picture.with_suffix(".json")
    if kept.exists() and picture.exists() and not fresh:
        record = json.loads(kept.read_text())
        made = {name: record[name] for name in ("size", "options")}
        if made != {"size": size, "options": list(options)}:
            sys.exit(f"{kept} was made with {made}; name another --out or add --fresh")
        return record
    record = stylize(*pair, picture, size=size, threads=threads, options=options)
    (verdict,) = judge([picture], *pair, threads=threads)
    record |= {name: verdict[name] for name in ("style_share", "content_error")}
    record |= {**conditions(threads, *pair), "commit": commit()}
    write_json(kept, record)
    return record


def summarize(records: Mapping[str, Record]) -> dict[str, Any]:
    """Median, best, worst value and worst pairs of each figure, from the records of the pairs."""
    found = {}
    for figure in FIGURES:
        values = {pair: record[figure] for pair, record in records.items()}
        ranked = sorted(values, key=values.__getitem__)
        best, worst = values[ranked[0]], values[ranked[-1]]
        found[figure] = {"median": median(values.values()), "best": best, "worst": worst, "worst_pairs": ranked[:-4:-1]}
    return found


def compare(records: Mapping[str, Record], reference: Mapping[str, Record]) -> dict[str, Any]:
    """Median, largest ratio and its pair, of each figure over that of the reference."""
    found = {}
    for figure in FIGURES:
        ratios = {pair: record[figure] / reference[pair][figure] for pair, record in records.items()}
        worst = max(ratios, key=ratios.__getitem__)
        found[figure] = {"median": median(ratios.values()), "largest": ratios[worst], "pair": worst}
    return found


def falls_and_rises(records: Sequence[Record]) -> bool:
    """Whether content error falls and style share rises, strictly, from each record to the next."""
    return all(
        one["content_error"] > other["content_error"] and one["style_share"] < other["style_share"]
        for one, other in pairwise(records)
    )


def report(variants: Mapping[str, Mapping[str, Record]]) -> str:
    """The figures of every variant, and their ratios to those of the first, as Markdown."""
    first, *others = variants
    rows = [
        (name, figure.replace("_", " "), *(f"{found[key]:.4g}" for key in VALUES), ", ".join(found["worst_pairs"]))
        for name, records in variants.items()
        for figure, found in summarize(records).items()
    ]
    ratios = [
        (f"{name} over {first}", figure.replace("_", " "), *(f"{found[key]:.2f}" for key in RATIOS), found["pair"])
        for name in others
        for figure, found in compare(variants[name], variants[first]).items()
    ]
    parts = table(("", "", *VALUES, "worst pairs"), rows), table(("", "ratio", *RATIOS, "of"), ratios)
    return "\n\n".join(filter(None, parts))


def draw(pairs: Sequence[Pair], variants: Mapping[str, Mapping[str, Record]], arguments: argparse.Namespace) -> None:
    """The contact sheets."""

    def cell(name: str, pair: Pair) -> tuple[Path, str]:
        record = variants[name][name_of(pair)]
        told = f"style {record['style_share']:.3f}, content {record['content_error']:.2f}"
        return Path(record["picture"]), told if len(variants) == 1 else f"{name}\n{told}"

    if len(variants) == 1 and arguments.pairs == "all":
        (name,) = variants
        contents, styles = (list(dict.fromkeys(pair[place] for pair in pairs)) for place in range(2))
        rows = [[(None, ""), *((style, style.stem) for style in styles)]]
        rows += [[(content, content.stem), *(cell(name, (content, style)) for style in styles)] for content in contents]
        contact_sheet(rows, arguments.out / "sheet.webp", cell=arguments.cell)
        return
    rows = [[*((path, path.stem) for path in pair), *(cell(name, pair) for name in variants)] for pair in pairs]
    for number, start in enumerate(range(0, len(rows), ROWS), start=1):
        contact_sheet(rows[start : start + ROWS], arguments.out / f"sheet-{number}.webp", cell=arguments.cell)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    pairs = choose(arguments.classics, arguments.pairs)
    variants: dict[str, dict[str, Record]] = {name: {} for name in arguments.variants}
    for number, pair in enumerate(pairs, start=1):
        for name, options in arguments.variants.items():
            record = paint_pair(
                pair, arguments.out / name, arguments.size, options, threads=arguments.threads, fresh=arguments.fresh
            )
            variants[name][name_of(pair)] = record
            told = "  ".join(f"{figure} {record[figure]:.4g}" for figure in FIGURES)
            say(f"{number:3} of {len(pairs)}  {name_of(pair):32} {name}  {told}")
    summary = {name: {**summarize(records), "options": arguments.variants[name]} for name, records in variants.items()}
    write_json(arguments.out / "summary.json", {"size": arguments.size, "pairs": len(pairs), "variants": summary})
    draw(pairs, variants, arguments)
    print(f"{len(pairs)} pairs at {arguments.size} px\n\n{report(variants)}")
    if arguments.lambdas:
        names = map(name_of, pairs)
        failed = [name for name in names if not falls_and_rises([records[name] for records in variants.values()])]
        if failed:
            sys.exit(f"along λ content error does not fall, or style share not rise: {', '.join(failed)}")


if __name__ == "__main__":
    main()
