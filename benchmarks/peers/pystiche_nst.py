"""Runs the package pystiche 1.0.1, unmodified and as its documentation shows it, and measures it.

    python benchmarks/peers/pystiche_nst.py CONTENT STYLE -o OUT.png --size 512 --peer-python VENV/bin/python

Writes OUT.png and, beside it, OUT.json with the time of the whole process, the time of a step, and the peak memory. The
environment comes from setup.sh. pystiche is a library: what runs is pystiche_program.py, its own example.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from peers.record import Told, keep, peer_command_line, show, unresolved  # noqa: E402
from runner import WEIGHTS, Run  # noqa: E402


def paint(
    content: Path,
    style: Path,
    output: Path,
    *,
    size: int,
    steps: int,
    threads: int,
    python: Path,
    weights: Path = WEIGHTS,
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
    show(paint(**vars(peer_command_line(__doc__).parse_args())))


if __name__ == "__main__":
    main()
