"""``impasto measure``: how close a picture is to the photograph's content and the painting's style."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from impasto.cli.options import Debug, Json, check_files, options_of
from impasto.cli.report import note, say, say_json
from impasto.settings import Settings

MEASURED = ("content_weight", "style_weights", "extractor", "threads", "max_pixels")


@options_of(Settings, "settings", only=MEASURED, defaults={"extractor": "vgg19"})
def measure(
    output: Annotated[str, typer.Argument(metavar="OUT", help="The picture to judge.", show_default=False)],
    content: Annotated[str, typer.Option("--content", "-c", metavar="C", help="The photograph.", show_default=False)],
    style: Annotated[
        list[str],
        typer.Option(
            "--style", "-s", metavar="S", help="The painting; again for each further one.", show_default=False
        ),
    ],
    settings: dict[str, Any],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure OUT: content, style and total loss, style share, content error, leak, chroma noise, SSIM."""
    checked = Settings.check(settings)
    checked.check_files()
    check_files(output, content, *style)

    from impasto import measurement

    result = measurement.measure(output, content, style, **settings)
    if json:
        say_json({"output": output, **asdict(result)})
        return
    for label, value in (
        ("content loss", result.content_loss),
        ("style loss", result.style_loss),
        ("total loss", result.total_loss),
        ("style share", result.style_share),
        ("content error", result.content_error),
        ("leak", result.leak),
        ("chroma noise", result.chroma_noise),
        ("SSIM", result.ssim),
    ):
        say(f"{label:<13}  {value:.6g}")
    if result.extractor != "vgg19":
        note(f"measured with {result.extractor}; figures of VGG-19 are the ones that count")
