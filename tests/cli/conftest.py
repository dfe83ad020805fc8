from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.cli import main


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


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> Result:
        capfd.readouterr()
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
