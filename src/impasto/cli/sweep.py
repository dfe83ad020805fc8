"""``impasto sweep``: the content weight, and the style layers, in one figure."""

from __future__ import annotations

import math
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from impasto.cli import report
from impasto.cli.options import Debug, Force, Json, Quiet, check_files, one_voice, options_of
from impasto.cli.report import note, say, say_json
from impasto.errors import ImpastoError
from impasto.job import Event, Notice
from impasto.settings import LOOK, OUTPUT, Settings

if TYPE_CHECKING:
    from impasto.sweep import SweepCell

WEIGHTS = "1e-5,1e-4,1e-3,1e-2"
#: Settings that a cell does not have, or that the columns are made of.
LEFT_OUT = (
    "method",
    "content_weight",
    "style_weights",
    "strength",
    "detail",
    "init",
    "seed",
    "model",
    "runtime",
    "max_memory",
)


@options_of(Settings, "settings", without=LEFT_OUT, defaults={"size": 256})
def sweep(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.", show_default=False)],
    style: Annotated[str, typer.Argument(metavar="STYLE", help="The painting.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="SHEET",
            help="The sheet: .png, .jpg, .webp or .tif.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    settings: dict[str, Any],
    content_weights: Annotated[
        str, typer.Option(metavar="W,W...", help="The values of λ, a column each.", rich_help_panel=LOOK)
    ] = WEIGHTS,
    vary: Annotated[
        Literal["style-layers"] | None,
        typer.Option(
            help="Rows: relu1_1 alone, then with relu2_1, up to all five style layers.",
            show_default=False,
            rich_help_panel=LOOK,
        ),
    ] = None,
    cells: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for every cell's picture, with its recipe.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint CONTENT in the style of STYLE at several content weights, as the figure of Gatys et al., 2015."""
    one_voice(quiet=quiet, json=json)
    if vary is not None and "style_layers" in settings:
        raise ImpastoError("`vary=style-layers` sets the layers of every row; leave `style_layers` out, or `vary`")
    weights = read_content_weights(content_weights)
    checked = Settings.check(settings)
    checked.check_files()
    check_files(content, style)

    from impasto import sweep as sweeps
    from impasto.images import check_output_path, load_image, save_image, to_pil

    check_output_path(output, force=force, depth=8)
    weights = sweeps.check_weights(weights)
    rows: tuple[sweeps.Layers, ...] = (None,) if vary is None else sweeps.cumulative_layers()
    if cells is not None:
        check_cells(cells, [sweeps.cell_name(weight, row) for row in rows for weight in weights], force=force)
    reporter = report.choose(quiet=quiet or json, json=False)
    done: dict[tuple[int, int], SweepCell] = {}
    count, stopped = len(rows) * len(weights), False

    def before(row: int, column: int) -> None:
        layers = rows[row]
        which = "" if layers is None else f", style of {' + '.join(layers)}"
        reporter(Notice(f"cell {len(done) + 1} of {count}: λ = {sweeps.label(weights[column])}{which}"))

    def listen(event: Event) -> None:
        if not isinstance(event, Notice) or not done:  # The same in every cell.
            reporter(event)

    with ExitStack() as stack:
        folder = cells if cells is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            with reporter:
                for cell in sweeps.sweep(
                    content,
                    style,
                    weights,
                    rows=rows,
                    folder=folder,
                    force=force,
                    report=listen,
                    before=before,
                    **settings,
                ):
                    done[cell.row, cell.column] = cell
                    if json:
                        kept = {"picture": str(cell.path)} if cells is not None else {}
                        say_json({**sweeps.figures(cell, done), **kept})
        except KeyboardInterrupt:
            stopped = True
    if not done:
        note("stopped before the first cell was done; there is no sheet")
        raise typer.Exit(130)
    photograph, painted = (to_pil(load_image(path, max_pixels=checked.max_pixels).tensor) for path in (content, style))
    sheet = sweeps.sweep_sheet(photograph, painted, weights, rows, done)
    save_image(output, load_image(sheet).tensor, force=force)
    seconds = sum(cell.painting.seconds for cell in done.values())
    if json:
        extractor = next(iter(done.values())).painting.recipe.extractor
        about = {"output": str(output), "width": sheet.width, "height": sheet.height, "extractor": extractor}
        say_json({**about, "cells": len(done), "of": count, "seconds": round(seconds, 3)})
    elif not quiet:
        say(
            f"The sheet is in {output} ({sheet.width} x {sheet.height} pixels, {len(done)} of {count} cells, "
            f"{report.duration(seconds)})."
        )
    if stopped:
        note(f"stopped; the sheet has the {len(done)} of {count} cells that were done")
        raise typer.Exit(130)


def read_content_weights(text: str) -> list[float]:
    """``1e-5,1e-3``: values of λ.

    Raises:
        ImpastoError: there is something that is no number from 0 up.
    """
    weights = []
    for part in text.split(","):
        try:
            weight = float(part)
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:
            raise ImpastoError(
                f"{part.strip()!r} is no number from 0 up; write for example {WEIGHTS}", setting="content_weights"
            )
        weights.append(weight)
    return weights


def check_cells(folder: Path, names: list[str], *, force: bool) -> None:
    """Refuse, before any work, a folder that cannot be written or holds cells of another sweep.

    Raises:
        ImpastoError: it is a file, or holds such pictures and ``force`` is not set.
    """
    if folder.exists() and not folder.is_dir():
        raise ImpastoError(f"{folder} is a file; name a folder", setting="cells")
    for name in names:
        if not force and (folder / name).exists():
            raise ImpastoError(f"{folder / name} exists already; name another folder or add `force`", setting="cells")
