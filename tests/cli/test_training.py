"""What the four commands that train do alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from impasto.cli.training import Session, TrainingReporter, trains
from impasto.configs import AttributesConfig, AutoencoderConfig, ExtractorConfig, FacesConfig
from impasto.course import Step
from impasto.errors import ImpastoError
from impasto.files.atomic import claimed
from impasto.files.cards import pack
from impasto.files.checkpoint import write_checkpoint

from .conftest import COMMANDS, Run

CHECKPOINT = Path("new.safetensors.checkpoint")

every_command = pytest.mark.parametrize("name", COMMANDS)


def steps(*done: tuple[int, float], of: int = 100) -> list[Step]:
    return [Step(step, of, {"epoch": 2, "loss": 0.5, "best": None}, seconds) for step, seconds in done]


class TestReporter:
    def test_a_line_every_ten_seconds_and_for_the_last_step(self, capsys: pytest.CaptureFixture[str]) -> None:
        reporter = TrainingReporter(quiet=False, json=False)
        for step in steps((1, 2.0), (2, 4.0), (6, 12.0), (7, 13.0), (100, 14.0)):
            reporter.step(step)
        assert capsys.readouterr().err.splitlines() == [
            "impasto: step 1/100  epoch 2  loss 0.5",
            "impasto: step 6/100  epoch 2  loss 0.5  3:08 left",  # 94 steps of two seconds.
            "impasto: step 100/100  epoch 2  loss 0.5  0 s left",
        ]

    def test_the_time_left_counts_the_steps_of_this_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Resumed at step 51, after five minutes: ten steps in twenty seconds."""
        reporter = TrainingReporter(quiet=False, json=False)
        for step in steps((51, 303.0), (61, 323.0), of=101):
            reporter.step(step)
        first, last = capsys.readouterr().err.splitlines()
        assert "left" not in first
        assert last.endswith("1:20 left")

    def test_an_object_for_every_step(self, capsys: pytest.CaptureFixture[str]) -> None:
        reporter = TrainingReporter(quiet=False, json=True)
        for step in steps((1, 0.12345), (2, 0.2)):
            reporter.step(step)
        first, _ = map(json.loads, capsys.readouterr().out.splitlines())
        assert first == {"step": 1, "steps": 100, "epoch": 2, "loss": 0.5, "best": None, "seconds": 0.123}

    def test_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        reporter = TrainingReporter(quiet=True, json=False)
        for step in steps((1, 0.0), (100, 50.0)):
            reporter.step(step)
        reporter.log("a line")
        assert capsys.readouterr() == ("", "")


@every_command
class TestEveryCommand:
    def test_what_it_says(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        result = run(*COMMANDS[name])
        assert result.code == 0, result.err
        assert result.err.splitlines() == [
            "impasto: what there is to learn from",
            "impasto: step 1/3  loss 1",
            "impasto: step 3/3  loss 0.3333  0 s left",
        ]
        assert "new.safetensors" in result.out
        assert not CHECKPOINT.exists(), "it is over"

    def test_json(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        *told, last = map(json.loads, run(*COMMANDS[name], "--json").out.splitlines())
        assert told[1] == {"step": 2, "steps": 3, "loss": 0.5, "seconds": pytest.approx(0, abs=5)}
        assert last["output"] == "new.safetensors"

    def test_quiet(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        result = run(*COMMANDS[name], "--quiet")
        assert (result.code, result.out, result.err) == (0, "", "")

    def test_where_and_with_how_many_threads(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        assert run(*COMMANDS[name], "--device", "cpu", "--threads", "3").code == 0
        assert (trained[0]["device"], trained[0]["threads"]) == ("cpu", 3)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--out", "new.pth"), "--out: new.pth has to end in .safetensors"),
            (("--out", "gone/new.safetensors"), "--out: there is no folder gone"),
            (("--out", "there.safetensors"), "--out: there.safetensors exists; name another file or add --force"),
            (("--batch", "0"), "--batch: 0 is out of range; give a whole number from "),
            (("--seed", "-1"), "--seed: -1 is out of range; give a whole number from 0 to"),
            (("--learning-rate", "nan"), "--learning-rate: nan is out of range; give a number from 0 to"),
            (("--threads", "0"), "--threads: 0 is out of range"),
            (("--device", "tpu"), "'--device'"),
            (("--quiet", "--json"), "--quiet and --json"),
        ],
    )
    def test_mistakes(
        self, run: Run, trained: list[dict[str, Any]], name: str, options: tuple[str, ...], message: str
    ) -> None:
        Path("there.safetensors").write_bytes(b"")
        result = run(*COMMANDS[name], *options)
        assert result.code == 2
        assert message in result.error
        assert trained == []

    def test_cut_short_it_says_how_to_go_on(
        self, run: Run, standing_in: Callable[[Callable[..., Any]], None], name: str
    ) -> None:
        def train(*arguments: object, **keywords: object) -> None:
            CHECKPOINT.write_bytes(b"state")
            raise KeyboardInterrupt

        standing_in(train)
        result = run(*COMMANDS[name])
        assert result.code == 130
        assert result.error == f"impasto: stopped; the same command with --resume goes on from {CHECKPOINT}"

    def test_an_hours_work_is_not_thrown_away(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        CHECKPOINT.write_bytes(b"state")
        result = run(*COMMANDS[name])
        assert result.code == 2
        assert result.error.startswith(f"impasto: error: {CHECKPOINT} is there from a run cut short; add --resume")
        assert CHECKPOINT.exists()
        assert trained == []

    @pytest.mark.parametrize("option", ["--resume", "--force"])
    def test_goes_on_or_begins_anew(self, run: Run, trained: list[dict[str, Any]], name: str, option: str) -> None:
        write_checkpoint(CHECKPOINT, {}, {}, {"step": 2, "seconds": 9.0, "memo": {}})
        result = run(*COMMANDS[name], option, "--json")
        assert result.code == 0
        told = [json.loads(line).get("step") for line in result.out.splitlines()]
        assert told[:-1] == ([3] if option == "--resume" else [1, 2, 3])
        assert not CHECKPOINT.exists()

    def test_killed_between_saving_and_cleaning_up(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        """What it has written already is written again."""
        write_checkpoint(CHECKPOINT, {}, {}, {"step": 3, "seconds": 9.0, "memo": {}})
        Path("new.safetensors").write_bytes(b"weights")
        assert run(*COMMANDS[name], "--resume").code == 0
        assert not CHECKPOINT.exists()
        if name == "attributes":
            assert all(Path(f"new{ending}").stat().st_size for ending in (".json", ".txt", ".png"))

    def test_finished_already(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        kinds = (AttributesConfig, FacesConfig, AutoencoderConfig, ExtractorConfig)
        kind = next(kind for kind in kinds if kind.__name__.lower().startswith(name))
        more = {"precision": "auto"} if hasattr(kind, "precision") else {}
        Path("new.safetensors").write_bytes(pack({}, {"config": asdict(kind(**more))}))
        result = run(*COMMANDS[name], "--resume")
        assert (result.code, trained) == (0, [])
        assert result.error == "impasto: new.safetensors is finished already; there is nothing left to do"
        Path("new.safetensors").write_bytes(pack({}, {"config": asdict(kind(seed=7, **more))}))
        assert "new.safetensors exists; name another file or add --force" in run(*COMMANDS[name], "--resume").error

    def test_one_at_a_time(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        with claimed("new.safetensors"):
            result = run(*COMMANDS[name])
        assert result.error.endswith("new.safetensors: another run is writing it; wait for it, or name another file")
        assert trained == []

    def test_there_is_nothing_to_go_on_from(self, run: Run, trained: list[dict[str, Any]], name: str) -> None:
        result = run(*COMMANDS[name], "--resume")
        assert result.code == 0
        assert f"there is no {CHECKPOINT} to go on from; beginning anew" in result.err

    def test_help_has_every_extra_in_its_brackets(self, run: Run, name: str) -> None:
        told = run("train", name, "--help").out
        assert "pip install 'impasto'" not in told
        assert "--debug" in told


def test_the_other_processes_are_silent(
    run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    write_checkpoint(CHECKPOINT, {}, {}, {"step": 2, "seconds": 9.0, "memo": {}})
    result = run(*COMMANDS["autoencoder"], "--resume")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert CHECKPOINT.exists(), "the first process removes it"


def test_what_has_to_be_installed(folder: Path) -> None:
    @trains(AttributesConfig, needs=("json", "nowhere_to_be_found"), extra="lessons")
    def command(session: Session) -> None:
        raise AssertionError

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["--out", "new.safetensors"])
    assert isinstance(result.exception, ImpastoError)
    assert str(result.exception) == "nowhere_to_be_found missing; install it: pip install 'impasto[lessons]'"
