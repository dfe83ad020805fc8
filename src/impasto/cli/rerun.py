"""``impasto rerun``: a picture again, from the recipe inside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto import __version__
from impasto.cli import options, report, run
from impasto.cli.checkpoints import claim_checkpoint
from impasto.cli.options import Debug, Depth, Force, Json, MaxPixels, Quiet, Resume
from impasto.errors import ImpastoError
from impasto.recipe import Input, Recipe, locate


def rerun(
    picture: Annotated[Path, typer.Argument(metavar="OUT", help="A picture that impasto saved.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="AGAIN", help="Where the new one goes.", show_default=False)
    ],
    content: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the photograph lies now.", show_default=False)
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Where the painting lies now; once for each, in order.", show_default=False),
    ] = None,
    init: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the picture to begin with lies now.", show_default=False)
    ] = None,
    extractor: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the weights lie now.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the network lies now.", show_default=False)
    ] = None,
    depth: Annotated[
        Depth | None, typer.Option(help="Bits a channel (default: those of OUT).", show_default=False)
    ] = None,
    max_pixels: MaxPixels = 64_000_000,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make OUT again: same inputs, same settings, same machine, the same bytes."""
    options.one_voice(quiet=quiet, json=json)
    options.check_files(
        picture, *(path for path in (content, init, extractor, model, *(style or [])) if path is not None)
    )
    recipe = Recipe.from_file(picture)
    bits = _depth_of(picture) if depth is None else int(depth.value)

    from impasto.images import check_output_path

    check_output_path(output, force=force, depth=bits, longest=recipe.settings.get("size") or 0)
    photograph, paintings, settings = _find_inputs(recipe, picture, content=content, styles=style, init=init)
    checkpoint = None
    if recipe.extractor is None:
        for option, given in (("--extractor", extractor), ("--resume", resume)):
            if given:
                raise ImpastoError(
                    f"{option}: means nothing here, {picture} was made by --method instant; leave it out"
                )
    else:
        if extractor is not None:
            settings["extractor"] = extractor
        _check_weights(settings.get("extractor", recipe.extractor), recipe.extractor_sha256)
        checkpoint = claim_checkpoint(output, resume=resume, force=force)
    if recipe.model is None:
        if model is not None:
            raise ImpastoError(f"--model: means nothing here, {picture} was made without a network; leave it out")
    else:
        settings["model"] = _find_network(recipe.model, picture, model)
    reporter = report.choose(quiet=quiet, json=json)
    for difference in _same_ground(recipe):
        reporter.notice(difference)
    painting = run.paint(
        photograph,
        paintings,
        reporter=reporter,
        settings={**settings, "max_pixels": max_pixels},
        checkpoint=checkpoint,
        resume=resume,
    )
    paths = ("init", "extractor", "model")
    # The files are the same by hash; under the names of the first run the recipe, and so the file, is the same too.
    named = replace(
        painting.recipe,
        content=recipe.content,
        styles=recipe.styles,
        init_image=recipe.init_image,
        model=recipe.model,
        settings=painting.recipe.settings | {key: recipe.settings[key] for key in paths if key in recipe.settings},
    )
    run.save(replace(painting, recipe=named), output, depth=bits, force=force, reporter=reporter)


def _find_inputs(
    recipe: Recipe, picture: Path, *, content: str | None, styles: list[str] | None, init: str | None
) -> tuple[Path, list[Path], dict[str, Any]]:
    """The files of a recipe, and its settings with the place where the first image lies now."""
    if styles and len(styles) != len(recipe.styles):
        raise ImpastoError(
            f"--style: given {len(styles)} times, but {picture} was made with {len(recipe.styles)}; give each, in order"
        )
    photograph = locate(recipe.content, beside=picture, override=content, option="--content")
    overrides: list[str] | list[None] = styles or [None] * len(recipe.styles)
    paintings = [
        locate(painting, beside=picture, override=override, option="--style")
        for painting, override in zip(recipe.styles, overrides, strict=True)
    ]
    settings = dict(recipe.settings)
    if recipe.init_image is not None:
        settings["init"] = str(locate(recipe.init_image, beside=picture, override=init, option="--init"))
    return photograph, paintings, settings


def _check_weights(extractor: str, sha256: str | None) -> None:
    from impasto.features import load_extractor

    if load_extractor(extractor).sha256 != sha256:
        raise ImpastoError(
            f"--extractor: {extractor} has other weights than those that made the picture "
            f"(SHA-256 {(sha256 or '')[:12]}…); give their file"
        )


def _find_network(wanted: Input, picture: Path, model: str | None) -> str | None:
    """The file of the network that made the picture; None for the one that comes with the package."""
    if wanted.name or model is not None:
        return str(locate(wanted, beside=picture, override=model, option="--model"))
    from impasto.instant.models import find_model

    if find_model(None).input.sha256 != wanted.sha256:
        raise ImpastoError(
            "--model: this installation comes with another network than the one that made the picture "
            f"(SHA-256 {wanted.sha256[:12]}…); give its file"
        )
    return None


def _same_ground(recipe: Recipe) -> list[str]:
    """Take the recipe's thread count, and list what may still make other bytes of it."""
    import torch

    torch.set_num_threads(recipe.threads)
    return [
        f"made with {name} {then}, this is {now}: the picture may differ a little"
        for name, then, now in (
            ("impasto", recipe.version, __version__),
            ("torch", recipe.torch, torch.__version__),
            ("threads:", recipe.threads, torch.get_num_threads()),
        )
        if then != now
    ]


def _depth_of(picture: Path) -> int:
    """8 or 16 bits a channel."""
    with picture.open("rb") as file:
        start = file.read(25)
    if start.startswith(b"\x89PNG"):
        return 16 if start[24] == 16 else 8
    if start[:2] in (b"II", b"MM"):
        import tifffile

        with tifffile.TiffFile(picture) as tiff:
            return 16 if tiff.pages.first.bitspersample == 16 else 8
    return 8
