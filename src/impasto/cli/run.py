"""Painting from the command line: the same for a new picture, one made again, and the demo."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto import gallery
from impasto.cli.checkpoints import checkpoint_of, stoppable, tell_of_a_beginning
from impasto.cli.report import Reporter
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.painting import Painting, Progress
    from impasto.refine.pyramid import Scale

__all__ = ["check_preview", "longest_side", "paint", "save"]

#: Between two lines about tiles.
TILE_SECONDS = 5.0

_NO_VGG19 = (
    "VGG-19's weights are not on this machine, so the compact extractor paints; `impasto weights get vgg19` gets them"
)


def check_preview(folder: Path, *, force: bool) -> None:
    """Refuse, before any work, a preview folder that cannot be written or holds another run's previews.

    Raises:
        ImpastoError: it is a file, or holds previews and ``force`` is not set.
    """
    if folder.exists() and not folder.is_dir():
        raise ImpastoError(f"--preview: {folder} is a file; name a folder")
    if not force and any(folder.glob("step-*.png")):
        raise ImpastoError(f"--preview: {folder} holds the previews of another run; name another folder or add --force")


def paint(
    content: str | Path,
    styles: Sequence[str | Path],
    *,
    reporter: Reporter,
    settings: dict[str, Any],
    checkpoint: Path | None = None,
    resume: bool = False,
    preview: Path | None = None,
    preview_every: int = 25,
) -> Painting:
    """Stylize with a reporter listening; what follows ``settings`` means nothing to the method ``instant``.

    Args:
        content: the photograph.
        styles: the paintings.
        reporter: hears of each step.
        settings: the other keywords of :func:`impasto.stylize`.
        checkpoint: where to keep what a killed run needs to go on.
        resume: go on from there.
        preview: folder for pictures on the way.
        preview_every: steps between those.

    Raises:
        ImpastoError: a mistake that the user can mend.
        typer.Exit: with 130, after Ctrl-C.
    """
    from impasto.features.weights import find_vgg19
    from impasto.images import save_image
    from impasto.painting import stylize
    from impasto.settings import METHODS

    method = settings.get("method", "refine")
    if method in METHODS:  # Mistakes before anything else is said.
        chosen = {name: value for name, value in settings.items() if name not in ("method", "max_pixels")}
        METHODS[method].check(chosen)
    if method == "instant":
        return _paint_at_once(content, styles, reporter=reporter, settings=chosen, max_pixels=settings["max_pixels"])
    if settings.get("extractor", "auto" if method == "hybrid" else "") == "auto" and find_vgg19() is None:
        reporter.notice(_NO_VGG19)
    tell_of_a_beginning(checkpoint, reporter.notice, resume=resume)
    reporter.expect(_plan(content, settings))

    def listen(record: Progress) -> None:
        if preview is not None and record.step % preview_every == 0:
            preview.mkdir(parents=True, exist_ok=True)
            save_image(preview / f"step-{record.step:05}.png", record.image(), force=True)
        reporter.step(record)

    with stoppable(checkpoint), reporter:
        painting = stylize(content, list(styles), callback=listen, checkpoint=checkpoint, resume=resume, **settings)
    return _told(painting, reporter)


def _paint_at_once(
    content: str | Path,
    styles: Sequence[str | Path],
    *,
    reporter: Reporter,
    settings: dict[str, Any],
    max_pixels: int,
) -> Painting:
    from impasto.instant.paint import stylize_instant

    told = time.monotonic()

    def after_tile(done: int, tiles: int) -> None:
        nonlocal told
        if done < tiles and time.monotonic() - told > TILE_SECONDS:
            told = time.monotonic()
            reporter.notice(f"tile {done} of {tiles}")

    with stoppable(None):
        painting = stylize_instant(content, list(styles), settings, max_pixels=max_pixels, after_tile=after_tile)
    return _told(painting, reporter)


def _told(painting: Painting, reporter: Reporter) -> Painting:
    for notice in painting.notices:
        reporter.notice(notice)
    return painting


def _plan(content: str | Path, settings: dict[str, Any]) -> Sequence[Scale]:
    """The scales to come, for the time left. An image that cannot be read is told of later."""
    hybrid = settings.get("method") == "hybrid"
    if hybrid:
        from impasto.instant.paint import hybrid_plan as plan
    else:
        from impasto.refine.pyramid import plan

    size = longest_side(content, settings.get("size", 512 if hybrid else 0))
    return plan(size, settings.get("steps")) if size else ()


def longest_side(content: str | Path, size: int | None) -> int:
    """Of the painting to be, in pixels; 0 where the image cannot be read."""
    from PIL import Image

    if size:
        return size
    file = gallery.resolve(content)
    with suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError), Image.open(file) as image:
        return max(image.size)
    return 0


def save(painting: Painting, output: Path, *, depth: int, force: bool, reporter: Reporter) -> None:
    """Keep the picture, drop the checkpoint that it no longer needs, and say where it lies."""
    painting.save(output, depth=depth, force=force)
    if painting.recipe.extractor is not None:  # One pass of a network has none: one that is there is another run's.
        checkpoint_of(output).unlink(missing_ok=True)
    reporter.done(painting, output)
