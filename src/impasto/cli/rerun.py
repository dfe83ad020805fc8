"""``impasto rerun``: a picture again, from the recipe inside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto import __version__
from impasto.cli.options import Debug, Json, Quiet, Resume, check_files, one_voice, options_of, written
from impasto.cli.run import run_job
from impasto.errors import ImpastoError
from impasto.job import Job
from impasto.recipe import Input, Recipe, locate
from impasto.settings import Settings, about


def where(what: str) -> Any:
    """An option that says where a file lies now."""
    return typer.Option(metavar="FILE", help=f"Where {what}.", show_default=False)


@options_of(Settings, "settings", only=("max_pixels",))
@options_of(Job, "rest", only=("depth", "quality", "force"), defaults={"depth": None})
def rerun(
    picture: Annotated[Path, typer.Argument(metavar="OUT", help="A picture that impasto saved.", show_default=False)],
    output: Annotated[str, written("AGAIN", "Where the new one goes.")],
    settings: dict[str, Any],
    rest: dict[str, Any],
    content: Annotated[str | None, where("the photograph lies now")] = None,
    style: Annotated[list[str] | None, where("the painting lies now; once for each, in order")] = None,
    init: Annotated[str | None, where("the picture to begin with lies now")] = None,
    extractor: Annotated[str | None, where("the extractor's weights lie now")] = None,
    model: Annotated[str | None, where("the network lies now")] = None,
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make OUT again: same inputs, same settings, same machine, the same bytes."""
    one_voice(quiet=quiet, json=json)
    check_files(picture, *(path for path in (content, init, extractor, model, *(style or [])) if path is not None))
    recipe = Recipe.from_file(picture)
    photograph, paintings = _find_inputs(recipe, picture, content=content, styles=style)
    found: dict[str, Any] = {**recipe.settings, **settings, "threads": recipe.threads}
    if recipe.init_image is not None:
        found["init"] = str(locate(recipe.init_image, beside=picture, override=init, option="init"))
    if recipe.extractor is None and extractor is not None:
        raise ImpastoError(f"means nothing here, {picture} was made by `method=instant`; leave it out", "extractor")
    if recipe.extractor is not None:
        found["extractor"] = _find_extractor(recipe, picture, extractor)
    if recipe.model is None and model is not None:
        raise ImpastoError(f"means nothing here, {picture} was made without a network; leave it out", "model")
    if recipe.model is not None:
        found["model"] = _find_network(recipe.model, picture, model)
    rest = {**rest, "depth": rest.get("depth") or _depth_of(picture)}
    job = Job.check(str(photograph), [str(path) for path in paintings], output, found, **rest)

    def recorded(made: Recipe) -> Recipe:
        """The files are the same by hash; under the names of the first run the recipe, and so the file, is the same."""
        paths = {key: recipe.settings[key] for key in ("init", "extractor", "model") if key in recipe.settings}
        return replace(
            made,
            content=recipe.content,
            styles=recipe.styles,
            init_image=recipe.init_image,
            model=recipe.model,
            stopped=recipe.stopped,
            settings=made.settings | paths,
        )

    notices = _differences(recipe)
    run_job(job, quiet=quiet, json=json, resume=resume, until=recipe.stopped, notices=notices, recorded=recorded)


def _find_inputs(
    recipe: Recipe, picture: Path, *, content: str | None, styles: list[str] | None
) -> tuple[Path, list[Path]]:
    """The files of a recipe: the photograph and the paintings."""
    if styles and len(styles) != len(recipe.styles):
        raise ImpastoError(
            f"given {len(styles)} times, but {picture} was made with {len(recipe.styles)}; give each, in order", "style"
        )
    photograph = locate(recipe.content, beside=picture, override=content, option="content")
    overrides: list[str] | list[None] = styles or [None] * len(recipe.styles)
    paintings = [
        locate(painting, beside=picture, override=override, option="style")
        for painting, override in zip(recipe.styles, overrides, strict=True)
    ]
    return photograph, paintings


def _find_extractor(recipe: Recipe, picture: Path, given: str | None) -> str:
    """The extractor that looked: by its word, the file that was given, or one beside the picture."""
    from impasto.features import recorded_sha256

    extractor = str(given or recipe.settings.get("extractor", recipe.extractor))
    if given is None and extractor not in about(Settings)["extractor"].words:
        extractor = str(picture.parent / Path(extractor).name)
        check_files(extractor)
    if recorded_sha256(extractor) != recipe.extractor_sha256:
        raise ImpastoError(
            f"{extractor} has other weights than those that made the picture "
            f"(SHA-256 {(recipe.extractor_sha256 or '')[:12]}…); give their file",
            setting="extractor",
        )
    return extractor


def _find_network(wanted: Input, picture: Path, model: str | None) -> str | None:
    """The network that made the picture: a file, ``base``, or None for what the package has learned of its painting."""
    if wanted.name or model is not None:
        return str(locate(wanted, beside=picture, override=model, option="model"))
    from impasto.files.hashing import file_sha256
    from impasto.instant.models import BASE, shipped_networks

    base, *learned = (file_sha256(path) for path in shipped_networks())
    if wanted.sha256 not in (base, *learned):
        raise ImpastoError(
            "this installation comes with another network than the one that made the picture "
            f"(SHA-256 {wanted.sha256[:12]}…); give its file",
            setting="model",
        )
    return BASE if wanted.sha256 == base else None


def _differences(recipe: Recipe) -> list[str]:
    """What may make other bytes of the recipe here."""
    import torch

    versions = (("impasto", recipe.version, __version__), ("torch", recipe.torch, torch.__version__))
    return [
        f"made with {name} {then}, this is {now}: the picture may differ a little"
        for name, then, now in versions
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
