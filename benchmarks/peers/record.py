"""Runs a peer and writes down what it cost: the same record for every peer."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from runner import (  # noqa: E402
    WEIGHTS,
    Run,
    default_threads,
    machine,
    measure,
    sha256,
    torch_version,
    write_json,
)

STANDIN = HERE / "torchvision_standin"


@dataclass(frozen=True)
class Told:
    """What a peer said of its descent."""

    #: Seconds since the start of the process when the first step began.
    began: float
    #: (step, seconds since the start of the process).
    marks: list[tuple[int, float]]
    losses: dict[int, float]
    #: Seconds since the start of the process when the picture was saved.
    saved: float

    def seconds_a_step(self) -> float:
        """The median where each step was told of, as a disturbance is only in some; the mean otherwise."""
        numbers = [number for number, _ in self.marks]
        if len(self.marks) > 1 and numbers == list(range(1, len(self.marks) + 1)):
            return median(after - before for (_, before), (_, after) in pairwise(self.marks))
        number, at = self.marks[-1]
        return (at - self.began) / number


def keep(
    package: str,
    command: Sequence[str | Path],
    listen: Callable[[Run], Told],
    *,
    content: Path,
    style: Path,
    output: Path,
    size: int,
    steps: int,
    threads: int,
    python: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seed: int = 0,
    more: Sequence[str] = (),
) -> dict[str, object]:
    """Run ``command``, which saves ``output``, and write the record beside that picture."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    load = os.getloadavg()[0]
    run = measure(command, threads=threads, environment={"PYTHONPATH": str(STANDIN), **(environment or {})}, cwd=cwd)
    if not output.is_file():
        sys.exit(f"{package} stopped before step {steps} and saved no picture")
    told = listen(run)
    record = {
        "package": package,
        "machine": machine(threads),
        "torch": torch_version(python),
        "content_sha256": sha256(content),
        "style_sha256": sha256(style),
        "size": size,
        "steps": steps,
        "seed": seed,
        "picture": output.name,
        "seconds": run.seconds,
        "startup_seconds": told.began,
        "picture_seconds": told.saved,
        "seconds_a_step": told.seconds_a_step(),
        "cpu_seconds": run.cpu_seconds,
        "peak_mb": run.peak_mb,
        "losses": told.losses,
        "load_before": load,
        "options": list(more),
    }
    write_json(output.with_suffix(".json"), record)
    return record


def unresolved(python: Path) -> Path:
    """Absolute, but not resolved: a virtual environment's python is a link that must stay one."""
    return Path(os.path.abspath(python))  # noqa: PTH100


def peer_command_line(description: str) -> argparse.ArgumentParser:
    """The options that every peer's script has; their names are those of its ``paint``'s parameters."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture; a .json is written beside it")
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument(
        "--peer-python",
        dest="python",
        metavar="PEER_PYTHON",
        type=Path,
        required=True,
        help="python of the environment that setup.sh made",
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="VGG-19 in the Caffe convention (safetensors)")
    return parser


def show(record: Mapping[str, object]) -> None:
    """Print a record."""
    print(json.dumps(record, indent=2))
