from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto import gallery, painting
from impasto.cli import main
from impasto.networks.autoencoder import AutoEncoder
from impasto.painting import Painting, Progress
from impasto.recipe import Input, Recipe


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


@dataclass
class FakeStylize:
    """Stands in for impasto.stylize: three steps without an extractor. Remembers what it was called with."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    notices: tuple[str, ...] = ()
    at_step: Callable[[int], None] = field(default=lambda step: None)

    def __call__(self, content: Any, styles: Any, *, callback: Any, **keywords: Any) -> Painting:
        self.calls.append({"content": content, "styles": styles, **keywords})
        picture = torch.linspace(0, 1, 24 * 32).view(1, 1, 24, 32).repeat(1, 3, 1, 1)
        records = []
        for step in (1, 2, 3):
            self.at_step(step)
            records.append(Progress(step, 3, 32, 0.5 / step, 0.1 / step, 0.2 / step, float(step), picture))
            callback(records[-1])
        recipe = Recipe(
            version=impasto.__version__,
            content=Input(str(content), sha256(content)),
            styles=tuple(Input(str(style), sha256(style)) for style in styles),
            settings={"size": 32, "seed": 5},
            extractor="compact",
            extractor_sha256="0" * 64,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
        )
        return Painting(picture, None, records, recipe, self.notices, 3.0)


def sha256(path: Any) -> str:
    return hashlib.sha256(gallery.resolve(path).read_bytes()).hexdigest()


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
    """Commands set torch's thread count for the rest of the process, which a test outlives."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, folder: Path) -> FakeStylize:
    stylize = FakeStylize()
    monkeypatch.setattr(painting, "stylize", stylize)
    return stylize
