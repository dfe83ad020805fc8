from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from impasto import features
from impasto.training import autoencoder
from impasto.training.autoencoder import Step, TrainConfig
from impasto.training.evaluation import Accuracy, Scores

from .conftest import Run

pytest.importorskip("lightning_fabric")

BASIC = ("train", "autoencoder", "--content", "photos", "--style", "paintings", "--out", "new.safetensors")
SCORES = Scores(0.1875, 0.625, (0.1875,), (0.625,), "judge", None)


@pytest.fixture
def trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the training: three steps; remembers what it was called with."""
    calls: list[dict[str, Any]] = []

    def train(
        config: TrainConfig,
        content: Path,
        style: Path,
        extractor: object,
        out: Path,
        *,
        callback: Callable[..., Any],
        log: Callable[[str], None],
        **keywords: Any,
    ) -> Scores:
        calls.append({"config": config, "data": (content, style), "extractor": extractor, "out": out, **keywords})
        log("2 photographs")
        for step in (1, 2, 3):
            callback(Step(step, 3, {"content": 0.5, "style": 1 / step}, 7.0 * step))
        out.write_bytes(b"weights")
        return replace(SCORES, critic=Accuracy(0.5, 0.75)) if config.adversarial else SCORES

    monkeypatch.setattr(autoencoder, "train", train)
    monkeypatch.setattr(features, "load_extractor", lambda name: f"the extractor {name}")
    for name in ("photos", "paintings"):
        Path(name).mkdir()
    return calls


def test_defaults_are_the_librarys(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC)
    assert result.code == 0
    assert result.out == (
        "The auto-encoder is in new.safetensors (style share 0.188, content error 0.625; judge: judge), "
        "curves and sheets in new-journal.\n"
    )
    assert result.err.splitlines() == [
        "impasto: 2 photographs",
        "impasto: step 1/3  content 0.5000  style 1.0000",
        "impasto: step 3/3  content 0.5000  style 0.3333  0 s left",
    ]
    (call,) = trained
    assert call.pop("device") in ("cpu", "cuda", "mps")
    assert call.pop("config") in (TrainConfig(), TrainConfig(precision="bf16"))
    assert call == {
        "data": (Path("photos"), Path("paintings")),
        "extractor": "the extractor compact",
        "judge": "the extractor auto",
        "out": Path("new.safetensors"),
        "devices": 1,
        "checkpoint": Path("new.safetensors.checkpoint"),
        "start_from": None,
        "journal": Path("new-journal"),
    }


def test_every_option_arrives(run: Run, trained: list[dict[str, Any]]) -> None:
    Path("old.safetensors").write_bytes(b"")
    options = "--residual --adversarial --content-weight 0.002 --adversarial-weight 0.5 --steps 5 --batch 4 --side 64"
    options += " --learning-rate 0.01 --seed 9 --extractor vgg19 --judge compact --start-from old.safetensors"
    options += " --journal curves --device cpu --devices 2 --precision bf16"
    assert run(*BASIC, *options.split()).code == 0
    (call,) = trained
    assert asdict(call["config"]) == {
        **asdict(TrainConfig()),
        "residual": True,
        "adversarial": True,
        "content_weight": 0.002,
        "adversarial_weight": 0.5,
        "steps": 5,
        "batch": 4,
        "side": 64,
        "learning_rate": 0.01,
        "seed": 9,
        "precision": "bf16",
    }
    assert (call["extractor"], call["judge"]) == ("the extractor vgg19", "the extractor compact")
    assert (call["device"], call["devices"]) == ("cpu", 2)
    assert (call["start_from"], call["journal"]) == (Path("old.safetensors"), Path("curves"))


def test_the_critics_accuracy_is_told(run: Run, trained: list[dict[str, Any]]) -> None:
    assert "content error 0.625, the critic right about 62%; judge" in run(*BASIC, "--adversarial").out


def test_json(run: Run, trained: list[dict[str, Any]]) -> None:
    *steps, last = (json.loads(line) for line in run(*BASIC, "--adversarial", "--json").out.splitlines())
    assert steps[1] == {"step": 2, "steps": 3, "losses": {"content": 0.5, "style": 0.5}, "seconds": 14.0}
    assert last == {
        "output": "new.safetensors",
        "journal": "new-journal",
        "judge": "judge",
        "style_share": 0.1875,
        "content_error": 0.625,
        "critic": {"real": 0.5, "painted": 0.75, "total": 0.625},
    }


def test_quiet(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_the_other_processes_are_silent(
    run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    Path("new.safetensors.checkpoint").write_bytes(b"of the first process")
    result = run(*BASIC, "--resume")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert Path("new.safetensors.checkpoint").exists(), "the first process removes it"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--content", "gone"), "--content: gone is no folder"),
        (("--style", "photo.png"), "--style: photo.png is no folder"),
        (("--extractor", "vgg16"), "--extractor: 'vgg16' is neither a file nor one of compact, vgg19"),
        (("--judge", "vgg16"), "--judge: 'vgg16' is neither a file nor one of auto, vgg19, compact"),
        (("--out", "new.pth"), "--out: new.pth has to end in .safetensors"),
        (("--out", "gone/new.safetensors"), "--out: there is no folder gone"),
        (("--out", "there.safetensors"), "--out: there.safetensors exists"),
        (("--side", "100"), "--side: 100 is no multiple of 16; give 96"),
        (("--side", "16"), "'--side': 16 is not a number from 32 up"),
        (("--batch", "8", "--devices", "3"), "--batch: 8 pairs cannot be shared by 3 devices"),
        (
            ("--adversarial-weight", "0.1"),
            "--adversarial-weight: weighs a critic, and there is none; add --adversarial",
        ),
        (("--content-weight", "-1"), "'--content-weight': -1.0 is not a number from 0 up"),
        (("--start-from", "gone.safetensors"), "--start-from: there is no gone.safetensors"),
        (("--journal", "photo.png"), "--journal: photo.png is a file; name a folder"),
        (("--quiet", "--json"), "--quiet and --json"),
    ],
)
def test_mistakes(run: Run, trained: list[dict[str, Any]], options: tuple[str, ...], message: str) -> None:
    Path("there.safetensors").write_bytes(b"")
    result = run(*BASIC, *options)
    assert result.code == 2
    assert message in result.error
    assert trained == []


def test_without_the_extra(run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "impasto.cli.train_autoencoder.find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    result = run(*BASIC)
    assert result.code == 2
    assert "tensorboard missing; install what training needs: pip install 'impasto[train]'" in result.error


class TestCutShort:
    CHECKPOINT = Path("new.safetensors.checkpoint")

    def test_says_how_to_go_on(self, run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
        def train(*arguments: object, **keywords: object) -> None:
            self.CHECKPOINT.write_bytes(b"state")
            raise KeyboardInterrupt

        monkeypatch.setattr(autoencoder, "train", train)
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
