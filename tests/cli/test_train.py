from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from impasto import features
from impasto.machine import resolve_precision
from impasto.training import distil
from impasto.training.distil import TrainConfig, TrainProgress

from .conftest import Run

BASIC = ("train", "extractor", "--data", "images", "--teacher", "vgg19", "--out", "small.safetensors")


@pytest.fixture
def trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the training: three steps; remembers what it was called with."""
    calls: list[dict[str, Any]] = []

    def train(
        config: TrainConfig, data: Path, teacher: object, out: Path, *, callback: Callable[..., Any], **keywords: Any
    ) -> dict[str, float]:
        calls.append({"config": config, "data": data, "teacher": teacher, "out": out, **keywords})
        calls[-1].pop("log")("2 training images")
        for step in (1, 2, 3):
            callback(TrainProgress(step, 3, 1 / step, {"relu1_1": 0.5 / step}, 7.0 * step))
        out.write_bytes(b"weights")
        return {"relu1_1": 0.125}

    monkeypatch.setattr(distil, "train", train)
    monkeypatch.setattr(features, "load_extractor", lambda name: f"the extractor {name}")
    Path("images").mkdir()
    return calls


def test_defaults_are_the_librarys(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC)
    assert result.code == 0
    assert result.out == "The extractor is in small.safetensors (relu1_1 0.125).\n"
    assert result.err.splitlines() == [
        "impasto: 2 training images",
        "impasto: step 1/3  loss 1.0000  1_1 0.500  14 s left",
        "impasto: step 3/3  loss 0.3333  1_1 0.167  0 s left",
    ]
    assert trained == [
        {
            "config": TrainConfig(precision=resolve_precision("auto", "cpu")),
            "data": Path("images"),
            "teacher": "the extractor vgg19",
            "out": Path("small.safetensors"),
            "devices": 1,
            "device": "cpu",
            "checkpoint": Path("small.safetensors.checkpoint"),
            "start_from": None,
        }
    ]


def test_every_option_arrives(run: Run, trained: list[dict[str, Any]]) -> None:
    options = "--steps 5 --batch 4 --side 64 --memory 20 --learning-rate 0.01 --weight-decay 0 --gram-weight 2 --seed 9"
    options += " --painted 1 --paint-every 7 --gradient-weight 0.5 --device cpu --devices 2 --precision bf16"
    assert run(*BASIC, *options.split()).code == 0
    assert asdict(trained[0]["config"]) == {
        **asdict(TrainConfig()),
        "steps": 5,
        "batch": 4,
        "side": 64,
        "memory": 20,
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "gram_weight": 2.0,
        "gradient_weight": 0.5,
        "precision": "bf16",
        "painted": 1,
        "paint_every": 7,
        "seed": 9,
    }
    assert (trained[0]["device"], trained[0]["devices"]) == ("cpu", 2)


def test_json(run: Run, trained: list[dict[str, Any]]) -> None:
    *steps, last = (json.loads(line) for line in run(*BASIC, "--json").out.splitlines())
    assert steps[1] == {"step": 2, "steps": 3, "loss": 0.5, "errors": {"relu1_1": 0.25}, "seconds": 14.0}
    assert last == {"output": "small.safetensors", "errors": {"relu1_1": 0.125}}


def test_quiet(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "gone"), "--data: gone is no folder"),
        (("--teacher", "vgg16"), "--teacher: 'vgg16' is neither a file nor one of vgg19"),
        (("--out", "small.pth"), "--out: small.pth has to end in .safetensors"),
        (("--out", "gone/small.safetensors"), "--out: there is no folder gone"),
        (("--out", "there.safetensors"), "--out: there.safetensors exists"),
        (("--steps", "0"), "'--steps': 0 is not a number from 1 up"),
        (("--painted", "6"), "--painted: 6 of 10 crops, with their styles; give at most half of --batch"),
        (("--devices", "3"), "--batch: 10 crops cannot be shared by 3 devices; give a multiple"),
        (("--batch", "1", "--painted", "0", "--gradient-weight", "1"), "--gradient-weight: compares pictures"),
        (("--start-from", "gone.pt"), "--start-from: there is no gone.pt"),
        (("--side", "8"), "'--side': 8 is not a number from 32 up"),
    ],
)
def test_mistakes(run: Run, trained: list[dict[str, Any]], options: tuple[str, ...], message: str) -> None:
    Path("there.safetensors").write_bytes(b"")
    result = run(*BASIC, *options)
    assert result.code == 2
    assert message in result.error
    assert trained == []


class TestCutShort:
    CHECKPOINT = Path("small.safetensors.checkpoint")

    def test_says_how_to_go_on(self, run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
        def train(*arguments: object, **keywords: object) -> None:
            self.CHECKPOINT.write_bytes(b"state")
            raise KeyboardInterrupt

        monkeypatch.setattr(distil, "train", train)
        result = run(*BASIC)
        assert result.code == 130
        assert result.error == f"impasto: stopped; the same command with --resume goes on from {self.CHECKPOINT}"

    def test_an_hours_work_is_not_thrown_away(self, run: Run, trained: list[dict[str, Any]]) -> None:
        self.CHECKPOINT.write_bytes(b"state")
        result = run(*BASIC)
        assert result.code == 2
        assert result.error.startswith(f"impasto: error: {self.CHECKPOINT} is there from a run cut short")
        assert self.CHECKPOINT.exists()
        assert trained == []

    @pytest.mark.parametrize("option", ["--resume", "--force"])
    def test_goes_on_or_begins_anew(self, run: Run, trained: list[dict[str, Any]], option: str) -> None:
        self.CHECKPOINT.write_bytes(b"state")
        assert run(*BASIC, option).code == 0
        assert len(trained) == 1
        assert not self.CHECKPOINT.exists()

    def test_there_is_nothing_to_go_on_from(self, run: Run, trained: list[dict[str, Any]]) -> None:
        result = run(*BASIC, "--resume")
        assert result.code == 0
        assert f"--resume: there is no {self.CHECKPOINT} to go on from; beginning anew" in result.err
        assert len(trained) == 1
