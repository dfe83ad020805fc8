"""Runs a program as a person would, and measures it: time, peak memory, and its lines of output with their times.

The scripts that use this import no torch: a child's peak memory counts that of the process that started it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
CLASSICS = SHARED / "data" / "classics"
CONTENT, STYLE = CLASSICS / "contents" / "tubingen.jpg", CLASSICS / "styles" / "starry_night.jpg"
#: VGG-19 in the Caffe convention.
WEIGHTS = SHARED / "weights" / "vgg19-caffe.safetensors"


@dataclass(frozen=True)
class Run:
    """A finished process."""

    seconds: float
    cpu_seconds: float
    peak_mb: float  # resident memory, in 10^6 bytes
    #: (seconds since the start, line of stdout)
    lines: list[tuple[float, str]]


def measure(
    command: Sequence[str | Path],
    *,
    threads: int,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Run:
    """Run ``command`` to its end.

    Raises:
        SystemExit: it failed; the end of what it said is in the message.
    """
    variables = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
    }
    lines = []
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=errors, text=True, env=variables, cwd=cwd
        )
        try:
            for line in process.stdout:
                lines.append((time.perf_counter() - began, line.rstrip("\n")))
            # wait4, and not Popen.wait: it alone tells the resources of this one child.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = "\n".join([*(text for _, text in lines[-5:]), *errors.read().splitlines()[-15:]])
            sys.exit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{said}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak / 1e6, lines)


def stylize(
    content: Path,
    style: Path,
    output: Path,
    *,
    size: int,
    threads: int,
    extractor: str | Path | None = None,
    options: Sequence[str] = (),
    program: Sequence[str | Path] = ("-m", "impasto"),
) -> dict[str, Any]:
    """``impasto stylize`` in a process of its own: what it cost, and its own account of the result.

    Of steps nothing is told where nothing was refined.
    """
    command = [sys.executable, *program, "stylize", content, style, "-o", output, "--force", "--json"]
    command += ["--size", str(size), "--threads", str(threads), *options]
    command += [] if extractor is None else ["--extractor", str(extractor)]
    output.parent.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    run = measure(command, threads=threads)
    records = [json.loads(line) for _, line in run.lines]
    # Tiles of a picture that is painted in one pass have no losses.
    steps = [record for record in records if record["event"] == "progress" and record["losses"]]
    told = {
        "picture": str(output),
        "size": size,
        "seconds": run.seconds,
        # The last line comes once the picture is saved.
        "picture_seconds": run.lines[-1][0],
        "cpu_seconds": run.cpu_seconds,
        "peak_mb": run.peak_mb,
        "load_before": load,
        "result": records[-1],
        "options": list(options),
    }
    if steps:
        scales = scale_times(steps)
        seconds = sum(scale["steps"] * scale["seconds_a_step"] for scale in scales.values())
        told |= {"steps": len(steps), "seconds_a_step": seconds / len(steps), "scales": scales}
    return told


def scale_times(steps: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Steps and the median seconds of one, for each scale. The median leaves out the first, which prepares targets."""
    ends = [0.0, *(record["seconds"] for record in steps)]
    taken: dict[str, list[float]] = {}
    for record, (began, ended) in zip(steps, pairwise(ends), strict=True):
        taken.setdefault(str(record["scale"]), []).append(ended - began)
    return {
        scale: {"steps": len(times), "seconds_a_step": median(times[1:] or times)} for scale, times in taken.items()
    }


def judge(
    outputs: Sequence[Path],
    content: Path,
    style: Path,
    *,
    threads: int,
    objective: bool = False,
    weights: Path = WEIGHTS,
) -> list[dict[str, Any]]:
    """What judge.py says of the pictures, in a process of its own; with ``objective``, neural-style's loss too."""
    command = [sys.executable, HERE / "judge.py", *outputs, "--content", content, "--style", style, "--json"]
    command += ["--weights", weights, "--threads", str(threads), *(["--objective"] if objective else [])]
    return [json.loads(line) for _, line in measure(command, threads=threads).lines]


def machine(threads: int) -> dict[str, object]:
    """What a time depends on. Two results may be compared if this is the same."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "threads": threads, "system": platform.system()}


def conditions(threads: int, content: Path, style: Path) -> dict[str, Any]:
    """What the records in one store have in common."""
    images = {"content": content, "style": style}
    return {
        "machine": machine(threads),
        "torch": torch_version(),
        **{name: {"name": path.stem, "sha256": sha256(path)} for name, path in images.items()},
    }


def torch_version(python: str | Path = sys.executable) -> str:
    """The version of torch that an interpreter has; nothing is imported into this process."""
    code = "from importlib.metadata import version; print(version('torch'))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def commit() -> str:
    """The commit of this checkout, with "-dirty" where files have been changed since."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(path: Path, value: object) -> None:
    """Written beside and renamed: an interrupted benchmark leaves the last whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(value, indent=2) + "\n")
    beside.replace(path)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def default_threads() -> int:
    return os.cpu_count() or 1


def command_line(doc: str, out: str, *, pair: bool = False) -> argparse.ArgumentParser:
    """The options that most scripts have; the first line of ``doc`` says what the script is for."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    if pair:
        parser.add_argument("--content", type=Path, default=CONTENT, help="the photograph")
        parser.add_argument("--style", type=Path, default=STYLE, help="the painting")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--out", type=Path, default=Path("runs") / out)
    return parser
