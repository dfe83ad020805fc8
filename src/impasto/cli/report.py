"""What the command line says: a bar, plain lines, JSON or nothing, to streams that may be full, closed or gone."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from impasto.cli.pace import TimeLeft
from impasto.job import Event, Notice, Planned, Progress, Saved

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


#: Control characters but for the end of a line and the tab, and marks that turn the direction of writing.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Reporter:
    """Draws nothing: ``--quiet``, and what the others begin with."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Draw an event."""


class Lines(Reporter):
    """A plain line now and then, for logs and other places that are no terminal."""

    EVERY = 5.0  # seconds

    def __init__(self) -> None:
        self._said_at = -self.EVERY
        self._scale = 0
        self._left = TimeLeft()

    def __call__(self, event: Event) -> None:
        """Draw an event."""
        if isinstance(event, Planned):
            self._left = TimeLeft(event.scales)
        elif isinstance(event, Notice):
            note(event.text)
        elif isinstance(event, Progress):
            self.step(event)
        else:
            took = duration(event.seconds)
            say(f"The painting is in {event.output} ({event.width} x {event.height} pixels, {took}).")

    def step(self, record: Progress) -> None:
        """A line when the last one is old, at a new scale and at the end."""
        left = time_left(self._left(record))
        due = record.seconds - self._said_at >= self.EVERY or record.scale != self._scale
        if record.steps > 1 and (due or record.step == record.steps):
            self._said_at, self._scale = record.seconds, record.scale
            losses = [f"{name} {loss:.4g}" for name, loss in record.losses.items()]
            parts = [f"{_unit(record)} {record.step}/{record.steps}", f"{record.scale} px", *losses, left]
            _print("  ".join(filter(None, parts)), sys.stderr)
            flush(sys.stderr)


class Bar(Lines):
    """A progress bar on a terminal's stderr."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar: RichProgress = RichProgress(
            TextColumn("{task.fields[scale]} px"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}{task.fields[left]}"),
            console=Console(file=cast(TextIO, _Steady(sys.stderr))),
            expand=True,
            refresh_per_second=5,
        )
        self._task = self._bar.add_task("", total=None, start=True, visible=False, scale=0, losses="", left="")

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Draw an event; what comes out stands below the bar."""
        if isinstance(event, Saved):
            self._bar.stop()
        super().__call__(event)

    def step(self, record: Progress) -> None:
        """Move the bar."""
        self._bar.update(
            self._task,
            visible=record.steps > 1,
            total=record.steps,
            completed=record.step,
            scale=record.scale,
            losses="".join(f"{name} {loss:.3g}  " for name, loss in record.losses.items()),
            left=time_left(self._left(record)),
        )


class JsonLines(Reporter):
    """An object an event on stdout."""

    def __call__(self, event: Event) -> None:
        """Draw an event; a notice is on stderr, out of the way, and the last event repeats all."""
        if isinstance(event, Notice):
            note(event.text)
        else:
            say_json(event.to_json())


def choose(*, quiet: bool, json: bool) -> Reporter:
    """The reporter for these options and this terminal."""
    if quiet:
        return Reporter()
    if json:
        return JsonLines()
    return Bar() if is_terminal(sys.stderr) else Lines()


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a bar can be drawn there."""
    return stream is not None and not stream.closed and stream.isatty() and os.environ.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """``9 s``, ``1:05`` or ``1:02:03``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def time_left(seconds: float | None) -> str:
    """``9 s left``; nothing where it is not known."""
    return "" if seconds is None else f"{duration(seconds)} left"


def say(text: str) -> None:
    """A line of result on stdout."""
    _print(text, sys.stdout)


def say_json(value: dict[str, Any]) -> None:
    """An object on a line of its own on stdout, at once, for the program that reads it."""
    say(json.dumps(value))
    flush(sys.stdout)


def note(text: str) -> None:
    """A remark on stderr, always a single line."""
    line = " ".join(part.strip() for part in text.splitlines())
    _print(f"impasto: {line}", sys.stderr)


def complain(text: str) -> None:
    """Several lines on stderr, such as a traceback."""
    _print(text.rstrip("\n"), sys.stderr)


def flush(stream: TextIO | None) -> None:
    """Flush, also where nobody takes it any more: Python would complain of that at exit."""
    _Steady(stream).flush()


def _unit(record: Progress) -> str:
    return "step" if record.losses else "tile"


def _print(text: str, stream: TextIO | None) -> None:
    """A line or several; what would steer the terminal, which may come from a stranger's recipe, is shown instead."""
    shown = _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    _Steady(stream).write(shown + "\n")


class _Steady:
    """A stream that may be full, closed or missing: what it does not take is dropped, and the run goes on."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """All of it, or nothing."""
        with self:
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As far as it can be."""
        with self:
            if self._stream is not None:
                self._stream.flush()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, OSError | ValueError):
            return False
        # What it still holds is written again at exit: into the void, then.
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), cast(TextIO, self._stream).fileno())
        return True
