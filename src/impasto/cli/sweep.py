"""``impasto sweep``: the content weight, and the style layers, in one figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from impasto.cli import report
from impasto.cli.options import Debug, Force, Json, Quiet, check_files, one_voice, options_of, written
from impasto.cli.report import note, say, say_json
from impasto.errors import ImpastoError
from impasto.job import Event, Notice
from impasto.settings import LOOK, OUTPUT, About, Settings, Weight, check_fields

if TYPE_CHECKING:
    from impasto.sweep import SweepCell

#: Settings that a cell does not have, or that the columns are made of.
LEFT_OUT = (
    *("method", "content_weight", "style_weights", "strength", "detail"),
    *("init", "seed", "model", "runtime", "max_memory"),
)


@dataclass(frozen=True)
class Figure:
    """What is on the sheet."""

    content_weights: Annotated[
        tuple[Weight, ...], About("Values of λ, a column each (default: 1e-5,1e-4,1e-3,1e-2).", LOOK, metavar="W,W...")
    ] = (1e-5, 1e-4, 1e-3, 1e-2)
    vary: Annotated[
        Literal["style-layers"] | None,
        About("Rows: relu1_1 alone, then with relu2_1, up to all five style layers.", LOOK),
    ] = None
    cells: Annotated[str | None, About("Folder for every cell's picture, with its recipe.", OUTPUT, metavar="DIR")] = (
        None
    )


@options_of(Settings, "settings", without=LEFT_OUT, defaults={"size": 256})
@options_of(Figure, "figure")
def sweep(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photograph.", show_default=False)],
    style: Annotated[str, typer.Argument(metavar="STYLE", help="The painting.", show_default=False)],
    output: Annotated[Path, written("SHEET", "The sheet: .png, .jpg, .webp or .tif.")],
    settings: dict[str, Any],
    figure: dict[str, Any],
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint CONTENT in the style of STYLE at several content weights, as the figure of Gatys et al., 2015."""
    one_voice(quiet=quiet, json=json)
    drawn, checked = Figure(**check_fields(Figure, figure)), Settings.check(settings)
    if drawn.vary is not None and "style_layers" in settings:
        raise ImpastoError("`vary=style-layers` sets the layers of every row; leave `style_layers` out, or `vary`")
    checked.check_files()
    check_files(content, style)

    from impasto import sweep as sweeps
    from impasto.files.atomic import check_no_input
    from impasto.images import check_output_path, load_image, save_image, to_pil

    check_output_path(output, force=force, depth=8)
    check_no_input(output, content, style)
    weights = sweeps.check_weights(drawn.content_weights)
    rows: tuple[sweeps.Layers, ...] = (None,) if drawn.vary is None else sweeps.cumulative_layers()
    folder = None if drawn.cells is None else Path(drawn.cells)
    check_cells(folder, [sweeps.cell_name(weight, row) for row in rows for weight in weights], force=force)
    done: dict[tuple[int, int], SweepCell] = {}
    count, stopped = len(rows) * len(weights), False
    paths = {"content": content, "style": style, "folder": folder, "force": force}
    try:
        _paint(done, weights, rows, paths, settings, quiet=quiet, json=json)
    except KeyboardInterrupt:
        stopped = True
    if not done:
        note("stopped before the first cell was done; there is no sheet")
        raise typer.Exit(130)
    photograph, painted = (to_pil(load_image(path, max_pixels=checked.max_pixels).tensor) for path in (content, style))
    sheet = sweeps.sweep_sheet(photograph, painted, weights, rows, done)
    save_image(output, load_image(sheet).tensor, force=force)
    if not quiet:
        _tell(output, (sheet.width, sheet.height), list(done.values()), count, json=json)
    if stopped:
        note(f"stopped; the sheet has the {len(done)} of {count} cells that were done")
        raise typer.Exit(130)


def _paint(
    done: dict[tuple[int, int], SweepCell],
    weights: list[float],
    rows: Any,
    paths: dict[str, Any],
    settings: dict[str, Any],
    *,
    quiet: bool,
    json: bool,
) -> None:
    """Paint the cells into ``done``, telling of each."""
    from impasto import sweep as sweeps

    reporter = report.choose(quiet=quiet or json, json=False)

    def before(row: int, column: int) -> None:
        which = "" if rows[row] is None else f", style of {' + '.join(rows[row])}"
        place = f"cell {len(done) + 1} of {len(rows) * len(weights)}"
        reporter(Notice(f"{place}: λ = {sweeps.label(weights[column])}{which}"))

    def listen(event: Event) -> None:
        if not isinstance(event, Notice):
            reporter(event)
        elif not quiet and not done:  # The same in every cell.
            note(event.text)

    with reporter:
        for cell in sweeps.sweep(
            paths["content"],
            paths["style"],
            weights,
            rows=rows,
            folder=paths["folder"],
            force=paths["force"],
            report=listen,
            before=before,
            **settings,
        ):
            done[cell.row, cell.column] = cell
            if json:
                picture = {} if cell.path is None else {"picture": str(cell.path)}
                say_json({**sweeps.figures(cell, done), **picture})


def _tell(output: Path, size: tuple[int, int], done: list[SweepCell], count: int, *, json: bool) -> None:
    """Where the sheet lies, and what is on it."""
    seconds = sum(cell.painting.seconds for cell in done)
    width, height = size
    if json:
        extractor = done[0].painting.recipe.extractor
        about = {"output": str(output), "width": width, "height": height, "extractor": extractor}
        say_json({**about, "cells": len(done), "of": count, "seconds": round(seconds, 3)})
    else:
        say(
            f"The sheet is in {output} ({width} x {height} pixels, {len(done)} of {count} cells, "
            f"{report.duration(seconds)})."
        )


def check_cells(folder: Path | None, names: list[str], *, force: bool) -> None:
    """Refuse, before any work, a folder that cannot be written or holds cells of another sweep.

    Raises:
        ImpastoError: it is a file, or holds such pictures and ``force`` is not set.
    """
    if folder is None:  # They are not kept.
        return
    if folder.exists() and not folder.is_dir():
        raise ImpastoError(f"{folder} is a file; name a folder", setting="cells")
    for name in names:
        if not force and (folder / name).exists():
            raise ImpastoError(f"{folder / name} exists already; name another folder or add `force`", setting="cells")
