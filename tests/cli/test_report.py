from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from impasto.cli.report import Bar, JsonLines, Lines, Reporter, choose, complain, duration, note, say, time_left
from impasto.job import Notice, Planned, Progress, Saved, event_from_json


def step(number: int, **changes: Any) -> Progress:
    fields: dict[str, Any] = {
        "steps": 100,
        "scale": 128,
        "losses": {"content": 0.51234567, "style": 0.01234567},
        "total_loss": 0.02,
        "seconds": 0.0,
    }
    return Progress(number, **{**fields, **changes})


def tile(number: int, tiles: int, seconds: float = 0.0) -> Progress:
    """What a network tells."""
    return Progress(number, tiles, 2048, {}, 0.0, seconds)


SAVED = Saved(
    output="out.png",
    width=32,
    height=24,
    losses={"content": 0.51234567, "style": 0.5, "total": 0.02},
    seconds=64.6,
    extractor="compact",
    settings={"size": 32},
    notices=("first frame",),
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (65, "1:05"), (3599.7, "1:00:00"), (3723, "1:02:03")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_time_left() -> None:
    assert time_left(65) == "1:05 left"
    assert time_left(None) == ""


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as lines:
        for number in range(1, 101):
            lines(step(number, seconds=number / 10, scale=128 if number <= 30 else 256))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[1] for line in err.splitlines()] == ["1/100", "31/100", "81/100", "100/100"]
    assert err.splitlines()[2] == "step 81/100  256 px  content 0.5123  style 0.01235  2 s left"


def test_how_long_it_takes_is_told_once_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps at 256 px take twice as long as at 128 px."""
    lines = Lines()
    lines(Planned(((128, 30), (256, 40), (512, 30))))
    paces = [0.5] * 30 + [1.0] * 40
    for number in range(1, 71):
        lines(step(number, scale=128 if number <= 30 else 256, seconds=sum(paces[:number])))
    said = capsys.readouterr().err.splitlines()
    assert not any("left" in line for line in said if "128 px" in line)
    assert said[2] == "step 21/100  128 px  content 0.5123  style 0.01235"
    assert said[-1] == "step 66/100  256 px  content 0.5123  style 0.01235  1:34 left"  # 4 + 30 * 3 s


def test_tiles_of_large_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines(Planned(((2048, 12),)))
    for number in range(1, 13):
        lines(tile(number, 12, seconds=number))
    assert capsys.readouterr().err.splitlines() == [
        "tile 1/12  2048 px",
        "tile 6/12  2048 px  6 s left",
        "tile 11/12  2048 px  1 s left",
        "tile 12/12  2048 px  0 s left",
    ]


def test_a_single_tile_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines(Planned(((64, 1),)))
    lines(tile(1, 1))
    assert capsys.readouterr() == ("", "")


def test_terms_that_were_asked_for_are_drawn_too(capsys: pytest.CaptureFixture[str]) -> None:
    Lines()(step(1, losses={"content": 0.5, "style": 0.25, "total variation": 2.0}))
    assert "content 0.5  style 0.25  total variation 2\n" in capsys.readouterr().err


def test_where_the_picture_lies(capsys: pytest.CaptureFixture[str]) -> None:
    Lines()(SAVED)
    assert capsys.readouterr() == ("The painting is in out.png (32 x 24 pixels, 1:05).\n", "")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonLines()
    plan, record = Planned(((64, 30), (128, 70))), step(7, seconds=1.23456)
    for event in (Notice("no weights"), plan, record, SAVED):
        reporter(event)
    out, err = capsys.readouterr()
    assert err == "impasto: no weights\n"
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines == [
        {"event": "planned", "scales": [[64, 30], [128, 70]]},
        {
            "event": "progress",
            "step": 7,
            "steps": 100,
            "scale": 128,
            "losses": {"content": 0.51234567, "style": 0.01234567},
            "total_loss": 0.02,
            "seconds": 1.23456,
        },
        {
            "event": "saved",
            "output": "out.png",
            "width": 32,
            "height": 24,
            "losses": {"content": 0.51234567, "style": 0.5, "total": 0.02},
            "seconds": 64.6,
            "extractor": "compact",
            "settings": {"size": 32},
            "notices": ["first frame"],
        },
    ]
    assert [event_from_json(line) for line in lines] == [plan, record, SAVED]


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with Reporter() as reporter:
        for event in (Planned(((128, 100),)), Notice("no weights"), step(1), SAVED):
            reporter(event)
    assert capfd.readouterr() == ("", "")


def test_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stderr for a terminal
    monkeypatch.setenv("COLUMNS", "100")
    with Bar() as bar:
        bar(Planned(((128, 100),)))
        bar(Notice("no weights"))
        bar(step(50, seconds=20))
        bar(step(100, seconds=40))
        bar(SAVED)
    out, err = capsys.readouterr()
    assert out == "The painting is in out.png (32 x 24 pixels, 1:05).\n"
    assert "impasto: no weights" in err
    for part in ("128 px", "━", "100/100", "content 0.512  style 0.0123  0 s left"):
        assert part in err


class Terminal(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, tty: bool) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        if self.closed:
            raise ValueError("closed")
        return self.tty


class Gone(Terminal):
    """A terminal whose window was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


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
    with redirect_stderr(Terminal(tty)):
        assert type(choose(**{"quiet": False, "json": False, **options})) is kind


def test_choice_without_a_stream() -> None:
    closed = Terminal(True)
    closed.close()
    for stream in (None, closed):
        with redirect_stderr(stream):
            assert type(choose(quiet=False, json=False)) is Lines


@pytest.mark.parametrize("kind", [Lines, Bar, JsonLines, Reporter])
@pytest.mark.parametrize("stream", [None, Terminal(False), Gone(True)], ids=["none", "closed", "gone"])
def test_a_terminal_that_goes_away_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, kind: type[Reporter], stream: Terminal | None
) -> None:
    """Halfway through the run."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with redirect_stdout(Terminal(True)), redirect_stderr(Terminal(True)), kind() as reporter:
        reporter(Planned(((128, 100),)))
        if isinstance(stream, Terminal) and not isinstance(stream, Gone):
            stream.close()
        with redirect_stdout(stream), redirect_stderr(stream):
            for event in (Notice("no weights"), step(50, seconds=9), step(100, seconds=20), SAVED):
                reporter(event)


def test_a_remark_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    note("first\n  second")
    say("third")
    assert capsys.readouterr() == ("third\n", "impasto: first second\n")


def test_what_would_steer_the_terminal_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and versions come from recipes that anybody may have written."""
    for tell in (note, say, complain):
        tell("a\x1b]0;title\x07\x9b2Jb\u202ec\x7f\r\t\u00e9")
    out, err = capsys.readouterr()
    shown = "a\\x1b]0;title\\x07\\x9b2Jb\\u202ec\\x7f"
    assert out == f"{shown}\\r\t\u00e9\n"
    assert err == f"impasto: {shown} \u00e9\n{shown}\\r\t\u00e9\n"
    say("two\nlines")
    assert capsys.readouterr().out == "two\nlines\n"
