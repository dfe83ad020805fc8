"""Pictures painted through the compact extractor beside those painted through VGG-19, all else being equal.

    python benchmarks/extractors.py --size 384 --pairs 20

A finished picture is not painted again; an interrupted benchmark goes on with the same command. --classics names a
folder with contents/ and styles/. Leaves OUT/summary.json, and sheets of content, style and both pictures:
OUT/sheet-1.webp and so on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from classics import figure, paint_pair
from runner import CLASSICS, VGG19, default_threads, write_json
from sheet import contact_sheet

ROWS = 5  # of a sheet


def spread(contents: Sequence[Path], styles: Sequence[Path], count: int) -> list[tuple[Path, Path]]:
    """``count`` different pairs in which every content and every style comes as often as any other."""
    rounds = [
        (content, styles[(place + turn) % len(styles)])
        for turn in range(len(styles))
        for place, content in enumerate(contents)
    ]
    return rounds[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=384, help="longest side in pixels")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--reference", default=str(VGG19), help="what --extractor gets for VGG-19: a file, or vgg19")
    parser.add_argument("--extractor", default="compact", help="the extractor that is compared with it")
    parser.add_argument("--only", default="", help="paint only with this one, reference or extractor")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--fresh", action="store_true", help="paint finished pictures again")
    parser.add_argument("--classics", type=Path, default=CLASSICS)
    parser.add_argument("--out", type=Path, default=Path("runs/extractors"))
    arguments = parser.parse_args()
    folders = [sorted((arguments.classics / kind).glob("*.jpg")) for kind in ("contents", "styles")]
    pairs = spread(*folders, arguments.pairs)
    names = [arguments.only] if arguments.only else ["reference", "extractor"]
    records: dict[str, dict[str, Any]] = {}
    for content, style in pairs:
        pair = f"{content.stem}-{style.stem}"
        records[pair] = {}
        for name in names:
            settings = {"size": arguments.size, "extractor": getattr(arguments, name), "options": []}
            records[pair][name] = paint_pair(
                content, style, arguments.out / name, settings, threads=arguments.threads, fresh=arguments.fresh
            )
        told = "  ".join(
            f"{name} {figure(record, 'style_share'):.4f} {figure(record, 'content_error'):.3f}"
            for name, record in records[pair].items()
        )
        print(f"{len(records):3} of {len(pairs)}  {pair:32} {told}", file=sys.stderr, flush=True)
    if arguments.only:
        return

    ratios = {
        wanted: {
            pair: figure(record["extractor"], wanted) / figure(record["reference"], wanted)
            for pair, record in records.items()
        }
        for wanted in ("style_share", "content_error")
    }
    write_json(arguments.out / "summary.json", {"ratios": ratios, "size": arguments.size})
    rows = []
    for content, style in pairs:
        row = [(content, content.stem), (style, style.stem)]
        for name in names:
            record = records[f"{content.stem}-{style.stem}"][name]
            label = f"{figure(record, 'style_share'):.3f}, {figure(record, 'content_error'):.2f}"
            row.append((arguments.out / name / f"{content.stem}-{style.stem}.png", label))
        rows.append(row)
    for start in range(0, len(rows), ROWS):
        contact_sheet(
            rows[start : start + ROWS], arguments.out / f"sheet-{start // ROWS + 1}.webp", cell=arguments.size
        )
    print(f"{len(pairs)} pairs at {arguments.size} px\n")
    print("| | reference, median | extractor, median | ratio, median | largest ratio | of |")
    print("| --- | --- | --- | --- | --- | --- |")
    for wanted, of_pairs in ratios.items():
        both = [median(figure(record[name], wanted) for record in records.values()) for name in names]
        worst = max(of_pairs, key=of_pairs.__getitem__)
        print(
            f"| {wanted.replace('_', ' ')} | {both[0]:.4g} | {both[1]:.4g} | {median(of_pairs.values()):.2f} "
            f"| {of_pairs[worst]:.2f} | {worst} |"
        )


if __name__ == "__main__":
    main()
