"""Sheets of what an extractor sees: the maps of its layers, and one channel looked at closely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.features.inspect import Peak, ReceptiveField, most_active, peaks, receptive_field, saliency, spread
from impasto.images import to_pil
from impasto.sheets import FAINT, GAP, Cell, beside, fitted, grid, heat, page, stack, text

#: Longest sides in pixels of a map, of a crop and of the photograph; maps and crops in a row; peaks of a channel.
MAP, CROP, PHOTO, ROW, PEAKS = 132, 132, 372, 8, 8
#: What a crop shows where the receptive field reaches beyond the picture.
OUTSIDE = (214, 214, 218)
#: Frames on the photograph: light on a dark rim, to be seen on any ground.
FRAME, RIM = (255, 255, 255), (20, 20, 20)


@torch.no_grad()
def features_sheet(extractor: Extractor, image: Tensor, layers: Sequence[str], count: int) -> Image.Image:
    """A section for each layer with the maps of its ``count`` most active channels, strongest first.

    The image is (1, 3, H, W) in [0, 1].

    Raises:
        ImpastoError: a layer that the extractor does not have, or a picture too small for it.
    """
    _check_size(extractor, image, layers)
    found = extractor(image, layers)
    height, width = image.shape[-2:]
    # As wide as the maps will be, but not too narrow to read.
    columns = max(5, min(ROW, count))
    room = columns * MAP + (columns - 1) * GAP
    words = (
        "Each picture is the map of one channel: bright where it answers. Under it stand the channel's number and its "
        "activity, the mean of the map. Colors run from black, no answer, to pale yellow, the map's own largest value."
    )
    about = [
        text(f"What {extractor.name} sees", 26),
        text(f"in this picture of {width} x {height} pixels", 16, color=FAINT),
        text(words, 15, width=room - PHOTO // 2 - 2 * GAP),
    ]
    blocks = [beside([fitted(to_pil(image.cpu()), PHOTO // 2), stack(about, gap=6)], gap=2 * GAP)]
    for layer in layers:
        # Magnitudes: the compact extractor's maps may be below zero, VGG-19's are their own.
        maps = found[layer].abs()
        channels, down, across = maps.shape[1:]
        field, chosen = receptive_field(extractor, layer), most_active(maps, count)
        which = f"the {len(chosen)} most active of them" if len(chosen) < channels else "most active first"
        facts = (
            f"{channels} channels, {which}; maps of {across} x {down}; each value sees {field.size} x {field.size} px"
        )
        cells = [
            Cell(fitted(heat(_normal(maps[0, channel])), MAP), f"#{channel}   {_figure(value)}")
            for channel, value in chosen
        ]
        rows = [cells[start : start + ROW] for start in range(0, len(cells), ROW)]
        blocks.append(stack([text(layer, 22), text(facts, 15, color=FAINT, width=room), grid(rows)], gap=6))
    return page(blocks)


def channel_sheet(extractor: Extractor, image: Tensor, layer: str, channel: int) -> Image.Image:
    """One channel: its map over the picture, what it answers to most strongly, and which pixels move those answers.

    The image is (1, 3, H, W) in [0, 1].

    Raises:
        ImpastoError: no such layer or channel, or a picture too small for it.
    """
    _check_size(extractor, image, [layer])
    with torch.no_grad():
        maps = extractor(image, [layer])[layer]
    if channel >= maps.shape[1]:
        there = f"{layer} of '{extractor.name}' has channels 0 to {maps.shape[1] - 1}"
        raise ImpastoError(f"{there}; {channel} is none of them", setting="channel")
    feature_map, field = maps[0, channel].abs(), receptive_field(extractor, layer)
    places = peaks(feature_map, field, PEAKS)
    down, across = feature_map.shape
    room = 3 * PHOTO + 2 * GAP
    facts = (
        f"map of {across} x {down}, a value every {field.stride} px, each sees {field.size} x {field.size} px; "
        f"activity {_figure(float(feature_map.mean()))}, largest value {_figure(float(feature_map.max()))}"
    )
    title = [text(f"{layer}, channel {channel}", 26), text(facts, 15, color=FAINT, width=room)]
    blocks = [stack(title, gap=6), _overview(image, feature_map, field, places)]
    if not places:
        return page([*blocks, text("This channel does not answer anywhere in this picture.", 16, width=room)])
    photo, crops, moved = to_pil(image.cpu()), [], []
    gradients = saliency(extractor, image, layer, channel, places).cpu()
    for number, (place, gradient) in enumerate(zip(places, gradients, strict=True), 1):
        crops.append(Cell(_crop(photo, field, place), f"{number}:  {_figure(place.value)}"))
        moved.append(Cell(_crop(heat(_normal(gradient)), field, place), f"{number}"))
    told = (
        f"Above, the {field.size} x {field.size} pixels that the channel answers to most strongly, with the value; no "
        "two overlap by more than half. Below, how much every pixel there moves that value: the magnitude of the "
        "gradient, brightest where it is largest."
    )
    boxes = [field.box(place.row, place.column) for place in places]
    if any(min(box) < 0 or box[2] > photo.width or box[3] > photo.height for box in boxes):
        told += " Gray lies outside of the picture, where the network pads with zeros."
    return page([*blocks, stack([grid([crops, moved]), text(told, 15, color=FAINT, width=room)])])


def _check_size(extractor: Extractor, image: Tensor, layers: Sequence[str]) -> None:
    """Refuse layers that the extractor does not have, and pictures of which nothing would be left there."""
    extractor.check_layers(layers)
    height, width = image.shape[-2:]
    for layer in layers:
        side = extractor.smallest_side([layer])
        if min(height, width) < side:
            what = f"nothing is left of the picture at {layer}, which takes {side} px each way"
            mend = "give a larger one, or a picture that is less narrow"
            raise ImpastoError(f"at {width} x {height} px {what}; {mend}", setting="size")


def _overview(image: Tensor, feature_map: Tensor, field: ReceptiveField, places: Sequence[Peak]) -> Image.Image:
    """The picture with the peaks' frames, the map over it, and the map itself."""
    size = (image.shape[-2], image.shape[-1])
    over = torch.from_numpy(_normal(spread(feature_map, field, size)))
    photo = fitted(to_pil(image.cpu()), PHOTO)
    glow = fitted(heat(over.numpy()), PHOTO)
    # On gray, so that every color is the map's; the stronger the answer, the less of the picture.
    mask = fitted(to_pil((0.35 + 0.55 * over).expand(1, 3, *size).contiguous()), PHOTO).convert("L")
    laid = Image.composite(glow, photo.convert("L").convert("RGB"), mask)
    cells = [
        Cell(_framed(photo, size, field, places), "where it answers most strongly"),
        Cell(laid, "its map over the picture"),
        Cell(fitted(heat(_normal(feature_map)), PHOTO), "its map"),
    ]
    return grid([cells])


def _framed(photo: Image.Image, size: tuple[int, int], field: ReceptiveField, places: Sequence[Peak]) -> Image.Image:
    """A numbered frame around every peak's receptive field."""
    scale = photo.width / size[1]
    framed = photo.copy()
    draw = ImageDraw.Draw(framed)
    corners = []
    for place in places:
        left, top, right, bottom = (round(edge * scale) for edge in field.box(place.row, place.column))
        # A square of three pixels would be a dot: the frame is at least 12 pixels wide.
        room = max(0, 12 - (right - left)) // 2
        # One pixel inside of the picture, so that the rim is seen there too.
        left, top = max(left - room, 1), max(top - room, 1)
        right, bottom = min(right + room, photo.width - 1) - 1, min(bottom + room, photo.height - 1) - 1
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=RIM)
        draw.rectangle((left, top, right, bottom), outline=FRAME)
        corners.append((left, top))
    # After all frames, so that none runs through a number; the strongest last, on top.
    for number, (left, top) in reversed(list(enumerate(corners, 1))):
        label = text(str(number), 13)
        at = (min(left, photo.width - label.width - 5), min(top, photo.height - label.height - 3))
        draw.rectangle((*at, at[0] + label.width + 3, at[1] + label.height + 1), fill=FRAME)
        framed.paste(label, (at[0] + 2, at[1] + 1))
    return framed


def _crop(picture: Image.Image, field: ReceptiveField, place: Peak) -> Image.Image:
    """A peak's receptive field cut out of a picture, whole, and enlarged or reduced to one size."""
    left, top, right, bottom = field.box(place.row, place.column)
    inside = picture.crop((max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height)))
    whole = Image.new("RGB", (field.size, field.size), OUTSIDE)
    whole.paste(inside, (max(-left, 0), max(-top, 0)))
    return fitted(whole, CROP)


def _normal(values: Tensor) -> NDArray[np.floating]:
    """(H, W) of numbers from 0 up, brought to 0 to 1."""
    scaled: NDArray[np.floating] = (values.detach() / values.max().clamp_min(1e-12)).cpu().numpy()
    return scaled


def _figure(value: float) -> str:
    """Three digits or more, without an exponent where that is legible."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"
