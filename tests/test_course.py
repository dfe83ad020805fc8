from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from impasto.course import Course, Step
from impasto.errors import ImpastoError
from impasto.files.checkpoint import read_checkpoint, write_checkpoint


def drive(course: Course, steps: int = 5, memo: dict[str, Any] | None = None) -> nn.Linear:
    """A training whose weights count its steps."""
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    course.begin(steps, {"settings": {"steps": steps}}, {"network": network}, memo)
    for step in course:
        with torch.no_grad():
            network.weight += 1
        if memo is not None:
            memo["last"] = step
        if course.tell(loss=1 / (step + 1), best=None):
            break
    course.keep()
    return network


def test_every_step_is_told() -> None:
    heard: list[Step] = []
    drive(Course(callback=heard.append))
    assert [(step.step, step.steps) for step in heard] == [(number, 5) for number in range(1, 6)]
    assert heard[1].figures == {"loss": 0.5, "best": None}
    assert 0 <= heard[0].seconds <= heard[-1].seconds < 5


def test_cut_short_and_resumed(tmp_path: Path) -> None:
    def interrupt(step: Step) -> None:
        if step.step == 3:
            raise KeyboardInterrupt

    memo, lines, heard = {"last": -1}, [], []
    with pytest.raises(KeyboardInterrupt):
        drive(Course(tmp_path / "run", seconds=0, callback=interrupt), memo=memo)
    course = Course(tmp_path / "run", callback=heard.append, log=lines.append)
    assert course.resumed
    network = drive(course, memo=(again := {"last": -1}))
    assert [step.step for step in heard] == [3, 4, 5], "the step without a checkpoint is done again"
    assert network.weight.item() == 5
    assert again == {"last": 4}
    assert lines == ["continuing after step 2"]


def test_the_seconds_go_on(tmp_path: Path) -> None:
    heard: list[Step] = []
    drive(Course(tmp_path / "run", callback=lambda step: step.step == 2))
    parts = {"network": nn.Linear(1, 1)}
    notes = read_checkpoint(tmp_path / "run", {}, parts)
    write_checkpoint(tmp_path / "run", {"settings": {"steps": 5}}, parts, {**notes, "seconds": 100.0})
    drive(Course(tmp_path / "run", callback=heard.append))
    assert 100 < heard[0].seconds < 105


def test_the_callback_ends_it(tmp_path: Path) -> None:
    assert drive(Course(tmp_path / "run", callback=lambda step: step.step == 2)).weight.item() == 2
    assert drive(Course(tmp_path / "run")).weight.item() == 5, "and it can be resumed"


def test_it_is_kept_now_and_then(tmp_path: Path) -> None:
    drive(Course(tmp_path / "run", seconds=1e9, callback=lambda step: (tmp_path / "run").exists()))
    assert read_checkpoint(tmp_path / "run", {}, {})["step"] == 5


def test_only_who_leads_tells_and_writes(tmp_path: Path) -> None:
    heard: list[Any] = []
    course = Course(tmp_path / "run", seconds=0, callback=heard.append, log=heard.append)
    course.leads = False
    course.log("nothing")
    assert drive(course).weight.item() == 5
    assert heard == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_a_number(loss: float) -> None:
    course = Course()
    course.begin(3, {}, {})
    course.check(1.0, 2.0)
    course.tell()
    with pytest.raises(ImpastoError, match="step 2: the loss is not a number; lower learning_rate"):
        course.check(1.0, loss)


def test_anew_in_spite_of_a_checkpoint(tmp_path: Path) -> None:
    """It is replaced by the first of the new training, not before."""
    drive(Course(tmp_path / "run", callback=lambda step: step.step == 2))
    before, heard = (tmp_path / "run").read_bytes(), []

    def look(step: Step) -> None:
        heard.append(step.step)
        assert (tmp_path / "run").read_bytes() == before

    drive(Course(tmp_path / "run", resume=False, callback=look))
    assert heard == [1, 2, 3, 4, 5]
    assert (tmp_path / "run").read_bytes() != before


def test_no_room_for_a_checkpoint(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "run").mkdir()
    network = drive(Course(tmp_path / "run", seconds=0, log=lines.append))
    assert network.weight.item() == 5
    assert all(line.startswith(f"no checkpoint is kept: {tmp_path / 'run'}: is a folder") for line in lines)
    assert len(lines) >= 1
