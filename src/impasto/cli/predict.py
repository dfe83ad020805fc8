"""``impasto predict``: what a network of the warm-ups says of a picture."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from impasto.cli.options import Debug, Json, check_files, options_of
from impasto.cli.report import say, say_json
from impasto.settings import Settings

app = typer.Typer(help="Ask a network that was trained here.")


@app.command("attributes")
@options_of(Settings, "settings", only=("threads", "max_pixels"))
def attributes(
    face: Annotated[
        str, typer.Argument(metavar="FACE", help="A face, upright and central as CelebA's.", show_default=False)
    ],
    model: Annotated[
        str, typer.Option(metavar="FILE", help="Weights of 'impasto train attributes'.", show_default=False)
    ],
    settings: dict[str, Any],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell the attributes of FACE, the likeliest first."""
    chosen = Settings.check(settings)
    check_files(face, model)

    from impasto.images import load_image
    from impasto.lessons.attributes import AttributeNet, predict
    from impasto.machine import own_torch

    with own_torch(chosen.threads):
        network = AttributeNet.from_file(model)
        picture = load_image(face, max_pixels=chosen.max_pixels, role="face")
        probabilities = predict(network, picture.tensor)[0].tolist()
    told = sorted(zip(network.attributes, probabilities, strict=True), key=lambda pair: -pair[1])
    if json:
        say_json({"face": face, "model": model, "attributes": {name: round(value, 4) for name, value in told}})
        return
    for name, value in told:
        say(f"{value:6.1%}  {'yes' if value > 0.5 else 'no ':<3}  {name}")
