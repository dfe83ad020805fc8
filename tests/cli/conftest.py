from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli import main
from impasto.networks.autoencoder import AutoEncoder


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The only line on stderr, of a command that printed nothing else."""
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


class Impatient:
    """A stream whose reader presses Ctrl-C as soon as ``word`` has been printed."""

    def __init__(self, stream: Any, word: str) -> None:
        self._stream, self._word = stream, word

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        written = int(self._stream.write(text))
        if self._word in text:
            raise KeyboardInterrupt
        return written


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; with ``stop_after``, until it prints this word."""

    def run(*arguments: str | Path | float, stop_after: str | None = None) -> Result:
        capfd.readouterr()
        with contextlib.ExitStack() as streams:
            if stop_after is not None:
                streams.enter_context(contextlib.redirect_stdout(Impatient(sys.stdout, stop_after)))
                streams.enter_context(contextlib.redirect_stderr(Impatient(sys.stderr, stop_after)))
            code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with two small pictures, photo.png and painting.png; no weights on the machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    y, x = np.mgrid[0:24, 0:32]
    photo = np.stack([8 * x, 10 * y, 4 * x + 5 * y], axis=-1).astype(np.uint8)
    Image.fromarray(photo).save("photo.png")
    stripes = np.where((x + y)[..., None] % 8 < 4, [220, 60, 20], [20, 60, 160]).astype(np.uint8)
    Image.fromarray(stripes).save("painting.png")
    return tmp_path


def sha256(path: Any) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture
def network(folder: Path) -> Path:
    """net.safetensors in the current folder: a narrow network that paints something, though it never trained."""
    torch.manual_seed(0)
    network = AutoEncoder(widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8)
    torch.nn.init.normal_(network.last.kernel.weight)
    network.to_file("net.safetensors")
    return Path("net.safetensors")


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Commands that train set torch's thread count for the rest of the process, which a test outlives."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def painted(output: str = "out.png") -> bool:
    """Whether a whole picture lies there, with nothing left beside it."""
    with Image.open(output) as picture:
        picture.load()
    return not any(name.startswith(output + ".") for name in os.listdir())
