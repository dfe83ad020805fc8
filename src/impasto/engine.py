"""The one door: a job in, a saved picture out, events on the way. Every face of impasto goes through it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.files.atomic import check_no_input, claimed, discard
from impasto.images import check_output_path, image_size, save_image
from impasto.job import Event, Job, Notice, Progress, Saved, check_checkpoint
from impasto.machine import own_torch
from impasto.paint import paint, prepare
from impasto.painting import Painting
from impasto.recipe import Recipe


class Stopped(Exception):  # noqa: N818 (no error)
    """A run was asked to stop. What it needs to go on is in its checkpoint, if it has one."""


def run(
    job: Job,
    *,
    report: Callable[[Event], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
    until: int | None = None,
    recorded: Callable[[Recipe], Recipe] = lambda recipe: recipe,
) -> Saved:
    """Paint a job's picture and save it.

    Args:
        job: what was asked for.
        report: receives every event, the :class:`Saved` that is returned last.
        stop: asked after each step; if it says True the checkpoint is written and the run ends.
        resume: go on from the checkpoint beside the output, if there is one; of a finished run nothing is left to do.
        until: the step whose picture is saved, as if it were the last.
        recorded: what the recipe inside the picture is to be, given that of the run.

    Raises:
        ImpastoError: something that cannot be used; before any work where that can be told.
        Stopped: ``stop`` said so.
        KeyboardInterrupt: after the checkpoint was written.
    """
    _check(job, resume=resume)
    with claimed(job.output):
        refined = job.settings.method != "instant"
        checkpoint = check_checkpoint(job.output, resume=resume, force=job.force) if refined else None
        if checkpoint is not None and resume and not job.force and Path(job.output).exists():
            saved = _finished(job, recorded)
        else:
            if checkpoint is not None and resume and not checkpoint.exists():
                report(Notice(f"there is no {checkpoint} to go on from; beginning anew"))
            saved = _painted(job, report, stop, checkpoint, resume, until, recorded)
        if checkpoint is not None:
            discard(checkpoint)
    report(saved)
    return saved


def _painted(
    job: Job,
    report: Callable[[Event], None],
    stop: Callable[[], bool],
    checkpoint: Path | None,
    resume: bool,
    until: int | None,
    recorded: Callable[[Recipe], Recipe],
) -> Saved:
    stopped = False

    def listen(event: Event) -> bool:
        nonlocal stopped
        _preview(job, event, report)
        report(event)
        if isinstance(event, Progress) and event.step < event.steps and stop():
            stopped = True
            raise KeyboardInterrupt  # The run writes its checkpoint and lets it through.
        return isinstance(event, Progress) and event.step == until

    try:
        painting = paint(
            job.content, list(job.styles), job.settings, report=listen, checkpoint=checkpoint, resume=resume
        )
    except KeyboardInterrupt:
        if stopped:
            raise Stopped from None
        raise
    painting = replace(painting, recipe=recorded(painting.recipe))
    try:
        painting.save(job.output, depth=job.depth, force=job.force, quality=job.quality, recipe=not job.no_recipe)
    except ImpastoError as error:
        raise ImpastoError(f"{error}; the painting is in {_elsewhere(job, painting)}") from error
    return _saved(job, painting)


def _elsewhere(job: Job, painting: Painting) -> Path:
    """Save a finished painting whose place does not take it: beside it, in the current folder, or the temporary one.

    Raises:
        ImpastoError: none of them does.
    """
    output = Path(job.output)
    for folder in (output.parent, Path.cwd(), Path(tempfile.gettempdir())):
        places = (folder / f"{output.stem}-{number}{output.suffix}" for number in count(1))
        place = next(place for place in places if not place.exists())
        with suppress(ImpastoError):
            painting.save(place, depth=job.depth, quality=job.quality, recipe=not job.no_recipe)
            return place
    raise ImpastoError(f"{job.output} cannot be written, and no other folder either; make room")


def _finished(job: Job, recorded: Callable[[Recipe], Recipe]) -> Saved:
    """What a run has saved that was killed afterwards, or that nothing has happened to.

    Raises:
        ImpastoError: the file is of another run.
    """
    with own_torch(job.settings.threads):
        recipe = recorded(prepare(job.content, list(job.styles), job.settings, None).recipe())
    try:
        same = Recipe.from_file(job.output) == recipe.without_folders()
    except ImpastoError:  # It has none.
        same = False
    if not same:
        raise ImpastoError(f"{job.output}: exists already, and is of another run; give `force` to replace it")
    width, height = image_size(job.output)
    notice = f"{job.output} is finished already; there is nothing left to do"
    return Saved(job.output, width, height, {}, 0.0, recipe.extractor, recipe.settings, (notice,))


def _preview(job: Job, event: Event, report: Callable[[Event], None]) -> None:
    """Save the picture of a step whose turn it is; where there is no room the run goes on."""
    if job.preview is None or not isinstance(event, Progress) or event.step % job.preview_every:
        return
    folder = Path(job.preview)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_image(folder / f"step-{event.step:05}.png", event.image(), force=True)
    except (ImpastoError, OSError) as error:
        report(Notice(f"no preview: {error}"))


def _saved(job: Job, painting: Painting) -> Saved:
    height, width = painting.tensor.shape[-2:]
    last = painting.losses[-1:]
    return Saved(
        output=job.output,
        width=width,
        height=height,
        losses={**last[0].losses, "total": last[0].total_loss} if last else {},
        seconds=round(painting.seconds, 3),
        extractor=painting.recipe.extractor,
        settings=painting.recipe.settings,
        notices=painting.notices,
    )


def _check(job: Job, *, resume: bool) -> None:
    """Refuse, before any work, what would fail at its end."""
    settings = job.settings
    settings.check_files()
    check_no_input(job.output, job.content, *job.styles, settings.init, settings.extractor, settings.model)
    longest = settings.size
    if not longest:
        with suppress(ImpastoError):  # Told when the photograph is read.
            longest = max(image_size(job.content, settings.max_pixels))
    check_output_path(job.output, force=job.force or resume, depth=job.depth, longest=longest)
    if settings.method == "instant":
        if resume:
            raise ImpastoError("means nothing with `method=instant`, which takes no steps; leave it out", "resume")
        return
    if job.preview is not None:
        folder = Path(job.preview)
        if folder.exists() and not folder.is_dir():
            raise ImpastoError(f"{folder} is a file; name a folder", setting="preview")
        if not (job.force or resume) and any(folder.glob("step-*.png")):
            raise ImpastoError(
                f"{folder} holds the previews of another run; name another folder or add `force`", setting="preview"
            )
