"""``impasto demo``: a painting from what is at hand, without any file or weights of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto import gallery
from impasto.cli import options, report, run
from impasto.cli.options import Debug, Force, Json, Quiet, Threads
from impasto.errors import ImpastoError

SIZE = 512
CONTENT, STYLE = "coffee", "composition_vii"


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the three pictures.")
    ] = Path("demo"),
    content: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A picture of the gallery, or your own photograph.")
    ] = CONTENT,
    style: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A picture of the gallery, or a painting of yours.")
    ] = STYLE,
    threads: Threads = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint a photograph of the gallery: leaves content.png, style.png and painting.png in DIR."""
    options.one_voice(quiet=quiet, json=json)
    sources = [_source(name) for name in (content, style)]
    options.check_files(*sources)
    if output.exists() and not output.is_dir():
        raise ImpastoError(f"--output: {output} is a file; name a folder")

    from impasto.images import check_output_path, load_image, save_image

    *copies, painting = (output / name for name in ("content.png", "style.png", "painting.png"))
    if output.exists():
        for path in (*copies, painting):
            check_output_path(path, force=force, depth=8)
    pictures = [load_image(source) for source in sources]
    output.mkdir(parents=True, exist_ok=True)
    for path, picture in zip(copies, pictures, strict=True):
        save_image(path, picture.tensor, alpha=picture.alpha, force=force)
    options.set_threads(threads)
    reporter = report.choose(quiet=quiet, json=json)
    result = run.paint(sources[0], sources[1:], reporter=reporter, settings={"size": SIZE, "extractor": "auto"})
    run.save(result, painting, depth=8, force=force, reporter=reporter)


def _source(name: str) -> str:
    """``starry_night`` means the gallery's, unless there is a file of this name."""
    return name if name.startswith(gallery.PREFIX) or Path(name).exists() else gallery.PREFIX + name
