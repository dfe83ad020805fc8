"""``impasto stylize``: a photograph becomes a painting."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from impasto.cli.options import Debug, Json, Quiet, Resume, check_files, one_voice, options_of, written
from impasto.cli.run import run_job
from impasto.job import Job
from impasto.settings import Settings


@options_of(Settings, "settings")
@options_of(Job, "rest")
def stylize(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.", show_default=False)],
    styles: Annotated[list[str], typer.Argument(metavar="STYLE", help="One painting or several.", show_default=False)],
    output: Annotated[str, written()],
    settings: dict[str, Any],
    rest: dict[str, Any],
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint CONTENT, a photograph, in the style of one painting or several."""
    one_voice(quiet=quiet, json=json)
    job = Job.check(content, styles, output, settings, **rest)
    check_files(content, *styles)
    *others, last = styles
    which = [f"{content} is the photograph, {', '.join(others)} and {last} the paintings"] if others else []
    run_job(job, quiet=quiet, json=json, resume=resume, notices=which)
