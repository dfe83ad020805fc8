"""``impasto sweep``: the content weight, and the style layers, in one figure."""

from __future__ import annotations

import math
import tempfile
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli import options, report
from impasto.cli.options import (
    DESCENT,
    LOOK,
    OUTPUT,
    Algorithm,
    Color,
    ContentLayers,
    Debug,
    Device,
    ExtractorName,
    Force,
    HowPrecise,
    Json,
    MaxPixels,
    Normalization,
    Normalized,
    Optimizer,
    Pooled,
    Pooling,
    Precision,
    PreserveColor,
    Quiet,
    Threads,
    TvWeight,
    Where,
    at_least,
)
from impasto.cli.report import note, say, say_json
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.painting import Progress
    from impasto.sweep import SweepCell

WEIGHTS = "1e-5,1e-4,1e-3,1e-2"


class Vary(str, Enum):
    """What changes from row to row."""

    style_layers = "style-layers"


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
    content_weights: Annotated[
        str, typer.Option(metavar="W,W...", help="The values of λ, a column each.", rich_help_panel=LOOK)
    ] = WEIGHTS,
    vary: Annotated[
        Vary | None,
        typer.Option(
            help="Rows: relu1_1 alone, then with relu2_1, up to all five style layers.",
            show_default=False,
            rich_help_panel=LOOK,
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(
            help="Longest side in pixels; 0 keeps the photograph's own.", callback=at_least(0), rich_help_panel=LOOK
        ),
    ] = 256,
    tv_weight: TvWeight = 0.0,
    preserve_color: PreserveColor = Color.none,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Steps of every cell (default: fitted to the size).",
            callback=at_least(1),
            rich_help_panel=DESCENT,
        ),
    ] = None,
    optimizer: Algorithm = Optimizer.lbfgs,
    extractor: ExtractorName = "auto",
    normalization: Normalized = Normalization.relative,
    content_layers: ContentLayers = None,
    style_layers: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER=W,...",
            help="Of every cell (default: relu1_1 to relu5_1, a fifth each).",
            rich_help_panel=DESCENT,
        ),
    ] = None,
    pooling: Pooled = Pooling.max,
    device: Where = Device.auto,
    precision: HowPrecise = Precision.auto,
    threads: Threads = None,
    max_pixels: MaxPixels = 64_000_000,
    cells: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep every cell's picture there, with its recipe.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint CONTENT in the style of STYLE at several content weights, as the figure of Gatys et al. 2015."""
    options.one_voice(quiet=quiet, json=json)
    options.check_word_or_file(extractor, ("auto", "compact", "vgg19"), "--extractor")
    if vary is not None and style_layers is not None:
        raise ImpastoError("--vary style-layers sets the layers of every row; leave --style-layers out, or --vary")
    weights = read_content_weights(content_weights)
    settings: dict[str, Any] = {
        "size": size,
        "tv_weight": tv_weight,
        "steps": steps,
        "optimizer": optimizer.value,
        "extractor": extractor,
        "preserve_color": preserve_color.value,
        "device": device.value,
        "precision": precision.value,
        "normalization": normalization.value,
        "content_layers": options.read_layers(content_layers, "--content-layers"),
        "style_layers": options.read_layers(style_layers, "--style-layers"),
        "pooling": pooling.value,
        "max_pixels": max_pixels,
    }
    options.check_files(content, style)

    from impasto import sweep as sweeps
    from impasto.images import check_output_path, load_image, save_image, to_pil
    from impasto.refine.pyramid import plan

    check_output_path(output, force=force, depth=8)
    weights = sweeps.check_weights(weights)
    rows: tuple[sweeps.Layers, ...] = (None,) if vary is None else sweeps.cumulative_layers()
    if cells is not None:
        check_cells(cells, [sweeps.cell_name(weight, row) for row in rows for weight in weights], force=force)
    options.set_threads(threads)
    reporter = report.choose(quiet=quiet or json, json=False)
    done: dict[tuple[int, int], SweepCell] = {}
    count, stopped = len(rows) * len(weights), False

    def before(row: int, column: int) -> None:
        layers = rows[row]
        which = "" if layers is None else f", style of {' + '.join(layers)}"
        reporter.notice(f"cell {len(done) + 1} of {count}: λ = {sweeps.label(weights[column])}{which}")

    def listen(record: Progress) -> None:
        if record.step == 1:
            # The time left is that of this cell, whose steps are known only now.
            reporter.expect(plan(size, record.steps) if size else ())
        reporter.step(record)

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
                    callback=listen,
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
    photograph, painted = (to_pil(load_image(path, max_pixels=max_pixels).tensor) for path in (content, style))
    sheet = sweeps.sweep_sheet(photograph, painted, weights, rows, done)
    save_image(output, load_image(sheet).tensor, force=force)
    first = next(iter(done.values())).painting
    for notice in () if quiet else first.notices:
        note(notice)
    if extractor == "auto" and first.recipe.extractor == "compact" and not quiet:
        note("VGG-19's weights are not on this machine, so the compact extractor looked")
    seconds = sum(cell.painting.seconds for cell in done.values())
    if json:
        about = {
            "output": str(output),
            "width": sheet.width,
            "height": sheet.height,
            "extractor": first.recipe.extractor,
        }
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
                f"--content-weights: {part.strip()!r} is no number from 0 up; write for example {WEIGHTS}"
            )
        weights.append(weight)
    return weights


def check_cells(folder: Path, names: list[str], *, force: bool) -> None:
    """Refuse, before any work, a folder that cannot be written or holds cells of another sweep.

    Raises:
        ImpastoError: it is a file, or holds such pictures and ``force`` is not set.
    """
    if folder.exists() and not folder.is_dir():
        raise ImpastoError(f"--cells: {folder} is a file; name a folder")
    for name in names:
        if not force and (folder / name).exists():
            raise ImpastoError(f"--cells: {folder / name} exists already; name another folder or add --force")
