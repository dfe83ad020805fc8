"""The metric of a finished picture, whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.features import load_extractor
from impasto.images import MAX_PIXELS, Source, listed, load_image, resize
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import blend_grams, content_loss, gram_matrix, style_loss, style_share, total_loss
from impasto.machine import own_torch
from impasto.refine.pyramid import fit_style
from impasto.settings import Settings


@dataclass(frozen=True)
class Measurement:
    """How much of the content and of the style is in a picture.

    Attributes:
        content_loss: relative loss at relu4_2; 0 for the photograph.
        style_loss: mean of the relative losses of the Gram matrices at relu1_1 … relu5_1; 0 for the painting.
        total_loss: λ · content + style, which :func:`impasto.stylize` minimizes.
        style_share: :func:`impasto.losses.style_share`; 1 for the untouched photograph, 0 for the painting.
        content_error: ‖F − F_content‖² / ‖F_content‖² at relu4_2.
        ssim: structural similarity to the photograph, at most 1 (Wang et al. 2004).
        extractor: what measured.
    """

    content_loss: float
    style_loss: float
    total_loss: float
    style_share: float
    content_error: float
    ssim: float
    extractor: str


def measure(
    output: Source,
    content: Source,
    styles: Source | Sequence[Source],
    *,
    style_weights: float | Sequence[float] | None = None,
    content_weight: float = 1e-3,
    extractor: str = "vgg19",
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Measurement:
    """Measure ``output`` against the photograph and the paintings that it was made of.

    The photograph is resized to the output's size, the paintings to its longest side.

    Args:
        output: the picture to measure: a path, a PIL image or a tensor.
        content: the photograph.
        styles: a painting, or a sequence of them.
        style_weights: one for each painting; equal ones if None.
        content_weight: λ.
        extractor: ``vgg19``, whose numbers compare; ``compact``, ``auto`` or a file of weights.
        threads: CPU threads; None for torch's choice.
        max_pixels: the most pixels that an image may have.

    Raises:
        ImpastoError: an image or weights that cannot be used.
    """
    paintings = listed(styles)
    given = {"content_weight": content_weight, "style_weights": style_weights, "extractor": extractor}
    settings = Settings.check({**given, "threads": threads, "max_pixels": max_pixels})
    shares = settings.shares(len(paintings))
    with own_torch(threads), torch.no_grad():
        picture, photograph, *others = (
            load_image(source, max_pixels=max_pixels, role=role).tensor
            for source, role in [(output, "output"), (content, "content"), *((style, "style") for style in paintings)]
        )
        return _measure(settings, shares, picture, photograph, others)


def _measure(
    settings: Settings, shares: Sequence[float], picture: Tensor, photograph: Tensor, styles: Sequence[Tensor]
) -> Measurement:
    from kornia.metrics import ssim  # Takes a third of a second to import.

    network = load_extractor(settings.extractor)
    photograph = resize(photograph, (picture.shape[-2], picture.shape[-1]))
    layers = [CONTENT_LAYER, *STYLE_LAYERS]
    smallest = network.smallest_side(layers)
    at_output, at_content = network(picture, layers), network(photograph, layers)
    at_styles = [network(fit_style(style, max(picture.shape[-2:]), smallest), STYLE_LAYERS) for style in styles]
    painted, untouched, *grams = (
        {layer: gram_matrix(maps[layer]).double() for layer in STYLE_LAYERS}
        for maps in (at_output, at_content, *at_styles)
    )
    targets = {layer: blend_grams([gram[layer] for gram in grams], list(shares)) for layer in STYLE_LAYERS}
    content_term = content_loss(at_output[CONTENT_LAYER].double(), at_content[CONTENT_LAYER].double())
    style_term = torch.stack([style_loss(painted[layer], target) for layer, target in targets.items()]).mean()
    return Measurement(
        content_loss=content_term.item(),
        style_loss=style_term.item(),
        total_loss=total_loss(content_term, style_term, settings.content_weight).item(),
        style_share=style_share(painted, untouched, targets).item(),
        content_error=content_term.item(),
        ssim=ssim(picture, photograph, window_size=11).mean().item(),
        extractor=network.name,
    )
