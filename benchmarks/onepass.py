"""The network that paints in one pass: how fast, in how much memory, whether its tiles can be found, what hybrid gains.

    python benchmarks/onepass.py

| --only | what |
| --- | --- |
| memory | `impasto stylize --method instant` at 8192 px, a process of its own: time and peak memory |
| time | a picture of 512 px by the loaded network, its painting encoded anew each time, in torch and in onnxruntime |
| tiles | the largest difference, in steps of 1/255, between a picture of 2048 px painted in tiles and at once |
| hybrid | time and loss of a picture of 512 px by hybrid, and by the refinement with its defaults, both with starts |

A measurement is on the disk as soon as it is made; --fresh makes those of --only again. Leaves OUT/results.json and
OUT/table.md. How good the pictures are says classics.py --method instant.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from large import allow, square
from runner import command_line, commit, conditions, say, sha256, stylize
from store import Store
from tables import table

TILED = 2048  # px, the side of what tiles is measured on
REPEATS = 7


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = command_line(__doc__, "onepass", pair=True)
    parser.add_argument("--only", default=",".join(PARTS), help="some of: %(default)s")
    parser.add_argument("--size", type=int, default=512, help="of time and hybrid, in pixels")
    parser.add_argument("--largest", type=int, default=8192, help="of memory, in pixels")
    parser.add_argument("--model", type=Path, help="another network than the package's")
    parser.add_argument("--extractor", default="compact", help="of hybrid and the refinement")
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args(argv)
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - set(PARTS):
        sys.exit(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(PARTS)}")
    return arguments


def measure_memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """A square picture, as large as impasto paints and larger."""
    side = arguments.largest
    content, style = (square(path, arguments.out / f"{path.stem}.png") for path in (arguments.content, arguments.style))
    options = ["--method", "instant", *allow(side), *model_option(arguments)]
    found = stylize(content, style, arguments.out / "large.png", size=side, threads=arguments.threads, options=options)
    return {"side": side, "seconds": found["seconds"], "peak_mb": found["peak_mb"]}


def measure_hybrid(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both in turns, a process each; the total loss is that of the last step, by the same extractor and λ."""
    runs: dict[str, list[dict[str, Any]]] = {"refine": [], "hybrid": []}
    for _ in range(3):
        for method, kept in runs.items():
            found = stylize(
                arguments.content,
                arguments.style,
                arguments.out / f"{method}.png",
                size=arguments.size,
                threads=arguments.threads,
                extractor=arguments.extractor,
                options=[] if method == "refine" else ["--method", "hybrid", *model_option(arguments)],
            )
            loss = found["result"]["losses"]["total"]
            kept.append({"seconds": found["seconds"], "loss": loss, "steps": found["steps"]})
    return {"size": arguments.size} | {
        method: {**kept[0], "seconds": median(run["seconds"] for run in kept)} for method, kept in runs.items()
    }


def model_option(arguments: argparse.Namespace) -> list[str]:
    return ["--model", str(arguments.model)] if arguments.model else []


def load(arguments: argparse.Namespace, size: int, runtime: str = "torch") -> tuple[Any, Any, Any]:
    """The network in ``runtime``, photograph and painting, as the command would have them for ``size``."""
    import torch

    from impasto.images import load_image
    from impasto.instant.models import find_model, load_painter
    from impasto.networks.layers import MULTIPLE
    from impasto.refine.pyramid import fit, fit_style

    torch.set_num_threads(arguments.threads)
    painter, _ = load_painter(find_model(arguments.model and str(arguments.model)), runtime, "cpu")
    content = fit(load_image(arguments.content, role="content").tensor, size)
    return painter, content, fit_style(load_image(arguments.style, role="style").tensor, size, MULTIPLE)


def measure_time(arguments: argparse.Namespace) -> dict[str, Any]:
    """From two images in memory to the output, the network loaded and warm."""
    from impasto.instant.passes import encode, one_pass

    found: dict[str, Any] = {}
    for runtime in ("torch", "onnx"):
        painter, content, style = load(arguments, arguments.size, runtime)
        found["pixels"] = [content.shape[-1], content.shape[-2]]
        taken = []
        for _ in range(1 + REPEATS):
            began = time.perf_counter()
            one_pass(painter, content, encode(painter, style))
            taken.append(time.perf_counter() - began)
        found[runtime] = median(taken[1:])
    return found


def measure_tiles(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same picture twice: in the tiles that impasto cuts, and in one that is larger than it."""
    from impasto.instant.passes import TILE, encode, one_pass

    painter, content, style = load(arguments, TILED)
    tiled, whole = (
        one_pass(painter, content, encode(painter, style, tile), tile=tile).clamp(0, 1) for tile in (TILE, TILED)
    )
    return {"side": TILED, "steps_of_255": 255 * float((tiled - whole).abs().max())}


#: In this order: a child's peak memory counts that of its parent, which later on has torch loaded.
PARTS = {"memory": measure_memory, "hybrid": measure_hybrid, "time": measure_time, "tiles": measure_tiles}


def report(store: Store) -> str:
    """The measurements as Markdown."""
    rows = []
    for one in store.get("memory"):
        rows.append((f"{one['side']} × {one['side']} px", f"{one['seconds']:.0f} s, {one['peak_mb']:.0f} MB"))
    for one in store.get("time"):
        size = " × ".join(map(str, one["pixels"]))
        rows.append((f"{size} px", f"torch {one['torch']:.2f} s, onnxruntime {one['onnx']:.2f} s"))
    for one in store.get("tiles"):
        rows.append((f"tiles against at once, {one['side']} px", f"{one['steps_of_255']:.3f} / 255 at most"))
    for one in store.get("hybrid"):
        for method, name in (("refine", "refinement"), ("hybrid", "hybrid")):
            run = one[method]
            rows.append(
                (f"{name}, {one['size']} px", f"{run['seconds']:.1f} s, loss {run['loss']:.4f}, {run['steps']} steps")
            )
    return table(("", "measured"), rows)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    about = {
        **conditions(arguments.threads, arguments.content, arguments.style),
        "model": sha256(arguments.model) if arguments.model else "of the package",
        "extractor": arguments.extractor,
    }
    store = Store(arguments.out / "results.json", about)
    for part, take in PARTS.items():
        if part not in arguments.only:
            continue
        if arguments.fresh:
            store.drop(part)
        if not store.get(part):
            say(part)
            store.add(part, {**take(arguments), "commit": commit()})
    text = report(store)
    (arguments.out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
