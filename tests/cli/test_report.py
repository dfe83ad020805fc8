from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from impasto.cli import report
from impasto.cli.report import Bar, JsonLines, Lines, Reporter, TimeLeft, choose, duration


@dataclass(frozen=True)
class Step:
    """The fields of impasto.painting.Progress that reporters read."""

    step: int
    steps: int = 100
    scale: int = 128
    content_loss: float = 0.51234567
    style_loss: float = 0.01234567
    total_loss: float = 0.02
    seconds: float = 0.0


@dataclass(frozen=True)
class Scale:
    longest: int
    steps: int


def painting(**changes: Any) -> Any:
    fields = {
        "tensor": SimpleNamespace(shape=(1, 3, 24, 32)),
        "losses": [Step(99), Step(100, style_loss=0.5)],
        "seconds": 64.6,
        "notices": ("first frame",),
        "recipe": SimpleNamespace(extractor="compact", settings={"size": 32}),
    }
    return SimpleNamespace(**{**fields, **changes})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (65, "1:05"), (3599.7, "1:00:00"), (3723, "1:02:03")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    with lines:
        for step in range(1, 101):
            lines.step(Step(step, seconds=step / 10, scale=128 if step <= 30 else 256))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[1] for line in err.splitlines()] == ["1/100", "31/100", "81/100", "100/100"]
    assert err.splitlines()[2] == "step 81/100  256 px  content 0.5123  style 0.01235  2 s left"


def test_where_the_picture_lies(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().done(painting(), Path("out.png"))
    assert capsys.readouterr().out == "The painting is in out.png (32 x 24 pixels, 1:05).\n"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonLines()
    reporter.notice("no weights")
    reporter.step(Step(7, seconds=1.23456))
    reporter.done(painting(), Path("out.png"))
    out, err = capsys.readouterr()
    assert err == "impasto: no weights\n"
    step, result = (json.loads(line) for line in out.splitlines())
    assert step == {
        "step": 7,
        "steps": 100,
        "scale": 128,
        "content_loss": 0.51234567,
        "style_loss": 0.01234567,
        "total_loss": 0.02,
        "seconds": 1.235,
    }
    assert result == {
        "output": "out.png",
        "width": 32,
        "height": 24,
        "content_loss": 0.51234567,
        "style_loss": 0.5,
        "total_loss": 0.02,
        "seconds": 64.6,
        "extractor": "compact",
        "settings": {"size": 32},
        "notices": ["first frame"],
    }


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with Reporter() as reporter:
        reporter.expect([Scale(128, 100)])
        reporter.notice("no weights")
        reporter.step(Step(1))
        reporter.done(painting(), Path("out.png"))
    assert capfd.readouterr() == ("", "")


def test_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stderr for a terminal
    monkeypatch.setenv("COLUMNS", "100")
    bar = Bar()
    with bar:
        bar.notice("no weights")
        bar.step(Step(50, seconds=20))
        bar.step(Step(100, seconds=40))
    out, err = capsys.readouterr()
    assert out == ""
    assert "impasto: no weights" in err
    for part in ("128 px", "━", "100/100", "content 0.512  style 0.0123  0 s left"):
        assert part in err


@pytest.mark.parametrize(
    ("tty", "term", "options", "kind"),
    [
        (True, "xterm", {}, Bar),
        (True, "dumb", {}, Lines),
        (False, "xterm", {}, Lines),
        (True, "xterm", {"json": True}, JsonLines),
        (True, "xterm", {"quiet": True}, Reporter),
    ],
)
def test_choice(monkeypatch: pytest.MonkeyPatch, tty: bool, term: str, options: dict[str, bool], kind: type) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(report.sys.stderr, "isatty", lambda: tty)
    assert type(choose(**{"quiet": False, "json": False, **options})) is kind


class TestTimeLeft:
    @staticmethod
    def after(left: TimeLeft, steps: range, pace: float, *, scale: int = 128, start: float = 0.0) -> float:
        """What it says after these steps, ``pace`` seconds each."""
        seconds = [start + pace * number for number in range(1, len(steps) + 1)]
        return [left(Step(step, scale=scale, seconds=s)) for step, s in zip(steps, seconds, strict=True)][-1]

    @pytest.mark.parametrize("steps", [1, 2, 25, 99, 100])
    def test_of_equal_steps(self, steps: int) -> None:
        assert self.after(TimeLeft(), range(1, steps + 1), 0.2) == pytest.approx((100 - steps) * 0.2)

    def test_counts_the_pixels_of_the_scales_to_come(self) -> None:
        """60 steps at 128 px, 40 at 256 px where each should take four times as long."""
        left = TimeLeft([Scale(128, 60), Scale(256, 40)])
        assert self.after(left, range(1, 31), 0.1) == pytest.approx(30 * 0.1 + 40 * 0.4)
        assert self.after(left, range(31, 61), 0.1, start=3) == pytest.approx(40 * 0.4)
        # Now each turns out to take 0.3 s.
        assert self.after(left, range(61, 71), 0.3, start=6, scale=256) == pytest.approx(30 * 0.3)
        assert self.after(left, range(71, 101), 0.3, start=9, scale=256) == 0

    def test_the_first_step_at_a_scale_is_no_measure(self) -> None:
        """It also computes the targets."""
        left = TimeLeft([Scale(128, 60), Scale(256, 40)])
        self.after(left, range(1, 61), 0.1)
        assert left(Step(61, scale=256, seconds=9)) == pytest.approx(39 * 0.4)

    def test_a_plan_of_another_run_is_not_believed(self) -> None:
        assert self.after(TimeLeft([Scale(128, 7), Scale(256, 7)]), range(1, 26), 0.2) == pytest.approx(15)

    def test_a_run_that_goes_on(self) -> None:
        """50 steps took 5 s, on a machine twice as fast."""
        left = TimeLeft()
        assert self.after(left, range(51, 52), 0.2, start=5) == pytest.approx(49 * 5.2 / 51)
        assert self.after(left, range(52, 61), 0.2, start=5.2) == pytest.approx(40 * 0.2)
