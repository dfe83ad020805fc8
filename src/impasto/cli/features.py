"""``impasto features``: what a CNN sees in a picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import options
from impasto.cli.options import (
    OUTPUT,
    Debug,
    Device,
    Force,
    MaxPixels,
    Pooling,
    Quiet,
    Threads,
    Where,
    at_least,
)
from impasto.cli.report import note, say
from impasto.errors import ImpastoError

LAYERS = "relu1_1,relu3_1,relu5_1"
CHANNELS = 16

_CHANNEL = re.compile(r"(relu[1-5]_[1-4]):(\d{1,6})")


def features(
    picture: Annotated[str, typer.Argument(metavar="IMAGE", help="The picture to look at.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="SHEET", help="The sheet: .png, .jpg, .webp or .tif.", rich_help_panel=OUTPUT
        ),
    ],
    layers: Annotated[
        str | None, typer.Option(metavar="LAYER,...", help=f"A section each (default: {LAYERS}).", show_default=False)
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER:N",
            help="One channel instead, such as relu4_1:123: where it answers, and to which pixels.",
            show_default=False,
        ),
    ] = None,
    extractor: Annotated[
        str,
        typer.Option(
            metavar="auto|compact|vgg19|FILE", help="The CNN that looks; auto is VGG-19 where its weights are here."
        ),
    ] = "auto",
    channels: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=f"Maps in a section (default: {CHANNELS}).", callback=at_least(1), show_default=False
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(help="Longest side in pixels; 0 keeps the picture's own.", callback=at_least(0))
    ] = 512,
    pooling: Annotated[Pooling, typer.Option(help="Of VGG-19.")] = Pooling.max,
    device: Where = Device.auto,
    threads: Threads = None,
    max_pixels: MaxPixels = 64_000_000,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw what a CNN sees in IMAGE: the maps of its most active channels, layer by layer, or one channel closely."""
    if channel is not None and (layers is not None or channels is not None):
        raise ImpastoError("--channel draws that one channel; leave --layers and --channels out, or --channel")
    options.check_word_or_file(extractor, ("auto", "compact", "vgg19"), "--extractor")
    wanted = read_layer_names(LAYERS if layers is None else layers)
    one = None if channel is None else read_channel(channel)
    options.check_files(picture)

    from impasto.images import check_output_path

    check_output_path(output, force=force, depth=8)
    options.set_threads(threads)

    from impasto.features import load_extractor
    from impasto.features.sheet import channel_sheet, features_sheet
    from impasto.images import fit_size, load_image, resize, save_image
    from impasto.machine import resolve_device

    where = resolve_device(device.value)
    network = load_extractor(extractor, device=where, pooling=pooling.value)
    loaded = load_image(picture, max_pixels=max_pixels)
    image = resize(loaded.tensor, fit_size(loaded.tensor.shape[-2], loaded.tensor.shape[-1], size)).to(where)
    if one is not None:
        sheet = channel_sheet(network, image, *one)
    else:
        sheet = features_sheet(network, image, wanted, CHANNELS if channels is None else channels)
    save_image(output, load_image(sheet).tensor, force=force)
    if quiet:
        return
    for notice in loaded.notices:
        note(notice)
    if extractor == "auto" and network.name == "compact":
        note("VGG-19's weights are not on this machine, so the compact extractor looks; its channels are its own")
    say(f"The sheet is in {output} ({sheet.width} x {sheet.height} pixels).")


def read_layer_names(text: str) -> list[str]:
    """``relu1_1,relu3_1``: layers in this order.

    Raises:
        ImpastoError: not the name of a layer, or one named twice.
    """
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if not options.LAYER.fullmatch(name):
            raise ImpastoError(f"--layers: {name!r} is no layer; write for example {LAYERS}")
        if names.count(name) > 1:
            raise ImpastoError(f"--layers: {name} stands there twice; name it once")
    return names


def read_channel(text: str) -> tuple[str, int]:
    """``relu4_1:123``: a layer and a channel of it.

    Raises:
        ImpastoError: anything else.
    """
    match = _CHANNEL.fullmatch(text.strip())
    if match is None:
        raise ImpastoError(f"--channel: {text!r} is no channel; write for example relu4_1:123")
    return match[1], int(match[2])
