"""A photograph and paintings in, a painting out, in one pass of a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from impasto import __version__
from impasto.color import preserve_color
from impasto.images import MAX_PIXELS, fit_size, load_image, resize
from impasto.instant.models import find_model, load_painter
from impasto.instant.tiles import blend, encode, paint
from impasto.networks.layers import MULTIPLE
from impasto.painting import Painting, Source, listed, style_colors
from impasto.recipe import Input, Recipe
from impasto.refine.pyramid import Scale, fit, fit_style, plan
from impasto.settings import HybridSettings, InstantSettings, style_shares

__all__ = ["Beginning", "hybrid_plan", "stylize_instant"]

#: The scale at which the network's picture begins the refinement has at least this longest side; what is found at
#: coarser ones is in the picture already.
FIRST_SCALE = 96
#: Of the steps that the refinement takes by default at the scales that are left.
FEW = 0.4


def stylize_instant(
    content: Source,
    styles: Source | Sequence[Source],
    settings: Mapping[str, Any],
    *,
    max_pixels: int = MAX_PIXELS,
    after_tile: Callable[[int, int], None] = lambda done, tiles: None,
) -> Painting:
    """Paint with ``method="instant"``, see :func:`impasto.stylize`.

    Args:
        content: the photograph.
        styles: a painting, or a sequence of them.
        settings: fields of :class:`impasto.settings.InstantSettings`.
        max_pixels: the most pixels that an image may have.
        after_tile: is told how many tiles are done, and of how many.

    Raises:
        ImpastoError: a setting, an image or a network that cannot be used.
    """
    began = time.monotonic()
    chosen = InstantSettings.check(settings)
    paintings = listed(styles)
    shares = style_shares(chosen.style_weights, len(paintings))
    model = find_model(chosen.model)
    photograph = load_image(content, max_pixels=max_pixels, role="content")
    painter, device = load_painter(model, chosen.runtime, chosen.device)
    height, width = photograph.tensor.shape[-2:]
    size = max(fit_size(height, width, chosen.size or 0, max_pixels))

    # One painting after the other, and the photograph at one size only: at 8192 px each takes 0.8 GB.
    inputs, codes, notices = [], [], list(photograph.notices)
    for source in paintings:
        picture = load_image(source, max_pixels=max_pixels, role="style")
        inputs.append(Input(picture.name, picture.sha256))
        notices += picture.notices
        colored = style_colors(picture.tensor, photograph.tensor, chosen.preserve_color)
        del picture
        codes.append(encode(painter, fit_style(colored, size, MULTIPLE)))
        del colored
    small = fit(photograph.tensor, size)
    alpha = None if photograph.alpha is None else resize(photograph.alpha, (small.shape[-2], small.shape[-1]))
    origin = Input(photograph.name, photograph.sha256)
    del photograph
    output = paint(
        painter,
        small,
        blend(codes, shares),
        chosen.strength,
        seed=chosen.seed,
        finish=preserve_color if chosen.preserve_color == "luminance" else lambda output, content: output,
        after_tile=after_tile,
    )
    chosen = replace(chosen, size=size, style_weights=shares, device=device)
    recipe = Recipe(
        version=__version__,
        content=origin,
        styles=tuple(inputs),
        settings=chosen.as_json(),
        extractor=None,
        extractor_sha256=None,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        model=model.input,
    )
    return Painting(output, alpha, [], recipe, tuple(notices), time.monotonic() - began)


class Beginning:
    """The network of a hybrid run, which paints what the refinement begins with.

    Args:
        settings: of the run.
        device: where the refinement computes.

    Raises:
        ImpastoError: a network that cannot be used.
    """

    def __init__(self, settings: HybridSettings, device: str) -> None:
        self.model, self.strength, self.seed = find_model(settings.model), settings.strength, settings.seed
        self.painter, _ = load_painter(self.model, settings.runtime, "cpu" if settings.runtime == "onnx" else device)

    def start(
        self, content: Tensor, styles: Sequence[Tensor], shares: Sequence[float]
    ) -> Callable[[tuple[int, int]], Tensor]:
        """What gives the first picture (1, 3, h, w), painted at that size, for a size (h, w).

        Args:
            content: the photograph (1, 3, H, W).
            styles: the paintings, each (1, 3, H', W').
            shares: what each of them counts, 1 in all.
        """

        def first(size: tuple[int, int]) -> Tensor:
            codes = [encode(self.painter, fit_style(style.cpu(), max(size), MULTIPLE)) for style in styles]
            small = resize(content.cpu(), size)
            painted = paint(self.painter, small, blend(codes, shares), self.strength, seed=self.seed)
            return painted.to(content.device)

        return first


def hybrid_plan(size: int, steps: int | None, smallest: int = 1) -> tuple[Scale, ...]:
    """The scales of a refinement that begins with a network's picture: without the coarsest, and with few steps.

    Args:
        size: longest side of the finished picture.
        steps: steps in all; None for the default.
        smallest: the coarsest scale is at least as long as this.

    Example:
        >>> [(s.longest, s.steps) for s in hybrid_plan(512, None)]
        [(128, 25), (256, 18), (512, 11)]
    """
    planned = partial(plan, size, smallest=max(smallest, FIRST_SCALE))
    if steps is None:
        steps = max(1, round(FEW * sum(scale.steps for scale in planned())))
    return planned(steps)
