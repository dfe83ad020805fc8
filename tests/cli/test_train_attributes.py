from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.cli import train_attributes
from impasto.lessons import attributes
from impasto.lessons.attributes import AttributeProgress, AttributesConfig, load_attributes
from impasto.lessons.celeba import CelebA
from impasto.lessons.drawn import draw_faces
from impasto.lessons.scores import Scores

from .conftest import Run

BASIC = ("train", "attributes", "--data", "faces", "--out", "net.safetensors", "--device", "cpu")
OUTPUTS = ("net.safetensors", "net.json", "net.txt", "net.png")


@pytest.fixture(autouse=True)
def data(folder: Path) -> None:
    draw_faces("faces", 30, 1, side=16)
    rows = "".join(f"{number:06}.jpg,{max(0, number % 5 - 2)}\n" for number in range(1, 31))
    Path("faces", "list_eval_partition.csv").write_text("image_id,partition\n" + rows)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for the training: three steps; remembers what it was called with."""
    calls: list[dict[str, Any]] = []
    values = {"accuracy": 0.9, "f1": 0.5, "average_precision": 0.75}
    models = dict.fromkeys(("network", "linear", "majority"), values)

    def train(
        config: AttributesConfig, data: CelebA, out: Path, *, callback: Callable[..., Any], **keywords: Any
    ) -> Scores:
        calls.append({"config": config, "faces": len(data), "out": out, **keywords})
        keywords["log"]("18 faces for train")
        for step in (1, 2, 3):
            callback(AttributeProgress(step, 3, step, 1 / step, None if step == 1 else 0.25 * step, 7.0 * step))
        out.write_bytes(b"weights")
        return Scores(6, {"Smiling": {"share": 0.5, **models}}, models, 1)

    monkeypatch.setattr(attributes, "train", train)
    return calls


def test_from_faces_to_an_answer(run: Run) -> None:
    """The whole way, on drawn faces."""
    result = run(*BASIC, "--epochs", "2", "--batch", "4", "--side", "16", "--width", "2")
    assert result.code == 0, result.err
    assert all(Path(name).stat().st_size for name in OUTPUTS)
    assert not Path("net.safetensors.checkpoint").exists()
    assert load_attributes("net.safetensors").side == 16
    table = json.loads(Path("net.json").read_text())
    assert table["faces"] == 6
    assert set(table["means"]) == {"network", "linear", "majority"}
    assert Path("net.txt").read_text() in result.out
    told = run("predict", "attributes", "faces/img_align_celeba/000001.jpg", "--model", "net.safetensors")
    assert len(told.out.splitlines()) == 40


def test_defaults_are_the_librarys(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC)
    assert result.code == 0
    assert result.err.splitlines() == [
        "impasto: 18 faces for train",
        "impasto: step 1/3  epoch 1  loss 1.0000  14 s left at most",
        "impasto: step 3/3  epoch 3  loss 0.3333  best AP 0.750  0 s left at most",
    ]
    assert result.out.splitlines()[-1] == (
        "The network is in net.safetensors, this table and a chart beside it (net.json, net.txt, net.png)."
    )
    (call,) = trained
    assert call["config"] == AttributesConfig()
    assert (call["faces"], call["device"]) == (30, "cpu")
    assert call["checkpoint"] == Path("net.safetensors.checkpoint")


def test_every_option_arrives(run: Run, trained: list[dict[str, Any]]) -> None:
    options = "--epochs 5 --batch 7 --side 48 --width 9 --learning-rate 0.01 --weight-decay 0 --patience 2 --seed 3"
    assert run(*BASIC, *options.split()).code == 0
    assert trained[0]["config"] == AttributesConfig(
        epochs=5, batch=7, side=48, width=9, learning_rate=0.01, weight_decay=0.0, patience=2, seed=3
    )


def test_json(run: Run, trained: list[dict[str, Any]]) -> None:
    *steps, last = (json.loads(line) for line in run(*BASIC, "--json").out.splitlines())
    expected = {"step": 2, "steps": 3, "epoch": 2, "loss": 0.5, "average_precision": 0.5, "seconds": 14.0}
    assert steps[1] == expected
    assert last["output"] == "net.safetensors"
    assert last["rows"]["Smiling"]["network"]["f1"] == 0.5


def test_quiet(run: Run, trained: list[dict[str, Any]]) -> None:
    result = run(*BASIC, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "gone"), "--data: gone is no folder"),
        (("--out", "net.pth"), "--out: net.pth has to end in .safetensors"),
        (("--out", "gone/net.safetensors"), "--out: there is no folder gone"),
        (("--out", "there.safetensors"), "--out: there.png exists; name another file or add --force"),
        (("--side", "60"), "--side: 60 is no multiple of 16; give 48"),
        (("--epochs", "0"), "'--epochs': 0 is not a number from 1 up"),
        (("--quiet", "--json"), "--quiet and --json"),
        (("--data", "."), ".: neither img_align_celeba/*.jpg nor img_align_celeba.zip is in it"),
    ],
)
def test_mistakes(run: Run, trained: list[dict[str, Any]], options: tuple[str, ...], message: str) -> None:
    Path("there.png").write_bytes(b"")
    result = run(*BASIC, *options)
    assert result.code == 2
    assert message in result.error
    assert trained == []


def test_a_wrong_label_names_file_and_row(run: Run) -> None:
    table = Path("faces", "list_attr_celeba.csv")
    lines = table.read_text().splitlines()
    lines[3] = lines[3].replace("-1", "0", 1)
    table.write_text("\n".join(lines))
    result = run(*BASIC)
    assert result.code == 2
    assert f"{table}, line 4: 5_o_Clock_Shadow of 000003.jpg is '0'; labels are -1 or 1" in result.error


def test_what_has_to_be_installed(run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_attributes, "find_spec", lambda name: None if name == "torchmetrics" else name)
    result = run(*BASIC)
    assert result.code == 2
    assert "torchmetrics missing; install them: pip install 'impasto[lessons]'" in result.error


class TestCutShort:
    CHECKPOINT = Path("net.safetensors.checkpoint")

    def test_says_how_to_go_on(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def train(*arguments: object, **keywords: object) -> None:
            self.CHECKPOINT.write_bytes(b"state")
            raise KeyboardInterrupt

        monkeypatch.setattr(attributes, "train", train)
        result = run(*BASIC)
        assert result.code == 130
        assert result.error == f"impasto: stopped; the same command with --resume goes on from {self.CHECKPOINT}"
        assert not any(Path(name).exists() for name in OUTPUTS)

    def test_is_not_thrown_away(self, run: Run, trained: list[dict[str, Any]]) -> None:
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

    def test_the_time_left_counts_the_steps_of_this_run(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def train(*arguments: object, callback: Callable[..., Any], **keywords: object) -> None:
            callback(AttributeProgress(91, 100, 1, 0.5, None, 10.0))
            raise KeyboardInterrupt

        monkeypatch.setattr(attributes, "train", train)
        assert "step 91/100  epoch 1  loss 0.5000  1:30 left at most" in run(*BASIC).err

    def test_nothing_to_go_on_from(self, run: Run, trained: list[dict[str, Any]]) -> None:
        result = run(*BASIC, "--resume")
        assert result.code == 0
        assert f"--resume: there is no {self.CHECKPOINT} to go on from; beginning anew" in result.err
