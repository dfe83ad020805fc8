"""What every training does around its steps: count them, report them, and keep a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.files.checkpoint import read_checkpoint, write_checkpoint

CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class Step:
    """A step that is done."""

    step: int  # 1-based
    steps: int  # of the whole training
    figures: Mapping[str, float | None]  # losses and measures, by name; None for one that is not there yet
    seconds: float  # since the beginning, in all runs of a resumed training


class Course:
    """The steps of one training, which can be interrupted at any of them and resumed.

    The file ``checkpoint`` is written every ``seconds`` (30) and at the end. If it exists, and ``resume`` says so, the
    training is resumed from it, on a CPU to the very same bytes as without the interruption. ``callback`` receives
    a :class:`Step` after each; returning True ends the training there. ``log`` receives a line now and then.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        *,
        resume: bool = True,
        seconds: float | None = None,
        callback: Callable[[Step], bool | None] | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.path = None if checkpoint is None else Path(checkpoint)
        self.resumed = resume and self.path is not None and self.path.is_file()
        self.done = 0  # steps
        self.leads = True  # whether this process reports and writes; of several that share a training, one does
        self._callback, self._log = callback, log
        self._every = CHECKPOINT_SECONDS if seconds is None else seconds

    def begin(
        self, steps: int, made_of: Mapping[str, Any], parts: Mapping[str, Any], memo: dict[str, Any] | None = None
    ) -> None:
        """Get ready for the first of ``steps``, or for the one after the checkpoint.

        ``made_of`` and ``parts`` are those of :func:`impasto.files.checkpoint.write_checkpoint`. ``memo``, what else to
        keep, is filled from the checkpoint.

        Raises:
            ImpastoError: the checkpoint is of another training, or damaged.
        """
        self.steps, self._made_of, self._parts, self._memo = steps, made_of, parts, {} if memo is None else memo
        self._started = self._kept = time.monotonic()
        if self.path is not None and self.resumed:
            notes = read_checkpoint(self.path, made_of, parts)
            self.done = notes["step"]
            self._started -= notes["seconds"]
            self._memo.update(notes["memo"])
            self.log(f"continuing after step {self.done}")

    def __iter__(self) -> Iterator[int]:
        """The steps that are left (0-based). Each has to end with :meth:`tell`."""
        while self.done < self.steps:
            yield self.done

    def check(self, *losses: float) -> None:
        """Raise ImpastoError if a loss is not finite."""
        if not all(map(math.isfinite, losses)):
            raise ImpastoError(f"step {self.done + 1}: the loss is not a number; lower `learning_rate`")

    def tell(self, **figures: float | None) -> bool:
        """Count and report a step; returns whether the callback wants to end the training."""
        self.done += 1
        if not self.leads:
            return False
        now = time.monotonic()
        step = Step(self.done, self.steps, figures, now - self._started)
        stop = bool(self._callback and self._callback(step))
        if now - self._kept > self._every:
            self.keep()
        return stop

    def keep(self) -> None:
        """Write the checkpoint, where there is room for it."""
        if self.leads and self.path is not None:
            seconds = time.monotonic() - self._started
            notes = {"step": self.done, "seconds": seconds, "memo": self._memo}
            try:
                write_checkpoint(self.path, self._made_of, self._parts, notes)
            except ImpastoError as error:  # There may be room for what comes out.
                self.log(f"no checkpoint is kept: {error}")
            self._kept = time.monotonic()  # again: writing takes its time

    def log(self, line: str) -> None:
        """Report a line."""
        if self.leads and self._log is not None:
            self._log(line)
