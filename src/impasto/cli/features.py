"""``impasto features``: what a CNN sees in a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from annotated_types import Ge

from impasto.cli.options import Debug, Force, Quiet, check_files, options_of, written
from impasto.cli.report import note, say
from impasto.errors import ImpastoError
from impasto.layers import VGG19_CHANNELS
from impasto.settings import About, Settings, check_fields

LAYERS = "relu1_1,relu3_1,relu5_1"
CHANNELS = 16

_CHANNEL = re.compile(r"(relu[1-5]_[1-4]):(\d{1,6})")


@dataclass(frozen=True)
class Shown:
    """What is on the sheet."""

    layers: Annotated[str | None, About(f"A section each (default: {LAYERS}).", metavar="LAYER,...")] = None
    channel: Annotated[
        str | None, About("One channel instead: where it answers, and to which pixels.", metavar="LAYER:N")
    ] = None
    channels: Annotated[Annotated[int, Ge(1)] | None, About("Maps in a section (default: 16).")] = None


@options_of(Settings, "settings", only=("extractor", "size", "pooling", "device", "threads", "max_pixels"))
@options_of(Shown, "shown")
def features(
    picture: Annotated[str, typer.Argument(metavar="IMAGE", help="The picture to look at.", show_default=False)],
    output: Annotated[Path, written("SHEET", "The sheet: .png, .jpg, .webp or .tif.")],
    settings: dict[str, Any],
    shown: dict[str, Any],
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw what a CNN sees in IMAGE: the maps of its most active channels, layer by layer, or one channel closely."""
    drawn = Shown(**check_fields(Shown, shown))
    if drawn.channel is not None and len(shown) > 1:
        raise ImpastoError("`channel` draws that one channel; leave `layers` and `channels` out, or `channel`")
    chosen = Settings.check(settings)
    chosen.check_files()
    wanted = read_layer_names(LAYERS if drawn.layers is None else drawn.layers)
    one = None if drawn.channel is None else read_channel(drawn.channel)
    check_files(picture)

    from impasto.features import load_extractor
    from impasto.features.sheet import channel_sheet, features_sheet
    from impasto.files.atomic import check_no_input
    from impasto.images import check_output_path, fit_size, load_image, resize, save_image
    from impasto.machine import own_torch, resolve_device

    check_output_path(output, force=force, depth=8)
    check_no_input(output, picture, chosen.extractor)
    loaded = load_image(picture, max_pixels=chosen.max_pixels)
    with own_torch(chosen.threads):
        device = resolve_device(chosen.device)
        network = load_extractor(chosen.extractor, device=device, pooling=chosen.pooling)
        size = fit_size(loaded.tensor.shape[-2], loaded.tensor.shape[-1], chosen.size)
        image = resize(loaded.tensor, size).to(device)
        if one is not None:
            sheet = channel_sheet(network, image, *one)
        else:
            sheet = features_sheet(network, image, wanted, drawn.channels or CHANNELS)
    save_image(output, load_image(sheet).tensor, force=force)
    if quiet:
        return
    for notice in loaded.notices:
        note(notice)
    if chosen.extractor == "auto" and network.name == "compact":
        note("VGG-19's weights are not on this machine, so the compact extractor looks; its channels are its own")
    say(f"The sheet is in {output} ({sheet.width} x {sheet.height} pixels).")


def read_layer_names(text: str) -> list[str]:
    """``relu1_1,relu3_1``: layers in this order.

    Raises:
        ImpastoError: not the name of a layer, or one named twice.
    """
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in VGG19_CHANNELS:
            raise ImpastoError(f"{name!r} is no layer; write for example {LAYERS}", setting="layers")
        if names.count(name) > 1:
            raise ImpastoError(f"{name} stands there twice; name it once", setting="layers")
    return names


def read_channel(text: str) -> tuple[str, int]:
    """``relu4_1:123``: a layer and a channel of it.

    Raises:
        ImpastoError: anything else.
    """
    match = _CHANNEL.fullmatch(text.strip())
    if match is None:
        raise ImpastoError(f"{text!r} is no channel; write for example relu4_1:123", setting="channel")
    return match[1], int(match[2])
