"""Runs that can be cut short and gone on with: where they keep what they need, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from impasto.cli.report import note
from impasto.errors import ImpastoError

__all__ = ["checkpoint_of", "claim_checkpoint", "stoppable", "tell_of_a_beginning"]


def checkpoint_of(output: Path) -> Path:
    """Where a run keeps what it needs to go on: beside its output."""
    return output.with_name(output.name + ".checkpoint")


def claim_checkpoint(output: Path, *, resume: bool, force: bool) -> Path:
    """The checkpoint of a run. One that is there is gone on from, or removed with ``force``.

    Raises:
        ImpastoError: there is one, and neither was asked for: work is not thrown away.
    """
    checkpoint = checkpoint_of(output)
    if checkpoint.exists() and not resume:
        if not force:
            raise ImpastoError(
                f"{checkpoint} is there from a run cut short; add --resume to go on, --force to begin anew"
            )
        checkpoint.unlink()
    return checkpoint


def tell_of_a_beginning(checkpoint: Path | None, tell: Callable[[str], None], *, resume: bool) -> None:
    """Say it where ``resume`` was asked for and there is nothing to go on from."""
    if resume and checkpoint is not None and not checkpoint.exists():
        tell(f"--resume: there is no {checkpoint} to go on from; beginning anew")


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
            note(f"stopped; the same command with --resume goes on from {checkpoint}" if there else "stopped")
        raise typer.Exit(130) from None
