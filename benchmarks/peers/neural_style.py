"""Runs the package neural-style 0.5.7, unmodified and with its defaults, and measures it.

    python benchmarks/peers/neural_style.py CONTENT STYLE -o OUT.png --size 512 --peer-python VENV/bin/python

Writes OUT.png and, beside it, OUT.json with the time of the whole process, the time of a step, and the peak memory. The
environment comes from setup.sh. What is not a default: the device (CPU), the number of steps, the seed (so that a run
can be repeated), and ``-disable_check``, because the weights at hand end with the convolutions; neural-style drops the
classifier anyway, and reading none saves it memory and time.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from runner import VGG19, default_threads, machine, measure, sha256, torch_version, write_json  # noqa: E402

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
    weights: Path = VGG19,
    seed: int = 0,
    more: tuple[str, ...] = (),
) -> dict[str, object]:
    """One run: what it cost and what it said. The record is also written beside the picture."""
    # Absolute, but not resolved: a virtual environment's python is a link that must stay one.
    python = Path(os.path.abspath(python))  # noqa: PTH100
    model = python.parent.parent / "model" / sha256(weights)[:16] / MODEL_NAME
    if not model.is_file():
        model.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, HERE / "vgg19_pth.py", weights.resolve(), model], check=True)
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    command = [python, "-m", "neural_style.neural_style"]
    command += ["-content_image", content.resolve(), "-style_image", style.resolve(), "-output_image", output]
    # It looks for "vgg", "sod" and others in the whole path: run beside the model, a plain name is enough.
    command += ["-model_file", MODEL_NAME, "-disable_check", "-gpu", "c"]
    command += ["-image_size", str(size), "-num_iterations", str(steps), "-seed", str(seed)]
    # It tells its losses every 50 steps; a shorter run tells them at the end.
    told = 50 if steps % 50 == 0 else steps
    command += [] if told == 50 else ["-print_iter", str(told)]
    load = os.getloadavg()[0]
    run = measure(
        [*command, *more],
        threads=threads,
        environment={"PYTHONPATH": str(HERE / "torchvision_standin")},
        cwd=model.parent,
    )
    if not output.is_file():
        sys.exit(f"neural-style stopped before step {steps} and saved no picture")
    began = next(at for at, line in run.lines if line.startswith("Running optimization"))
    marks = [at for at, line in run.lines if line.startswith("Iteration ")]
    totals = [float(line.partition(":")[2]) for _, line in run.lines if "Total loss:" in line]
    record = {
        "package": "neural-style 0.5.7",
        "machine": machine(threads),
        "torch": torch_version(python),
        "content_sha256": sha256(content),
        "style_sha256": sha256(style),
        "size": size,
        "steps": steps,
        "seed": seed,
        "picture": output.name,
        "seconds": run.seconds,
        "startup_seconds": began,
        "seconds_a_step": (marks[-1] - began) / (len(marks) * told),
        "cpu_seconds": run.cpu_seconds,
        "peak_mb": run.peak_mb,
        "losses": dict(zip([told * (index + 1) for index in range(len(totals))], totals, strict=True)),
        "load_before": load,
        "options": list(more),
    }
    write_json(output.with_suffix(".json"), record)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture; a .json is written beside it")
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer-python", type=Path, required=True, help="python of the environment that setup.sh made")
    parser.add_argument("--weights", type=Path, default=VGG19, help="VGG-19 in the Caffe convention (safetensors)")
    parser.add_argument("--options", default="", help="further options for neural-style, as in --options='-init image'")
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
        seed=arguments.seed,
        more=tuple(shlex.split(arguments.options)),
    )
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
