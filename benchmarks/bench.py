"""impasto beside neural-style 0.5.7 and pystiche 1.0.1, in one run on one machine: ``make bench``.

    python benchmarks/bench.py [--quick] [--only step,mark] [--docs]

Six measurements, which --only chooses:

* limits: the machine's best rates of matrix products and of copying memory
* step: the time of a step at the full size, and the peak memory of the peers
* start: from the start of the process until the first picture is saved
* memory: impasto's whole run with its defaults
* peer: what a peer's picture is worth after 500 of its default steps; the longest part
* mark: impasto's fewest steps to a picture as good, and the time they take

Repetitions are interleaved and their median counts. Everything is kept in OUT/results.json as soon as it is measured,
and the same command goes on from there; OUT/table.md and OUT/plot.webp are made from it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prepare import prepare
from runner import HERE, WEIGHTS, conditions, default_threads, sha256
from session import Session
from store import Store
from tables import write

#: Each measurement and the keys of its records.
MEASUREMENTS = {
    "limits": ("limits",),
    "step": ("step",),
    "start": ("start",),
    "memory": ("memory",),
    "peer": ("peer",),
    "mark": ("probe", "found", "reach"),
}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help=f"which of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="minutes: small, few steps, once; a trial")
    parser.add_argument("--repeats", type=int, help="of everything that is timed (3; 1 with --quick)")
    parser.add_argument("--sizes", help="longest sides in pixels (256,512,1024; 64,128 with --quick)")
    parser.add_argument("--mark-sizes", help="those of the mark (512; 128 with --quick)")
    parser.add_argument("--steps", type=int, help="for the time of one step (6; 3 with --quick)")
    parser.add_argument("--peer-steps", type=int, help="to the peer's picture (500; 60 with --quick)")
    parser.add_argument("--peer-json", type=Path, nargs="+", default=[], help="earlier records of such pictures")
    parser.add_argument("--peer-python", type=Path, help="of an environment that peers/setup.sh made (default: .bench)")
    parser.add_argument("--no-peers", action="store_true", help="impasto alone")
    parser.add_argument("--options", default="", help="further options for impasto, as in --options='--tv-weight 1e-4'")
    parser.add_argument("--content", type=Path, help="the photograph (default: tubingen of the classics)")
    parser.add_argument("--style", type=Path, help="the painting (default: starry_night of the classics)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="VGG-19 in the Caffe convention (safetensors)")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--fresh", action="store_true", help="measure what --only names again")
    parser.add_argument("--report", action="store_true", help="measure nothing; write table and plot again")
    parser.add_argument("--docs", action="store_true", help="write the table and the plot into docs/ too")
    parser.add_argument("--out", type=Path, help="default: runs/bench, or runs/bench-quick")
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    arguments.out = arguments.out or Path("runs") / ("bench-quick" if quick else "bench")
    arguments.repeats = arguments.repeats or (1 if quick else 3)
    arguments.steps = arguments.steps or (3 if quick else 6)
    arguments.peer_steps = arguments.peer_steps or (60 if quick else 500)
    sizes = arguments.sizes or ("64,128" if quick else "256,512,1024")
    mark_sizes = arguments.mark_sizes or ("128" if quick else "512")
    arguments.sizes = [int(size) for size in sizes.split(",")]
    arguments.mark_sizes = [int(size) for size in mark_sizes.split(",")]
    arguments.only = [] if arguments.report else arguments.only.split(",")
    if unknown := set(arguments.only) - set(MEASUREMENTS):
        sys.exit(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(MEASUREMENTS)}")
    if arguments.steps < 3:
        sys.exit("--steps: a step takes at least 3, the first of which does not count")
    return arguments


def main() -> None:
    arguments = parse()
    bench = prepare(arguments)
    about = {
        **conditions(arguments.threads, bench.content, bench.style),
        "weights": sha256(bench.weights) if bench.weights else None,
        "steps": arguments.steps,
        "peer_steps": arguments.peer_steps,
        "options": list(bench.options),
    }
    path = arguments.out / "results.json"
    if arguments.fresh and set(arguments.only) == set(MEASUREMENTS):
        path.unlink(missing_ok=True)
    store = Store(path, about)
    if arguments.fresh:
        for name in arguments.only:
            for first in MEASUREMENTS[name]:
                store.drop(first)
    if arguments.only:
        Session(arguments, bench, store).run()
    print(write(store, arguments.out, docs=HERE.parent / "docs" if arguments.docs else None))


if __name__ == "__main__":
    main()
