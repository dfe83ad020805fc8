"""All 64 pairs of the classics: median and worst.

    python benchmarks/classics.py --size 512

A finished pair is not painted again; an interrupted benchmark goes on with the same command. After a change to impasto
that matters for the pictures, add --fresh. Leaves OUT/summary.json and the contact sheet OUT/classics.webp.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from runner import CLASSICS, VGG19, commit, default_threads, judge, machine, stylize, torch_version, write_json
from sheet import contact_sheet

FIGURES = ("style_share", "content_error", "seconds", "peak_mb")


def figure(record: Mapping[str, Any], name: str) -> float:
    return record["judge"].get(name, record.get(name))


def summarize(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Median, worst value and worst pair of each figure; low is good for all of them."""
    found: dict[str, Any] = {"pairs": len(records)}
    for name in FIGURES:
        ranked = sorted(records, key=lambda pair: figure(records[pair], name))
        found[name] = {
            "median": median(figure(record, name) for record in records.values()),
            "best": figure(records[ranked[0]], name),
            "worst": figure(records[ranked[-1]], name),
            "worst_pairs": ranked[:-4:-1],
        }
    return found


def chosen(folder: Path, names: str) -> Sequence[Path]:
    paths = sorted(folder.glob("*.jpg"))
    wanted = names.split(",") if names else [path.stem for path in paths]
    if missing := set(wanted) - {path.stem for path in paths}:
        sys.exit(f"{folder} has no {', '.join(sorted(missing))}")
    return [path for path in paths if path.stem in wanted]


def paint_pair(
    content: Path, style: Path, out: Path, settings: Mapping[str, Any], *, threads: int, fresh: bool = False
) -> dict[str, Any]:
    """Paint one in the style of the other with ``settings`` (size, extractor, options), and judge; once is enough.

    Leaves CONTENT-STYLE.png and .json in ``out``.
    """
    picture = out / f"{content.stem}-{style.stem}.png"
    kept = picture.with_suffix(".json")
    if kept.exists() and picture.exists() and not fresh:
        record = json.loads(kept.read_text())
        if record["settings"] != settings:
            sys.exit(f"{kept} was made with {record['settings']}; name another --out or add --fresh")
        return record
    record = stylize(content, style, picture, threads=threads, **settings)
    record |= {
        "settings": settings,
        "judge": judge([picture], content, style, threads=threads)[0],
        "machine": machine(threads),
        "torch": torch_version(),
        "commit": commit(),
    }
    write_json(kept, record)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--method", default="refine", help="refine, instant or hybrid")
    parser.add_argument("--extractor", default=str(VGG19), help="what --extractor gets: a file, vgg19 or compact")
    parser.add_argument("--options", default="", help="further options, as in --options='--content-weight 1e-4'")
    parser.add_argument("--contents", default="", help="only these, by name: lion,tubingen")
    parser.add_argument("--styles", default="", help="only these, by name: wave,udnie")
    parser.add_argument("--cell", type=int, default=192, help="side of a picture on the sheet, in pixels")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--fresh", action="store_true", help="paint finished pairs again")
    parser.add_argument("--classics", type=Path, default=CLASSICS)
    parser.add_argument("--out", type=Path, help="default: runs/classics-EXTRACTOR-SIZE, or classics-instant-SIZE")
    arguments = parser.parse_args()
    size, options = arguments.size, shlex.split(arguments.options)
    extractor = arguments.extractor if arguments.method != "instant" else None
    painter = Path(extractor or "instant").stem
    if arguments.method != "refine":
        options += ["--method", arguments.method]
    out = arguments.out or Path("runs") / f"classics-{painter}-{size}"
    contents = chosen(arguments.classics / "contents", arguments.contents)
    styles = chosen(arguments.classics / "styles", arguments.styles)
    settings = {"size": size, "extractor": extractor, "options": options}
    records: dict[str, dict[str, Any]] = {}
    for content in contents:
        for style in styles:
            pair = f"{content.stem}-{style.stem}"
            records[pair] = paint_pair(content, style, out, settings, threads=arguments.threads, fresh=arguments.fresh)
            told = "  ".join(f"{name} {figure(records[pair], name):.4g}" for name in FIGURES)
            print(f"{len(records):3} of {len(contents) * len(styles)}  {pair:32} {told}", file=sys.stderr, flush=True)
    found = summarize(records)
    found |= {"settings": settings, "commits": sorted({record["commit"] for record in records.values()})}
    write_json(out / "summary.json", found)
    rows = [[(None, ""), *((style, style.stem) for style in styles)]]
    for content in contents:
        row = [(content, content.stem)]
        for style in styles:
            pair = f"{content.stem}-{style.stem}"
            style_share, content_error = (figure(records[pair], name) for name in ("style_share", "content_error"))
            row.append((out / f"{pair}.png", f"style {style_share:.3f}, content {content_error:.2f}"))
        rows.append(row)
    contact_sheet(rows, out / "classics.webp", cell=arguments.cell)
    print(f"{found['pairs']} pairs at {size} px, {painter}\n")
    print("| | median | best | worst | worst pairs |\n| --- | --- | --- | --- | --- |")
    for name in FIGURES:
        row = found[name]
        values = " | ".join(f"{row[key]:.4g}" for key in ("median", "best", "worst"))
        print(f"| {name.replace('_', ' ')} | {values} | {', '.join(row['worst_pairs'])} |")


if __name__ == "__main__":
    main()
