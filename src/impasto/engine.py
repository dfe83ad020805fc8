"""The one door: a job in, a saved picture out, events on the way. Every face of impasto goes through it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.gallery import resolve
from impasto.images import check_output_path, image_size, save_image
from impasto.job import Event, Job, Notice, Progress, Saved, claim_checkpoint
from impasto.paint import paint
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
    recorded: Callable[[Recipe], Recipe] = lambda recipe: recipe,
) -> Saved:
    """Paint a job's picture and save it.

    Args:
        job: what was asked for.
        report: receives every event, the :class:`Saved` that is returned last.
        stop: asked after each step; if it says True the checkpoint is written and the run ends.
        resume: go on from the checkpoint beside the output, if there is one.
        recorded: what the recipe inside the picture is to be, given that of the run.

    Raises:
        ImpastoError: something that cannot be used; before any work where that can be told.
        Stopped: ``stop`` said so.
        KeyboardInterrupt: after the checkpoint was written.
    """
    checkpoint = _check(job, resume=resume)
    if checkpoint is not None and resume and not checkpoint.exists():
        report(Notice(f"there is no {checkpoint} to go on from; beginning anew"))
    stopped = False

    def listen(event: Event) -> None:
        nonlocal stopped
        _preview(job, event)
        report(event)
        if isinstance(event, Progress) and event.step < event.steps and stop():
            stopped = True
            raise KeyboardInterrupt  # The run writes its checkpoint and lets it through.

    try:
        painting = paint(
            job.content, list(job.styles), job.settings, report=listen, checkpoint=checkpoint, resume=resume
        )
    except KeyboardInterrupt:
        if stopped:
            raise Stopped from None
        raise
    painting = replace(painting, recipe=recorded(painting.recipe))
    painting.save(job.output, depth=job.depth, force=job.force, quality=job.quality, recipe=not job.no_recipe)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    saved = _saved(job, painting)
    report(saved)
    return saved


def _preview(job: Job, event: Event) -> None:
    """Save the picture of a step whose turn it is."""
    if job.preview is None or not isinstance(event, Progress) or event.step % job.preview_every:
        return
    folder = Path(job.preview)
    folder.mkdir(parents=True, exist_ok=True)
    save_image(folder / f"step-{event.step:05}.png", event.image(), force=True)


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


def _check_inputs(job: Job) -> None:
    """Refuse an output that is one of the inputs: it could not be painted again."""
    output, settings = Path(job.output), job.settings
    for source in (job.content, *job.styles, settings.init, settings.extractor, settings.model):
        file = None if source is None else resolve(source)
        if file is not None and file.exists() and output.exists() and output.samefile(file):
            raise ImpastoError(f"{job.output} is one of the inputs; name another file")


def _check(job: Job, *, resume: bool) -> Path | None:
    """Refuse, before any work, what would fail at its end; the checkpoint's path, where the method has one."""
    job.settings.check_files()
    _check_inputs(job)
    longest = job.settings.size
    if not longest:
        with suppress(ImpastoError):  # Told when the photograph is read.
            longest = max(image_size(job.content, job.settings.max_pixels))
    check_output_path(job.output, force=job.force, depth=job.depth, longest=longest)
    if job.settings.method == "instant":
        if resume:
            raise ImpastoError("means nothing with `method=instant`, which takes no steps; leave it out", "resume")
        return None
    if job.preview is not None:
        folder = Path(job.preview)
        if folder.exists() and not folder.is_dir():
            raise ImpastoError(f"{folder} is a file; name a folder", setting="preview")
        if not (job.force or resume) and any(folder.glob("step-*.png")):
            raise ImpastoError(
                f"{folder} holds the previews of another run; name another folder or add `force`", setting="preview"
            )
    return claim_checkpoint(job.output, resume=resume, force=job.force)
