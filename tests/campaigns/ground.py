"""What the campaigns share: a folder with small inputs of every kind, and commands in processes that may be killed.

A process is a fork of this one, in which torch is loaded already: a run takes tenths of a second.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import impasto.paint
from impasto import course
from impasto.__main__ import run as program
from impasto.features.compact import FORMAT
from impasto.files.cards import pack
from impasto.layers import VGG19_CHANNELS
from impasto.lessons.drawn import draw_faces
from impasto.networks.autoencoder import AutoEncoder

#: Layers of the extractor, and their channels.
TINY = (("relu1_1", 6), ("relu2_1", 8), ("relu3_1", 8), ("relu4_1", 8), ("relu4_2", 8), ("relu5_1", 8))
#: What the commands import once they run: here, so that no process has to.
LATER = (
    *("impasto.engine", "impasto.cli.stylize", "impasto.cli.sweep", "impasto.cli.rerun", "impasto.cli.train"),
    *("impasto.lessons.attributes", "impasto.lessons.faces", "impasto.training.autoencoder", "impasto.training.distil"),
    *("lightning_fabric", "torchmetrics.classification", "matplotlib.figure", "torch.utils.tensorboard", "pydantic"),
)
#: Seconds that any of these commands may take.
LIMIT = 120.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or the negative number of a signal; what it printed; seconds, and bytes."""

    code: int
    text: str
    seconds: float
    memory: int

    @property
    def plain(self) -> bool:
        """Whether a mistake was told as it should be: one line after all notices, and the code for it."""
        lines = self.text.splitlines()
        errors = [line for line in lines if line.startswith("impasto: error: ")]
        noticed = all(line.startswith(("impasto: ", "step ")) for line in lines)
        return self.code == 2 and noticed and errors == lines[-1:]


def make_ground(folder: Path) -> Path:
    """photo.png, painting.png, start.png, tiny.safetensors, net.safetensors, photos/, paintings/ and faces/."""
    for name in LATER:
        with suppress(ImportError):
            import_module(name)
    folder.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(0)
    for name, count in (("photos", 21), ("paintings", 21), (".", 3)):
        (folder / name).mkdir(exist_ok=True)
        names = [f"{index:02}" for index in range(count)] if name != "." else ["photo", "painting", "start"]
        for title in names:
            coarse = dice.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{title}.png")
    torch.manual_seed(0)
    tensors, width = {}, 3
    for layer, channels in TINY:
        tensors[f"{layer}.weight"] = torch.randn(channels, width, 3, 3) * (2 / (9 * width)) ** 0.5
        tensors[f"{layer}.bias"] = torch.zeros(channels)
        tensors[f"{layer}.projection"] = torch.eye(VGG19_CHANNELS[layer], channels)
        width = channels
    (folder / "tiny.safetensors").write_bytes(pack(tensors, {"format": FORMAT, "architecture": TINY}))
    network = AutoEncoder(widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8)
    torch.nn.init.normal_(network.last.kernel.weight)
    network.to_file(folder / "net.safetensors")
    if not (folder / "faces").exists():
        draw_faces(folder / "faces", 30, 1, side=16)
        rows = "".join(f"{number:06}.jpg,{max(0, number % 5 - 2)}\n" for number in range(1, 31))
        (folder / "faces" / "list_eval_partition.csv").write_text("image_id,partition\n" + rows)
    return folder


def keep_always() -> None:
    """Write a checkpoint after every step, as a run of hours does from time to time."""
    impasto.paint.CHECKPOINT_SECONDS = course.CHECKPOINT_SECONDS = 0.0


def start(folder: Path, arguments: list[str], prepare: Callable[[], None] = lambda: None) -> int:
    """Begin a command in ``folder``; returns the number of its process. What it prints goes into a file beside it."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.chdir(folder)
        output = os.open(_said(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number, name in ((1, "stdout"), (2, "stderr")):
            setattr(sys, name, os.fdopen(number, "w", 1, errors="backslashreplace", closefd=False))
        os.environ["IMPASTO_HOME"] = str(folder / "home")
        prepare()
        code = program(arguments)
    finally:
        os._exit(code)


def wait(child: int, folder: Path, began: float) -> Ended:
    """Wait for a process of :func:`start`; one that takes too long is killed."""
    while True:
        number, status, usage = os.wait4(child, os.WNOHANG)
        if number:
            break
        if time.monotonic() - began > LIMIT:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    said = _said(folder)  # Not there where it was killed before it could say anything.
    text = said.read_text(errors="replace") if said.exists() else ""
    said.unlink(missing_ok=True)
    return Ended(os.waitstatus_to_exitcode(status), text, time.monotonic() - began, usage.ru_maxrss * 1024)


def run(folder: Path, arguments: list[str], prepare: Callable[[], None] = lambda: None) -> Ended:
    """A command, to its end."""
    began = time.monotonic()
    return wait(start(folder, arguments, prepare), folder, began)


def _said(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.said")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, by its path inside."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
