"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from impasto import gallery
from impasto.errors import ImpastoError

__all__ = [
    "LAYER",
    "Algorithm",
    "Color",
    "ContentLayers",
    "Debug",
    "Depth",
    "Device",
    "Devices",
    "ExtractorName",
    "Force",
    "HowPrecise",
    "Json",
    "MaxMemory",
    "MaxPixels",
    "Method",
    "Normalization",
    "Normalized",
    "Optimizer",
    "Pooled",
    "Pooling",
    "Precision",
    "PreserveColor",
    "Quiet",
    "Resume",
    "Runtime",
    "Threads",
    "TvWeight",
    "Where",
    "at_least",
    "check_files",
    "check_weights_out",
    "check_word_or_file",
    "one_voice",
    "read_layers",
    "read_weights",
    "set_threads",
]

Number = TypeVar("Number", int, float)


class Method(str, Enum):
    """How to paint."""

    refine = "refine"
    instant = "instant"
    hybrid = "hybrid"


class Runtime(str, Enum):
    """What computes a network that paints."""

    torch = "torch"
    onnx = "onnx"


class Optimizer(str, Enum):
    """How the picture descends."""

    lbfgs = "lbfgs"
    adam = "adam"


class Color(str, Enum):
    """What of the photograph's colors is kept."""

    none = "none"
    luminance = "luminance"
    histogram = "histogram"


class Device(str, Enum):
    """Where torch computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(str, Enum):
    """Of the extractor's arithmetic."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class Depth(str, Enum):
    """Bits a channel of the output."""

    eight = "8"
    sixteen = "16"


class Normalization(str, Enum):
    """Of the terms of the loss."""

    relative = "relative"
    gatys = "gatys"


class Pooling(str, Enum):
    """Of VGG-19."""

    max = "max"
    avg = "avg"


def at_least(low: int) -> Callable[[Number | None], Number | None]:
    """A check for an option: a finite number from ``low`` up."""

    def check(value: Number | None) -> Number | None:
        if value is not None and not (low <= value < math.inf):
            raise typer.BadParameter(f"{value} is not a number from {low} up.")
        return value

    return check


# Panels of the help.
LOOK, DESCENT, MACHINE, OUTPUT = "The look", "The descent", "The machine", "What comes out"

# main() looks for --debug itself: it counts wherever it stands. Declared, it shows in the help.
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that exist.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=OUTPUT)]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON, one object a line, instead of text.", rich_help_panel=OUTPUT)
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on from the checkpoint beside the output, if there is one.", rich_help_panel=OUTPUT
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="No more memory than this, such as 2G: larger pictures are refined in tiles (default: the machine's).",
        show_default=False,
        rich_help_panel=MACHINE,
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(
        help="Refuse images with more pixels than this, before decoding.",
        callback=at_least(1),
        rich_help_panel=MACHINE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="CPU threads (default: torch's choice).", callback=at_least(1), show_default=False, rich_help_panel=MACHINE
    ),
]

TvWeight = Annotated[
    float,
    typer.Option(help="Weight of the total variation: above 0, smoother.", callback=at_least(0), rich_help_panel=LOOK),
]
PreserveColor = Annotated[Color, typer.Option(help="Keep the photograph's colors.", rich_help_panel=LOOK)]
Algorithm = Annotated[Optimizer, typer.Option(help="The algorithm.", rich_help_panel=DESCENT)]
ExtractorName = Annotated[
    str,
    typer.Option(
        metavar="auto|compact|vgg19|FILE",
        help="The CNN that looks; auto is VGG-19 where its weights are here.",
        rich_help_panel=DESCENT,
    ),
]
Normalized = Annotated[
    Normalization,
    typer.Option(help="Terms relative to their target's energy, or the article's.", rich_help_panel=DESCENT),
]
ContentLayers = Annotated[
    str | None,
    typer.Option(metavar="LAYER=W,...", help="Such as relu4_2=1, the default.", rich_help_panel=DESCENT),
]
Pooled = Annotated[Pooling, typer.Option(help="Of VGG-19.", rich_help_panel=DESCENT)]
Where = Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel=MACHINE)]
HowPrecise = Annotated[
    Precision, typer.Option(help="auto is bf16 where the device is fast at it.", rich_help_panel=MACHINE)
]

Devices = Annotated[
    int,
    typer.Option(help="Processes that share each batch, one a GPU.", callback=at_least(1), rich_help_panel=MACHINE),
]

LAYER = re.compile(r"relu[1-5]_[1-4]")


def read_weights(text: str | None) -> tuple[float, ...] | None:
    """``0.7,0.3``: one number a style painting. :class:`impasto.settings.Settings` counts and bounds them.

    Raises:
        ImpastoError: there is something that is no number.
    """
    return None if text is None else tuple(_number(part, "--style-weights") for part in text.split(","))


def read_layers(text: str | None, option: str) -> dict[str, float] | None:
    """``relu1_1=1,relu2_1=0.5``: layers and their weights; a layer alone weighs 1.

    Raises:
        ImpastoError: not the name of a layer, one named twice, or no number behind it.
    """
    if text is None:
        return None
    layers: dict[str, float] = {}
    for part in text.split(","):
        layer, separator, weight = part.strip().partition("=")
        if not LAYER.fullmatch(layer):
            raise ImpastoError(f"{option}: {layer!r} is no layer; write for example relu1_1=1,relu2_1=0.5")
        if layer in layers:
            raise ImpastoError(f"{option}: {layer} stands there twice; name it once")
        layers[layer] = _number(weight, option) if separator else 1.0
    return layers


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ImpastoError(f"{option}: {text.strip()!r} is not a number; write for example 0.7") from None


def check_word_or_file(value: str, words: tuple[str, ...], option: str) -> None:
    """An option that takes one of a few words or else a file.

    Raises:
        ImpastoError: it is neither.
    """
    if value not in words and not gallery.resolve(value).is_file():
        raise ImpastoError(f"{option}: {value!r} is neither a file nor one of {', '.join(words)}")


def check_files(*paths: str | Path) -> None:
    """Refuse names of files that are not there, before anything slow is loaded.

    Raises:
        ImpastoError: one is missing, not in the gallery, or a folder.
    """
    for path in paths:
        file = gallery.resolve(path)
        if file.is_dir():
            raise ImpastoError(f"{path} is a folder; name a file in it")
        if not file.exists():
            raise ImpastoError(f"{path} is not there; check the name")


def check_weights_out(
    out: Path, *others: Path, force: bool, option: str = "--out: ", ending: str = ".safetensors"
) -> None:
    """Refuse, before any work, a file of weights that cannot be written, or that would replace another.

    Args:
        out: the file.
        others: what comes beside it.
        force: replace what is there.
        option: what errors begin with; nothing for an argument.
        ending: that the file has to have.

    Raises:
        ImpastoError: another ending, no such folder, or one of them exists and ``force`` is not set.
    """
    if out.suffix != ending:
        raise ImpastoError(f"{option}{out} has to end in {ending}")
    if not out.parent.is_dir():
        raise ImpastoError(f"{option}there is no folder {out.parent}; make it first")
    taken = next((path for path in (out, *others) if path.exists()), None)
    if taken is not None and not force:
        raise ImpastoError(f"{option}{taken} exists; name another file or add --force")


def one_voice(*, quiet: bool, json: bool) -> None:
    """``--quiet`` and ``--json`` at once contradict each other.

    Raises:
        ImpastoError: both are given.
    """
    if quiet and json:
        raise ImpastoError("--quiet and --json: the one prints nothing, the other a line a step; give one of them")


def set_threads(threads: int | None) -> None:
    """Let torch use this many CPU threads; None leaves it its own choice."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
