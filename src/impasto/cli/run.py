"""A job from the command line: the same for a new picture, one made again, and the demo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from impasto.cli import report
from impasto.job import Job, checkpoint_of

if TYPE_CHECKING:
    from impasto.recipe import Recipe


def run_job(
    job: Job,
    *,
    quiet: bool,
    json: bool,
    resume: bool = False,
    until: int | None = None,
    notices: list[str] | None = None,
    recorded: Callable[[Recipe], Recipe] = lambda recipe: recipe,
) -> None:
    """Paint and save, drawing events.

    Args:
        job: what was asked for.
        quiet: draw nothing.
        json: an object an event.
        resume: go on from the checkpoint.
        until: as ``recorded``, see :func:`impasto.engine.run`.
        notices: lines to say first.
        recorded: what the recipe is to be.

    Raises:
        ImpastoError: a mistake that the user can mend.
        typer.Exit: with 130, after Ctrl-C.
    """
    from impasto.engine import run
    from impasto.job import Notice

    reporter = report.choose(quiet=quiet, json=json)
    with stoppable(checkpoint_of(job.output)), reporter:
        for text in notices or ():
            reporter(Notice(text))
        run(job, report=reporter, resume=resume, until=until, recorded=recorded)


@contextmanager
def stoppable(checkpoint: Path | None, *, tell: bool = True) -> Iterator[None]:
    """Ctrl-C ends the run with 130, and unless ``tell`` is off with a line that says how to go on.

    Raises:
        typer.Exit: after Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        if tell:
            there = checkpoint is not None and checkpoint.is_file()
            report.note(f"stopped; the same command with --resume goes on from {checkpoint}" if there else "stopped")
        raise typer.Exit(130) from None
