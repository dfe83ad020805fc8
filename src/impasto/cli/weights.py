"""``impasto weights``: the weights on this machine, and how they get there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from impasto.cli import options
from impasto.cli.options import Debug, Force, Json, Quiet
from impasto.cli.report import is_terminal, note, say, say_json
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.features.weights import WeightFile

app = typer.Typer(help="The weights on this machine: list, get, add, verify.")


_MENDS = {
    "vgg19": "'impasto weights get vgg19 --force' fetches it anew, 'impasto weights add FILE --force' takes yours",
    "compact": "install impasto again",
    "autoencoder": "install impasto again",
}


@app.command("list")
def show(json: Json = False, debug: Debug = False) -> None:
    """Show which weights are there, and where."""
    from impasto.features.weights import listing

    for file in listing():
        _say(file, json=json)


@app.command("get")
def get(
    name: Annotated[Literal["vgg19"], typer.Argument(metavar="vgg19", help="Which weights.", show_default=False)],
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Fetch VGG-19's weights, 80 MB, as published with Keras; goes on where it was cut short."""
    options.one_voice(quiet=quiet, json=json)
    from impasto.features import weights

    if weights.find_vgg19() is None or force:
        with _progress(silent=quiet or json) as progress:
            weights.download_vgg19(progress)
    elif not quiet:
        note(f"{name}: its weights are here already; --force fetches them again")
    if not quiet:
        _say(weights.listing()[0], json=json)


@app.command("add")
def add(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="VGG-19 from torchvision, Caffe, Keras, or safetensors.", show_default=False
        ),
    ],
    convention: Annotated[
        Literal["torchvision", "caffe"] | None,
        typer.Option(help="For a file that does not tell it.", show_default=False),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Convert a file of VGG-19's weights and keep it, for `--extractor vgg19` and auto."""
    options.one_voice(quiet=quiet, json=json)
    options.check_files(file)
    from impasto.features import weights

    there = weights.listing()[0]
    if there.exists and not force:
        from impasto.features.convert import read_weights

        if read_weights(file, convention).sha256 != there.sha256:
            raise ImpastoError(f"{there.path}: other weights are there already; add --force to replace them")
    else:
        weights.add(file, convention)
    if not quiet:
        _say(weights.listing()[0], json=json)


@app.command("verify")
def verify(quiet: Quiet = False, json: Json = False, debug: Debug = False) -> None:
    """Read every file of weights from end to end and check it."""
    options.one_voice(quiet=quiet, json=json)
    from impasto.features import weights

    files = weights.verify()
    if not quiet:
        for file in files:
            _say(file, json=json)
    for file in files:
        if file.exists and not file.intact:
            raise ImpastoError(f"{file.path}: is damaged; {_MENDS[file.name]}")


def facts(file: WeightFile) -> dict[str, Any]:
    """A file of weights as plain JSON values."""
    return {**asdict(file), "path": str(file.path)}


def _say(file: WeightFile, *, json: bool) -> None:
    if json:
        say_json(facts(file))
        return
    say(f"{file.name}: {file.status}")
    if file.exists:
        say(f"  {file.path} ({file.size / 1e6:.1f} MB)")
        for label, value in (("made from", file.origin), ("SHA-256", file.sha256)):
            if value:
                say(f"  {label} {value}")


@contextmanager
def _progress(*, silent: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """What hears of the bytes that have come: a bar on a terminal, a line now and then elsewhere."""
    if silent:
        yield None
    elif is_terminal(sys.stderr):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = (BarColumn(bar_width=None), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), expand=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda here, total: bar.update(task, completed=here, total=total)
    else:
        said = 0

        def lines(here: int, total: int | None) -> None:
            nonlocal said
            if here - said >= 10_000_000 or here == total:
                said = here
                note(f"{here / 1e6:.0f} MB" + (f" of {total / 1e6:.0f} MB" if total else ""))

        yield lines
