from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.cli import train_faces
from impasto.lessons import faces, generator
from impasto.lessons.celeba import CelebA
from impasto.lessons.drawn import draw_faces
from impasto.lessons.faces import FaceProgress, FacesConfig, FacesResult
from impasto.lessons.generator import FaceGenerator

from .conftest import Run

BASIC = ("train", "faces", "--data", "drawn", "--out", "net.safetensors", "--device", "cpu")
CHECKPOINT = Path("net.safetensors.checkpoint")


@pytest.fixture(autouse=True)
def data(folder: Path) -> None:
    draw_faces("drawn", 12, 1, side=16)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the training: three steps; remembers what it was called with."""
    calls: list[dict[str, Any]] = []

    def train(
        config: FacesConfig, data: CelebA, extractor: Any, out: Path, *, callback: Callable[..., Any], **keywords: Any
    ) -> FacesResult:
        calls.append({"config": config, "faces": len(data), "extractor": extractor.name, "out": out, **keywords})
        keywords["log"]("10 faces to learn from")
        for step in (1, 2, 3):
            callback(FaceProgress(step, 3, 1 / step, 0.5, 2.0, 7.0 * step))
        out.write_bytes(b"weights")
        return FacesResult(0.25, 4.0, 0.0, {0: 4.0, 3: 0.25})

    monkeypatch.setattr(faces, "train", train)
    return calls


def test_from_faces_to_a_sheet(run: Run) -> None:
    """The whole way, on drawn faces."""
    small = ("--steps", "3", "--batch", "4", "--side", "16", "--width", "2", "--sample-every", "2")
    result = run(*BASIC, *small)
    assert result.code == 0, result.err
    assert not CHECKPOINT.exists()
    assert FaceGenerator.from_file("net.safetensors").side == 16
    sheets = sorted(file.name for file in Path("net-samples").iterdir())
    assert sheets == [f"{name}-00000{step}.png" for name in ("sheet", "strip") for step in (2, 3)]
    with Image.open("net-samples/sheet-000003.png") as picture:
        assert picture.size == (8 * 18 - 2, 8 * 18 - 2)
    assert result.out.startswith("The generator is in net.safetensors, sheets in net-samples. Its faces are ")
    assert run("generate", "faces", "--model", "net.safetensors", "-o", "sheet.png").code == 0


def test_defaults_are_the_librarys(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC)
    assert result.code == 0
    assert result.err.splitlines() == [
        "impasto: 10 faces to learn from",
        "impasto: step 1/3  discriminator 1.000  generator 0.500  distance 2.000  14 s left",
        "impasto: step 3/3  discriminator 0.333  generator 0.500  distance 2.000  0 s left",
    ]
    assert result.out.endswith(
        "Its faces are 0.250 from real ones (untrained: 4.000, real ones from one another: 0.000).\n"
    )
    (call,) = trained
    assert call["config"] == FacesConfig()
    assert (call["faces"], call["extractor"], call["device"]) == (12, "compact", "cpu")
    assert (call["checkpoint"], call["samples"]) == (CHECKPOINT, Path("net-samples"))
    assert train_faces.SIDES == generator.SIDES


def test_every_option_arrives(run: Run, trained: list[dict[str, Any]]) -> None:
    options = (
        "--steps 5 --batch 7 --side 128 --width 9 --learning-rate 0.01 --penalty 3 --no-augment --sample-every 2 "
        "--seed 3 --samples there"
    )
    assert run(*BASIC, *options.split()).code == 0
    assert trained[0]["samples"] == Path("there")
    assert trained[0]["config"] == FacesConfig(
        steps=5, batch=7, side=128, width=9, learning_rate=0.01, penalty=3.0, augment=False, sample_every=2, seed=3
    )


def test_json(run: Run, trained: list[dict[str, Any]]) -> None:
    *steps, last = (json.loads(line) for line in run(*BASIC, "--json").out.splitlines())
    losses = {"discriminator_loss": 0.5, "generator_loss": 0.5}
    assert steps[1] == {"step": 2, "steps": 3, **losses, "distance": 2.0, "seconds": 14.0}
    distances = {"distance": 0.25, "before": 4.0, "floor": 0.0}
    assert last == {"output": "net.safetensors", "samples": "net-samples", **distances}


def test_quiet(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "gone"), "--data: gone is not there; name a folder with faces in it"),
        (("--data", "there.safetensors"), "there.safetensors: cut short, or no zip"),
        (("--data", "home"), "home: 0 JPEG or PNG files; 10 are the least"),
        (("--out", "net.pth"), "--out: net.pth has to end in .safetensors"),
        (("--out", "gone/net.safetensors"), "--out: there is no folder gone"),
        (("--out", "there.safetensors"), "--out: there.safetensors exists; name another file or add --force"),
        (("--side", "60"), "--side: 60 is none of 16, 32, 64, 128"),
        (("--samples", "photo.png"), "--samples: photo.png is a file; name a folder"),
        (("--steps", "0"), "'--steps': 0 is not a number from 1 up"),
        (("--quiet", "--json"), "--quiet and --json"),
    ],
)
def test_mistakes(run: Run, trained: list[dict[str, Any]], options: tuple[str, ...], message: str) -> None:
    Path("there.safetensors").write_bytes(b"")
    Path("home").mkdir()
    result = run(*BASIC, *options)
    assert result.code == 2
    assert message in result.error
    assert trained == []


class TestCutShort:
    def test_says_how_to_go_on(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def train(*arguments: object, **keywords: object) -> None:
            CHECKPOINT.write_bytes(b"state")
            raise KeyboardInterrupt

        monkeypatch.setattr(faces, "train", train)
        result = run(*BASIC)
        assert result.code == 130
        assert result.error == f"impasto: stopped; the same command with --resume goes on from {CHECKPOINT}"

    def test_is_not_thrown_away(self, run: Run, trained: list[dict[str, Any]]) -> None:
        CHECKPOINT.write_bytes(b"state")
        result = run(*BASIC)
        assert result.code == 2
        assert result.error.startswith(f"impasto: error: {CHECKPOINT} is there from a run cut short")
        assert trained == []

    @pytest.mark.parametrize("option", ["--resume", "--force"])
    def test_goes_on_or_begins_anew(self, run: Run, trained: list[dict[str, Any]], option: str) -> None:
        CHECKPOINT.write_bytes(b"state")
        assert run(*BASIC, option).code == 0
        assert len(trained) == 1
        assert not CHECKPOINT.exists()

    def test_the_time_left_counts_the_steps_of_this_run(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def train(*arguments: object, callback: Callable[..., Any], **keywords: object) -> None:
            callback(FaceProgress(91, 100, 0.5, 0.5, 1.0, 10.0))
            raise KeyboardInterrupt

        monkeypatch.setattr(faces, "train", train)
        assert "step 91/100  discriminator 0.500  generator 0.500  distance 1.000  1:30 left" in run(*BASIC).err

    def test_nothing_to_go_on_from(self, run: Run, trained: list[dict[str, Any]]) -> None:
        result = run(*BASIC, "--resume")
        assert result.code == 0
        assert f"--resume: there is no {CHECKPOINT} to go on from; beginning anew" in result.err
