"""``impasto demo``: a painting from what is at hand, without any file or weights of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from impasto import gallery
from impasto.cli.options import Debug, Json, Quiet, check_files, one_voice, options_of
from impasto.cli.run import run_job
from impasto.errors import ImpastoError
from impasto.job import Job
from impasto.settings import Settings


@options_of(Settings, "settings", only=("size", "threads"))
@options_of(Job, "rest", only=("force",))
def demo(
    settings: dict[str, Any],
    rest: dict[str, Any],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the three pictures.")
    ] = Path("demo"),
    content: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A picture of the gallery, or your own photograph.")
    ] = "coffee",
    style: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A picture of the gallery, or a painting of yours.")
    ] = "composition_vii",
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint a photograph of the gallery: leaves content.png, style.png and painting.png in DIR."""
    one_voice(quiet=quiet, json=json)
    sources = [_source(name) for name in (content, style)]
    *copies, painting = (output / name for name in ("content.png", "style.png", "painting.png"))
    job = Job.check(sources[0], sources[1:], str(painting), settings, **rest)
    check_files(*sources)
    if output.exists() and not output.is_dir():
        raise ImpastoError(f"{output} is a file; name a folder", setting="output")

    from impasto.files.atomic import check_no_input
    from impasto.images import check_output_path, load_image, save_image

    if output.exists():
        for path in copies:
            check_output_path(path, force=job.force, depth=job.depth)
            check_no_input(path, *sources)
    pictures = [load_image(source) for source in sources]
    output.mkdir(parents=True, exist_ok=True)
    for path, picture in zip(copies, pictures, strict=True):
        save_image(path, picture.tensor, alpha=picture.alpha, force=job.force)
    run_job(job, quiet=quiet, json=json)


def _source(name: str) -> str:
    """``starry_night`` means the gallery's, unless there is a file of this name."""
    return name if name.startswith(gallery.PREFIX) or Path(name).exists() else gallery.PREFIX + name
