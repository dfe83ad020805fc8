"""``impasto export``: networks for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import options
from impasto.cli.options import Debug, Force, Quiet
from impasto.cli.report import say

app = typer.Typer(help="Write a network for other programs.")


@app.command("onnx")
def onnx(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A file of 'impasto train autoencoder' or 'adapt'.", show_default=False),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The .onnx file to write.", show_default=False)],
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write MODEL, a network that paints, as ONNX: content, style and strength in, output out, of any size."""
    options.check_files(model)
    options.check_weights_out(out, force=force, setting=None, ending=".onnx")

    from impasto.files.atomic import check_no_input, write_atomically
    from impasto.instant.models import load_network
    from impasto.instant.onnx import export

    check_no_input(out, model)
    data = export(load_network(model))
    write_atomically(out, data)
    if not quiet:
        say(f"The network is in {out} ({len(data) / 1e6:.1f} MB).")
