"""``impasto demo``: a picture from what is at hand, without any file or weights of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.options import Debug, Json, Quiet, options_of
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
    content: Annotated[str, typer.Option(metavar="NAME", help="A photograph of the gallery, or a file.")] = "astronaut",
    style: Annotated[str, typer.Option(metavar="NAME", help="A painting of the gallery, or a file.")] = "starry_night",
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint a photograph: leaves content.png, style.png and painting.png in DIR."""
    raise NotImplementedError
