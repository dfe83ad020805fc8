"""A default run on an idle machine and beside a busy process, by how the threads of OpenMP wait for work.

    python benchmarks/busy.py

Every run is a process of its own, through the compact extractor, and the ways to wait take turns. The busy process is a
loop in Python that this script starts and ends. Prints the medians, in seconds, and whether all pictures have the same
bytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median

from runner import command_line, measure, say, sha256
from tables import table

PAIR = ("gallery:astronaut", "gallery:wave")
#: Where one of the variables is set, if only to what holds anyway, impasto sets none.
WAYS = {
    "spin briefly, as impasto has it": {},
    "spin as OpenMP has it": {"KMP_LIBRARY": "throughput"},
    "do not spin": {"OMP_WAIT_POLICY": "passive"},
}
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line(__doc__, "busy")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spins", type=int, nargs="*", default=[], help="further values of GOMP_SPINCOUNT")
    return parser.parse_args(argv)


@contextmanager
def busy_process() -> Iterator[None]:
    """Something else that wants a core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run(arguments: argparse.Namespace, variables: Mapping[str, str], picture: Path) -> float:
    """Seconds from the start of a run to its end."""
    command = [sys.executable, "-m", "impasto", "stylize", *PAIR, "-o", picture, "--extractor", "compact"]
    command += ["--size", str(arguments.size), "--threads", str(arguments.threads), "--force", "--quiet"]
    return measure(command, threads=arguments.threads, environment=variables).seconds


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in VARIABLES:  # Those of the shell would be everybody's.
        os.environ.pop(name, None)
    ways = {**WAYS, **{f"spin {count} turns": {"GOMP_SPINCOUNT": str(count)} for count in arguments.spins}}
    places = {"idle": nullcontext, "busy": busy_process}
    seconds: dict[tuple[str, str], list[float]] = {(way, place): [] for way in ways for place in places}
    pictures = set()
    for _ in range(arguments.repeats):
        for (way, place), taken in seconds.items():
            with places[place]():
                taken.append(run(arguments, ways[way], arguments.out / "picture.png"))
            pictures.add(sha256(arguments.out / "picture.png"))
            say(f"{place}, threads {way}: {taken[-1]:.1f} s")
    rows = [(way, *(f"{median(seconds[way, place]):.1f}" for place in places)) for way in ways]
    print(table((f"{arguments.size} px, threads", "idle", "beside a busy process"), rows))
    print(f"\nThe pictures {'have the same bytes' if len(pictures) == 1 else 'differ'}.")


if __name__ == "__main__":
    main()
