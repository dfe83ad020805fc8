"""Time and memory over the size of the picture, from 0.06 to 64 megapixels.

    python benchmarks/large.py --sizes vgg19=256,512,1024,2048,4096 --sizes compact=256,512,1024,2048,4096,8192

A square picture, all steps at the full size, with a limit of memory: small pictures fit into it, large ones are refined
in tiles. One size, 1024 px if there is no other, is measured without the limit as well: what tiles cost is told beside
that. A measurement is on the disk as soon as it is made, and the same command goes on from there. Leaves
OUT/results.json, OUT/table.md and OUT/plot.webp; --docs copies the plot to docs/large.webp.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from plot import LOOKS, pyplot, save
from programs import NAMES
from runner import HERE, WEIGHTS, command_line, commit, conditions, measure, say, stylize
from store import Record, Store
from tables import table

SIZES = {"vgg19": [256, 512, 1024, 2048, 4096], "compact": [256, 512, 1024, 2048, 4096, 8192]}
#: Steps of a run; the first, which prepares the targets, does not count. Above LONG pixels a side there are but two.
STEPS, LONG = 3, 2048
#: The limit of memory above HUGE pixels a side, where the picture and what belongs to it alone take more than 2G.
HUGE, HUGE_MEMORY = 4096, "3.6G"
#: impasto paints no more pixels of its own accord.
MAX_PIXELS = 64_000_000
SIDE = 768  # of the square that is cut from photograph and painting


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line(__doc__, "large", pair=True)
    parser.add_argument("--sizes", action="append", default=[], help="EXTRACTOR=SIDE,SIDE,..., in pixels; repeatable")
    parser.add_argument("--max-memory", default="2G", help="as of impasto stylize (default: %(default)s)")
    parser.add_argument("--whole", type=int, default=1024, help="the side measured without the limit too")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="of VGG-19")
    parser.add_argument("--docs", action="store_true", help="write the plot into docs/ too")
    arguments = parser.parse_args(argv)
    arguments.sizes = dict(map(read_sizes, arguments.sizes)) or SIZES
    if unknown := set(arguments.sizes) - set(SIZES):
        sys.exit(f"--sizes: {', '.join(sorted(unknown))} is none of {', '.join(SIZES)}")
    return arguments


def read_sizes(text: str) -> tuple[str, list[int]]:
    """``compact=256,512``."""
    name, _, sides = text.partition("=")
    return name, [int(side) for side in sides.split(",")]


def square(source: Path, output: Path) -> Path:
    """The middle of a picture."""
    with Image.open(source) as picture:
        side = min(SIDE, *picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        output.parent.mkdir(parents=True, exist_ok=True)
        picture.convert("RGB").crop((left, top, left + side, top + side)).save(output)
    return output


def allow(side: int) -> list[str]:
    """What impasto has to be told before it paints a square as large as that."""
    return ["--max-pixels", str(side**2)] if side**2 > MAX_PIXELS else []


def run(arguments: argparse.Namespace, store: Store) -> None:
    """Measure what has not been measured yet: small pictures first."""
    content, style = (square(path, arguments.out / f"{path.stem}.png") for path in (arguments.content, arguments.style))
    if not store.get("interpreter"):
        alone = measure([sys.executable, "-c", "import torch"], threads=arguments.threads)
        store.add("interpreter", {"peak_mb": alone.peak_mb})
    wanted = [(side, name, True) for name, sides in arguments.sizes.items() for side in sides]
    wanted += [(arguments.whole, name, False) for name in arguments.sizes]
    for side, name, limited in sorted(wanted):
        key = f"{'limited' if limited else 'whole'}/{name}/{side}"
        if store.get(key):
            continue
        say(key.replace("/", "  "))
        options = ["--steps", str(STEPS if side <= LONG else 2)]
        options += allow(side)
        if limited:
            options += ["--max-memory", arguments.max_memory if side <= HUGE else HUGE_MEMORY]
        record = stylize(
            content,
            style,
            arguments.out / "picture.png",
            size=side,
            threads=arguments.threads,
            extractor=arguments.weights if name == "vgg19" else name,
            options=options,
            program=[HERE / "one_scale.py"],
        )
        result: Any = record.pop("result")
        # Settings tell of the limit only where it made a difference.
        tiles = "max_memory" in result["settings"]
        store.add(key, {**record, "tiles": tiles, "precision": result["settings"]["precision"], "commit": commit()})


def rows(store: Store) -> list[tuple[str, Record, float | None]]:
    """(extractor, record, time of a pixel over that of the run without a limit), by extractor and size."""
    found = []
    for name in SIZES:
        whole = [records[0] for records in store.under("whole", name).values()]
        limited = [records[0] for records in store.under("limited", name).values()]
        for record in sorted(limited, key=lambda record: int(record["size"])):
            found.append((name, record, a_pixel(record) / a_pixel(whole[0]) if whole else None))
    return found


def a_pixel(record: Record) -> float:
    """Seconds of a step for a pixel."""
    return float(record["seconds_a_step"]) / int(record["size"]) ** 2


def above(store: Store, record: Record) -> float:
    """Peak memory above that of the interpreter with torch loaded, in MB."""
    return float(record["peak_mb"]) - float(store.get("interpreter")[0]["peak_mb"])


def report(store: Store) -> str:
    """The measurements as Markdown."""
    cells = [
        (
            f"{record['size']} px",
            NAMES[name],
            "yes" if record["tiles"] else "",
            f"{record['seconds_a_step']:.3g}",
            f"{1e6 * a_pixel(record):.2f}",
            f"{times:.2f}" if times else "",
            f"{above(store, record):.0f}",
        )
        for name, record, times in rows(store)
    ]
    head = ("", "", "tiles", "seconds a step", "µs a pixel", "over no limit", "peak MB")
    return table(head, cells)


def draw(store: Store, output: Path) -> None:
    """Time and memory over megapixels."""
    figure, (time, memory) = pyplot().subplots(1, 2, figsize=(9.5, 4.2))
    for name in SIZES:
        color, marker = LOOKS[name]
        points = [record for extractor, record, _ in rows(store) if extractor == name]
        megapixels = [record["size"] ** 2 / 1e6 for record in points]
        for axes, values in (
            (time, [record["seconds_a_step"] for record in points]),
            (memory, [above(store, record) / 1000 for record in points]),
        ):
            axes.plot(megapixels, values, color=color, linewidth=1.2)
            for x, y, record in zip(megapixels, values, points, strict=True):
                axes.plot(x, y, color=color, marker=marker, markerfacecolor=color if record["tiles"] else "white")
            axes.plot([], [], color=color, marker=marker, label=NAMES[name])
    time.set(xscale="log", yscale="log", xlabel="megapixels", ylabel="seconds a step", title="Time")
    memory.set(
        xscale="log", xlabel="megapixels", ylabel="GB above the interpreter", title="Peak memory (filled: tiles)"
    )
    memory.set_ylim(bottom=0)
    for axes in (time, memory):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    save(figure, output)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    about = conditions(arguments.threads, arguments.content, arguments.style)
    about["max_memory"] = arguments.max_memory
    store = Store(arguments.out / "results.json", about)
    run(arguments, store)
    text = report(store)
    (arguments.out / "table.md").write_text(text + "\n")
    draw(store, arguments.out / "plot.webp")
    if arguments.docs:
        shutil.copyfile(arguments.out / "plot.webp", HERE.parent / "docs" / "large.webp")
    print(text)


if __name__ == "__main__":
    main()
