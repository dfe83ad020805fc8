"""``impasto generate``: pictures out of random numbers, by a network that was trained here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.options import Debug, Force, Json, Quiet, check_files, one_voice, options_of, written
from impasto.cli.report import say, say_json
from impasto.settings import Settings

app = typer.Typer(help="Paint from nothing but random numbers, with a network that was trained here.")


@app.command("faces")
@options_of(Settings, "settings", only=("threads",))
def faces(
    model: Annotated[str, typer.Option(metavar="FILE", help="Weights of 'impasto train faces'.", show_default=False)],
    output: Annotated[Path, written("FILE", "The sheet: .png, .jpg, .webp or .tif.")],
    settings: dict[str, Any],
    count: Annotated[int, typer.Option("--count", "-n", help="Faces.", min=1, max=10_000)] = 64,
    columns: Annotated[
        int | None, typer.Option(help="Faces in a row (default: a square sheet).", min=1, show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.", min=0, max=2**63 - 1)] = 0,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint a sheet of faces. The same seed paints the same ones, and the first of many are those of few."""
    one_voice(quiet=quiet, json=json)
    chosen = Settings.check(settings)
    check_files(model)

    from impasto.files.atomic import check_no_input
    from impasto.images import check_output_path, save_image
    from impasto.lessons.generator import FaceGenerator, latents, sheet
    from impasto.machine import own_torch

    check_output_path(output, force=force, depth=8)
    check_no_input(output, model)
    with own_torch(chosen.threads):
        generator = FaceGenerator.from_file(model)
        painted = generator.paint(latents(count, generator.latent, seed))
    save_image(output, sheet(painted, columns or math.ceil(math.sqrt(count))), force=force)
    if json:
        say_json({"output": str(output), "model": model, "count": count, "seed": seed})
    elif not quiet:
        say(f"{count} faces of {generator.side} pixels, seed {seed}: {output}")
