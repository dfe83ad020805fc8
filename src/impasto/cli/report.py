"""What a run tells while it paints: a bar, plain lines, JSON or nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from impasto.painting import Painting, Progress
    from impasto.refine.pyramid import Scale

__all__ = [
    "Bar",
    "JsonLines",
    "Lines",
    "Reporter",
    "choose",
    "duration",
    "flush",
    "is_terminal",
    "note",
    "say",
    "say_json",
]


class Reporter:
    """Says nothing: ``--quiet``, and what the others begin with."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def expect(self, plan: Sequence[Scale]) -> None:
        """The run is to pass through these scales."""

    def notice(self, text: str) -> None:
        """Something worth knowing that is no error."""

    def step(self, record: Progress) -> None:
        """A step is done."""

    def done(self, painting: Painting, output: Path) -> None:
        """The picture is saved."""


class Lines(Reporter):
    """A plain line now and then, for logs and other places that are no terminal."""

    EVERY = 5.0  # seconds

    def __init__(self) -> None:
        self._said_at = -self.EVERY
        self._scale = 0
        self._left = TimeLeft()

    def expect(self, plan: Sequence[Scale]) -> None:
        """Scales to come, for the time left."""
        self._left = TimeLeft(plan)

    def notice(self, text: str) -> None:
        """A line of its own."""
        note(text)

    def step(self, record: Progress) -> None:
        """A line when the last one is old, at a new scale and at the end."""
        left = self._left(record)
        due = record.seconds - self._said_at >= self.EVERY or record.scale != self._scale
        if due or record.step == record.steps:
            self._said_at, self._scale = record.seconds, record.scale
            _print(
                f"step {record.step}/{record.steps}  {record.scale} px  content {record.content_loss:.4g}  "
                f"style {record.style_loss:.4g}  {duration(left)} left",
                sys.stderr,
            )
            flush(sys.stderr)

    def done(self, painting: Painting, output: Path) -> None:
        """Where the picture lies."""
        height, width = painting.tensor.shape[-2:]
        say(f"The painting is in {output} ({width} x {height} pixels, {duration(painting.seconds)}).")


class Bar(Lines):
    """A progress bar on a terminal's stderr."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.fields[scale]} px"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("content {task.fields[content]}  style {task.fields[style]}  {task.fields[left]} left"),
            console=Console(stderr=True),
            expand=True,
            refresh_per_second=5,
        )
        self._task = self._bar.add_task(
            "", total=None, start=True, visible=False, scale=0, content="", style="", left=""
        )

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def step(self, record: Progress) -> None:
        """Move the bar."""
        self._bar.update(
            self._task,
            visible=True,
            total=record.steps,
            completed=record.step,
            scale=record.scale,
            content=f"{record.content_loss:.3g}",
            style=f"{record.style_loss:.3g}",
            left=duration(self._left(record)),
        )


class JsonLines(Reporter):
    """An object a step on stdout, and a last one with the result."""

    def notice(self, text: str) -> None:
        """On stderr, out of the way; the result repeats those of the run."""
        note(text)

    def step(self, record: Progress) -> None:
        """The record as it is."""
        say_json(
            {
                "step": record.step,
                "steps": record.steps,
                "scale": record.scale,
                "content_loss": record.content_loss,
                "style_loss": record.style_loss,
                "total_loss": record.total_loss,
                "seconds": round(record.seconds, 3),
            }
        )

    def done(self, painting: Painting, output: Path) -> None:
        """The result: where, how large, the last losses if there were steps, how long, and every setting."""
        height, width = painting.tensor.shape[-2:]
        losses = {
            name: getattr(last, name)
            for last in painting.losses[-1:]
            for name in ("content_loss", "style_loss", "total_loss")
        }
        say_json(
            {
                "output": str(output),
                "width": width,
                "height": height,
                **losses,
                "seconds": round(painting.seconds, 3),
                "extractor": painting.recipe.extractor,
                "settings": painting.recipe.settings,
                "notices": list(painting.notices),
            }
        )


class TimeLeft:
    """Seconds that remain: the pace at this scale, and a pace in proportion to the pixels at the scales to come.

    Args:
        plan: the scales, coarsest first. Without, the pace of now is taken for that of all steps.
    """

    def __init__(self, plan: Sequence[Scale] = ()) -> None:
        self._plan = plan
        self._first: Progress | None = None
        self._pace = 0.0

    def __call__(self, record: Progress) -> float:
        if self._first is None:
            # Of a run that goes on, only the average of all the steps before is known.
            self._first, self._pace = record, record.seconds / record.step
        elif record.scale != self._first.scale:
            # The first step at a scale also computes its targets: the pixels tell more than its time.
            self._pace *= (record.scale / self._first.scale) ** 2
            self._first = record
        else:
            self._pace = (record.seconds - self._first.seconds) / (record.step - self._first.step)
        return self._pace * self._steps_left(record)

    def _steps_left(self, record: Progress) -> float:
        """Counted in steps of the scale of now."""
        if sum(scale.steps for scale in self._plan) != record.steps:
            return record.steps - record.step
        left, done = 0.0, record.step
        for scale in self._plan:
            here = min(done, scale.steps)
            done -= here
            left += (scale.steps - here) * (scale.longest / record.scale) ** 2
        return left


def choose(*, quiet: bool, json: bool) -> Reporter:
    """The reporter for these options and this terminal."""
    if quiet:
        return Reporter()
    if json:
        return JsonLines()
    return Bar() if is_terminal(sys.stderr) else Lines()


def is_terminal(stream: TextIO) -> bool:
    """Whether a bar can be drawn there."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """``9 s``, ``1:05`` or ``1:02:03``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


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


def flush(stream: TextIO) -> None:
    """Flush, also where the reader has left (``| head``): Python would complain of that at exit."""
    try:
        stream.flush()
    except BrokenPipeError:
        _abandon(stream)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream)
    except BrokenPipeError:
        _abandon(stream)


def _abandon(stream: TextIO) -> None:
    # Nobody reads any more, but the picture is still wanted: the run goes on and speaks into the void.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
