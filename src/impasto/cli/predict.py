"""``impasto predict``: what a network of the warm-ups says of a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.cli import options
from impasto.cli.options import Debug, Json, MaxPixels, Threads
from impasto.cli.report import say, say_json

app = typer.Typer(help="Ask a network that was trained here.")


@app.callback(invoke_without_command=True)
def _predict(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("attributes")
def attributes(
    face: Annotated[
        str, typer.Argument(metavar="FACE", help="A face, upright and central as CelebA's.", show_default=False)
    ],
    model: Annotated[
        str, typer.Option(metavar="FILE", help="Weights of 'impasto train attributes'.", show_default=False)
    ],
    max_pixels: MaxPixels = 64_000_000,
    threads: Threads = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell the attributes of FACE, the likeliest first."""
    options.check_files(face, model)
    options.set_threads(threads)

    from impasto.images import load_image
    from impasto.lessons.attributes import load_attributes, predict

    network = load_attributes(model)
    picture = load_image(face, max_pixels=max_pixels, role="face")
    probabilities = predict(network, picture.tensor)[0].tolist()
    told = sorted(zip(network.attributes, probabilities, strict=True), key=lambda pair: -pair[1])
    if json:
        say_json({"face": face, "model": model, "attributes": {name: round(value, 4) for name, value in told}})
        return
    for name, value in told:
        say(f"{value:6.1%}  {'yes' if value > 0.5 else 'no ':<3}  {name}")
