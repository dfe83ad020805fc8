"""Runs the package neural-style 0.5.7, unmodified and with its defaults, and measures it.

    python benchmarks/peers/neural_style.py CONTENT STYLE -o OUT.png --size 512 --peer-python VENV/bin/python

Writes OUT.png and, beside it, OUT.json with the time of the whole process, the time of a step, and the peak memory. The
environment comes from setup.sh. What is not a default: the device (CPU), the number of steps, the seed (so that a run
can be repeated), and ``-disable_check``, because the weights at hand end with the convolutions; neural-style drops the
classifier anyway, and reading none saves it memory and time.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from peers.record import Told, keep, peer_command_line, show, unresolved  # noqa: E402
from runner import WEIGHTS, Run, sha256  # noqa: E402

#: The name tells neural-style the architecture; it must hold "vgg" and "19".
MODEL_NAME = "vgg19-d01eb7cb.pth"


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
    seed: int = 0,
    more: tuple[str, ...] = (),
) -> dict[str, object]:
    """One run: what it cost and what it said. The record is also written beside the picture."""
    python = unresolved(python)
    model = python.parent.parent / "model" / sha256(weights)[:16] / MODEL_NAME
    if not model.is_file():
        model.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, HERE / "vgg19_pth.py", weights.resolve(), model], check=True)
    output = output.resolve()
    command = [python, "-m", "neural_style.neural_style"]
    command += ["-content_image", content.resolve(), "-style_image", style.resolve(), "-output_image", output]
    # It looks for "vgg", "sod" and others in the whole path: run beside the model, a plain name is enough.
    command += ["-model_file", MODEL_NAME, "-disable_check", "-gpu", "c"]
    command += ["-image_size", str(size), "-num_iterations", str(steps), "-seed", str(seed)]
    # It tells its losses every 50 steps; in a run that these do not divide, after each.
    command += [] if steps % 50 == 0 else ["-print_iter", "1"]
    return keep(
        "neural-style 0.5.7",
        [*command, *more],
        listen,
        content=content,
        style=style,
        output=output,
        size=size,
        steps=steps,
        threads=threads,
        python=python,
        cwd=model.parent,
        seed=seed,
        more=more,
    )


def listen(run: Run) -> Told:
    """Its own lines: "Iteration 50 / 500", and the losses of that step after it.

    It saves before it tells of the last step. Asked for one step it takes a second one after that.
    """
    began = next(at for at, line in run.lines if line.startswith("Running optimization"))
    told = [(line.split(), at) for at, line in run.lines if line.startswith("Iteration ")]
    totals = [float(line.partition(":")[2]) for _, line in run.lines if "Total loss:" in line]
    marks = [(int(words[1]), at) for words, at in told]
    saved = next(at for words, at in told if words[1] == words[3])
    return Told(began, marks, {number: total for (number, _), total in zip(marks, totals, strict=True)}, saved)


def main() -> None:
    parser = peer_command_line(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--options",
        dest="more",
        metavar="OPTIONS",
        type=lambda text: tuple(shlex.split(text)),
        default=(),
        help="further options for neural-style, as in --options='-init image'",
    )
    show(paint(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
