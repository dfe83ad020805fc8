"""``impasto measure``: how close a picture is to the photograph's content and the painting's style."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from impasto.cli import options
from impasto.cli.options import Debug, Json, MaxPixels, Threads
from impasto.cli.report import note, say, say_json


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
        str, typer.Option(metavar="vgg19|compact|auto|FILE", help="The CNN that judges; VGG-19 is the one that counts.")
    ] = "vgg19",
    content_weight: Annotated[float, typer.Option(help="λ, in the total loss.", callback=options.at_least(0))] = 1e-3,
    style_weights: Annotated[
        str | None, typer.Option(metavar="W,W...", help="One weight for each painting, such as 0.7,0.3.")
    ] = None,
    threads: Threads = None,
    max_pixels: MaxPixels = 64_000_000,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure OUT: content, style and total loss, style share, content error, SSIM."""
    options.check_word_or_file(extractor, ("vgg19", "compact", "auto"), "--extractor")
    options.check_files(output, content, *style)
    shares = options.read_weights(style_weights)
    options.set_threads(threads)

    from impasto import measurement

    result = measurement.measure(
        output,
        content,
        style,
        style_weights=shares,
        content_weight=content_weight,
        extractor=extractor,
        max_pixels=max_pixels,
    )
    if json:
        say_json({"output": output, **asdict(result)})
        return
    for label, value in (
        ("content loss", result.content_loss),
        ("style loss", result.style_loss),
        ("total loss", result.total_loss),
        ("style share", result.style_share),
        ("content error", result.content_error),
        ("SSIM", result.ssim),
    ):
        say(f"{label:<13}  {value:.6g}")
    if result.extractor != "vgg19":
        note(f"measured with {result.extractor}; figures of VGG-19 are the ones that count")
