from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli import main
from impasto.configs import AttributesConfig, ExtractorConfig, FacesConfig
from impasto.course import Course
from impasto.files.shipped import shipped
from impasto.lessons import attributes, faces
from impasto.lessons.drawn import draw_faces
from impasto.lessons.scores import Scores
from impasto.networks.autoencoder import AutoEncoder
from impasto.training import autoencoder, distil, evaluation


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


@pytest.fixture
def animation(folder: Path) -> str:
    """A photograph of which only the first frame is taken, and a notice says so."""
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "green")]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    return "moving.gif"


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
    return not list(Path().glob(f"{output}.*"))


#: The commands that train, with what each of them has to be told.
COMMANDS: dict[str, tuple[str, ...]] = {
    name: ("train", name, *given, "--out", "new.safetensors")
    for name, given in {
        "attributes": ("--data", "drawn"),
        "faces": ("--data", "drawn"),
        "autoencoder": ("--content", "photos", "--style", "paintings"),
        "extractor": ("--data", "photos", "--teacher", "compact.safetensors"),
    }.items()
}


@pytest.fixture
def drawn(folder: Path) -> Path:
    """30 drawn faces, 16 pixels wide, six of them for the test."""
    draw_faces("drawn", 30, 1, side=16)
    rows = "".join(f"{number:06}.jpg,{max(0, number % 5 - 2)}\n" for number in range(1, 31))
    Path("drawn", "list_eval_partition.csv").write_text("image_id,partition\n" + rows)
    return Path("drawn")


@pytest.fixture
def standing_in(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Puts a function in the place of the four trainings, which take minutes; there is something to learn from."""
    for name in ("photos", "paintings"):
        Path(name).mkdir()
    Path("compact.safetensors").write_bytes(
        shipped("compact").read_bytes()
    )  # As good as VGG-19, to those who ask nothing.

    def stand_in(train: Callable[..., Any]) -> None:
        for module in (attributes, faces, autoencoder, distil):
            monkeypatch.setattr(module, "train", train)

    return stand_in


@pytest.fixture
def trained(standing_in: Callable[[Callable[..., Any]], None]) -> list[dict[str, Any]]:
    """What the trainings were called with; each does three steps."""
    calls: list[dict[str, Any]] = []
    values = {"accuracy": 0.9, "f1": 0.5, "average_precision": 0.75}
    models = dict.fromkeys(("network", "linear", "majority"), values)
    judged = evaluation.Scores(0.1875, 0.625, (0.1875,), (0.625,), "judge")

    def train(config: Any, *arguments: Any, course: Course, **keywords: Any) -> Any:
        calls.append({"config": config, "arguments": arguments, "course": course, **keywords})
        calls[-1]["threads"] = torch.get_num_threads()
        course.log("what there is to learn from")
        course.begin(3, {}, {})
        for step in course:
            course.tell(loss=1 / (step + 1))
        Path("new.safetensors").write_bytes(b"weights")
        if isinstance(config, AttributesConfig):
            return Scores(6, {"Smiling": {"share": 0.5, **models}}, models, 1)
        if isinstance(config, FacesConfig):
            return faces.FacesResult(0.25, 4.0, 0.0, {0: 4.0, 3: 0.25})
        if isinstance(config, ExtractorConfig):
            return {"relu1_1": 0.125}
        return replace(judged, critic=evaluation.Accuracy(0.5, 0.75)) if config.adversarial else judged

    standing_in(train)
    return calls
