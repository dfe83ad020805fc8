"""Runs the package pystiche 1.0.1, unmodified and as its documentation shows it, and measures it.

    python benchmarks/peers/pystiche_nst.py CONTENT STYLE -o OUT.png --size 512 --peer-python VENV/bin/python

Writes OUT.png and, beside it, OUT.json with the time of the whole process, the time of a step, and the peak memory. The
environment comes from setup.sh. pystiche is a library: what runs is pystiche_program.py, its own example.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from peers.record import Told, keep, unresolved  # noqa: E402
from runner import VGG19, Run, default_threads  # noqa: E402


def paint(
    content: Path,
    style: Path,
    output: Path,
    *,
    size: int,
    steps: int,
    threads: int,
    python: Path,
    weights: Path = VGG19,
) -> dict[str, object]:
    """One run: what it cost and what it said. The record is also written beside the picture."""
    python, output = unresolved(python), output.resolve()
    command = [python, HERE / "pystiche_program.py", content.resolve(), style.resolve(), output]
    command += ["--size", str(size), "--steps", str(steps), "--weights", weights.resolve()]
    return keep(
        "pystiche 1.0.1",
        command,
        listen,
        content=content,
        style=style,
        output=output,
        size=size,
        steps=steps,
        threads=threads,
        python=python,
        # It makes a folder for downloads when it is imported.
        environment={"PYSTICHE_HOME": str(python.parent.parent / "pystiche")},
    )


def listen(run: Run) -> Told:
    """The program's lines: "begin", "step 1 loss 5.6e+04" once a step, and "saved"."""
    at_line = {line: at for at, line in run.lines}
    steps = [(line.split(), at) for at, line in run.lines if line.startswith("step ")]
    marks = [(int(words[1]), at) for words, at in steps]
    losses = {int(words[1]): float(words[3]) for words, _ in steps}
    kept = {number: loss for number, loss in losses.items() if number % 50 == 0 or number in (1, len(steps))}
    return Told(at_line["begin"], marks, kept, at_line["saved"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture; a .json is written beside it")
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--peer-python", type=Path, required=True, help="python of the environment that setup.sh made")
    parser.add_argument("--weights", type=Path, default=VGG19, help="VGG-19 in the Caffe convention (safetensors)")
    arguments = parser.parse_args()
    record = paint(
        arguments.content,
        arguments.style,
        arguments.output,
        size=arguments.size,
        steps=arguments.steps,
        threads=arguments.threads,
        python=arguments.peer_python,
        weights=arguments.weights,
    )
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
