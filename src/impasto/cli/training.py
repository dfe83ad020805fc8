"""What the commands that train tell while they do: an object a step with ``--json``, else a line now and then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from impasto.cli.report import duration, note, say_json


class Counted(Protocol):
    """A step of a training, 1-based, of how many, and the seconds that went by."""

    @property
    def step(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def seconds(self) -> float: ...


class TrainingReporter:
    """Tells of every step, or now and then.

    Args:
        quiet: say nothing.
        json: an object a step.
        warm_up: leave the first step of this run out of the time left. For trainings whose seconds count earlier runs
            too; the others begin at 0.
        left: what stands behind the time.
    """

    EVERY = 10.0  # seconds

    def __init__(self, *, quiet: bool, json: bool, warm_up: bool = False, left: str = "left") -> None:
        self._quiet, self._json, self._warm_up, self._left = quiet, json, warm_up, left
        self._said_at = -60.0
        self._origin: tuple[int, float] | None = None  # step and seconds from which the pace is counted

    def log(self, line: str) -> None:
        """Something worth knowing."""
        if not self._quiet:
            note(line)

    def step(self, record: Counted, numbers: Mapping[str, Any], line: str) -> None:
        """A step is done.

        Args:
            record: which.
            numbers: for the object.
            line: for the line.
        """
        if self._quiet:
            return
        if self._origin is None:
            # A training that was gone on with has made its first steps in another run.
            self._origin = (record.step, record.seconds) if self._warm_up else (record.step - 1, 0.0)
        if self._json:
            counted = {"step": record.step, "steps": record.steps}
            say_json({**counted, **numbers, "seconds": round(record.seconds, 3)})
        elif record.seconds - self._said_at >= self.EVERY or record.step == record.steps:
            self._said_at = record.seconds
            done, seconds = record.step - self._origin[0], record.seconds - self._origin[1]
            left = f"  {duration(seconds / done * (record.steps - record.step))} {self._left}" if done else ""
            note(f"step {record.step}/{record.steps}  {line}{left}")
