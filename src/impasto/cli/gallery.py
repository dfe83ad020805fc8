"""``impasto gallery``: the pictures that come with the package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.cli.options import Debug, Force, Json, written
from impasto.cli.report import say, say_json
from impasto.errors import ImpastoError
from impasto.gallery import PREFIX, Card, cards, path


def gallery(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of the pictures.", show_default=False)] = None,
    output: Annotated[Path | None, written("FILE")] = None,
    force: Force = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the pictures that come with impasto, tell all about one, or write it to a file.

    Every command takes them by name: impasto stylize photo.jpg gallery:starry_night -o out.png
    """
    if name is None:
        if output is not None:
            raise ImpastoError(f"--output: say which picture, such as impasto gallery starry_night -o {output}")
        _list(cards().values(), json=json)
        return
    name = name.removeprefix(PREFIX)
    file = path(name)
    if output is not None:
        _write(file, output, force=force)
    known = _known(cards()[name])
    if json:
        say_json(known | ({} if output is None else {"output": str(output)}))
    elif output is not None:
        say(f"The picture is in {output}.")
    else:
        _print_columns(list(known.items()))


def _list(pictures: Iterable[Card], *, json: bool) -> None:
    if json:
        for card in pictures:
            say_json(_known(card))
    else:
        columns = ("name", "title", "artist", "year")
        _print_columns([columns, *([getattr(card, column) for column in columns] for card in pictures)])


def _known(card: Card) -> dict[str, Any]:
    return {key: value for key, value in asdict(card).items() if value is not None}


def _print_columns(rows: Sequence[Sequence[Any]]) -> None:
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _write(file: Path, output: Path, *, force: bool) -> None:
    from impasto.files.atomic import write_atomically
    from impasto.images import check_output_path, load_image, save_image

    check_output_path(output, force=force, depth=8)
    if output.suffix.lower() == file.suffix:  # As it is: WebP loses a little each time it is saved.
        write_atomically(output, file.read_bytes())
    else:
        save_image(output, load_image(file).tensor, force=force)
