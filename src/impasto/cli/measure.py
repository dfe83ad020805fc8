"""``impasto measure``: how close a picture is to the photograph's content and the painting's style."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from impasto.cli import options
from impasto.cli.options import Debug, Json, Threads
from impasto.cli.report import say, say_json


def measure(
    output: Annotated[str, typer.Argument(metavar="OUT", help="The picture to judge.", show_default=False)],
    content: Annotated[str, typer.Option("--content", "-c", metavar="C", help="The photograph.", show_default=False)],
    style: Annotated[
        list[str],
        typer.Option(
            "--style", "-s", metavar="S", help="The painting; again for each further one.", show_default=False
        ),
    ],
    extractor: Annotated[
        str, typer.Option(metavar="vgg19|compact|FILE", help="The CNN that judges; VGG-19 is the one that counts.")
    ] = "vgg19",
    threads: Threads = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure OUT: content, style and total loss, style share, content error, SSIM."""
    options.check_word_or_file(extractor, ("vgg19", "compact"), "--extractor")
    options.check_files(output, content, *style)
    options.set_threads(threads)

    from impasto.measure import measure as judge

    result = asdict(judge(output, content, style, extractor=extractor))
    if json:
        say_json(result)
    else:
        width = max(len(name) for name in result)
        for name, value in result.items():
            say(f"{name.replace('_', ' '):<{width}}  {value:.6g}")
