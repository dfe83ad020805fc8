from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from impasto.cli.training import TrainingReporter


def tell(reporter: TrainingReporter, *steps: tuple[int, float], of: int = 100) -> None:
    for step, seconds in steps:
        reporter.step(SimpleNamespace(step=step, steps=of, seconds=seconds), {"loss": 0.5}, "loss 0.5")


def test_a_line_every_ten_seconds_and_for_the_last_step(capsys: pytest.CaptureFixture[str]) -> None:
    tell(TrainingReporter(quiet=False, json=False), (1, 2.0), (2, 4.0), (6, 12.0), (7, 13.0), (100, 14.0))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["1/100", "6/100", "100/100"]
    assert lines[1].endswith("loss 0.5  3:08 left")  # 94 steps of two seconds.


@pytest.mark.parametrize(("warm_up", "seconds", "left"), [(False, (3.0, 23.0), "1:24"), (True, (303.0, 323.0), "1:20")])
def test_time_left_counts_the_steps_of_this_run(
    capsys: pytest.CaptureFixture[str], warm_up: bool, seconds: tuple[float, float], left: str
) -> None:
    """Gone on with at step 51: ten steps in twenty seconds, after one that took three."""
    tell(TrainingReporter(quiet=False, json=False, warm_up=warm_up), (51, seconds[0]), (61, seconds[1]), of=101)
    first, last = capsys.readouterr().err.splitlines()
    assert last.endswith(f"{left} left")
    assert ("left" in first) is not warm_up


def test_an_object_for_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    tell(TrainingReporter(quiet=False, json=True), (1, 0.12345), (2, 0.2))
    first, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"step": 1, "steps": 100, "loss": 0.5, "seconds": 0.123}


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = TrainingReporter(quiet=True, json=False)
    tell(reporter, (1, 0.0), (100, 50.0))
    reporter.log("a line")
    assert capsys.readouterr() == ("", "")
