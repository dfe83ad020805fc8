"""The metric of a finished picture, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.color import chroma_noise
from impasto.features import load_extractor
from impasto.images import MAX_PIXELS, Source, listed, load_image, resize, split_alpha
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import blend_grams, content_loss, leak, style_loss, style_share, total_loss
from impasto.machine import own_torch
from impasto.refine.pyramid import fit_style, size_of
from impasto.refine.terms import alpha_at, gram_share, masked
from impasto.settings import Settings
from impasto.tiles import whole

LAYERS = [CONTENT_LAYER, *STYLE_LAYERS]
#: Chroma noise that comes of rounding to 8 bits: the least that a painting counts as having.
ROUNDING = 1 / 12 / 255**2


@dataclass(frozen=True)
class Measurement:
    """How much of the content and of the style is in a picture.

    Attributes:
        content_loss: relative loss at relu4_2; 0 for the photograph.
        style_loss: mean of the relative losses of the Gram matrices at relu1_1 … relu5_1; 0 for the painting.
        total_loss: λ · content + style, which :func:`impasto.stylize` minimizes.
        style_share: :func:`impasto.losses.style_share`; 1 for the untouched photograph, 0 for the painting.
        content_error: ‖F − F_content‖² / ‖F_content‖² at relu4_2.
        leak: :func:`impasto.losses.leak` at relu4_2; 0 where the painting's composition did not come along.
        chroma_noise: :func:`impasto.color.chroma_noise` over that of the painting; above 1, colored speckle.
        ssim: structural similarity to the photograph, at most 1 (Wang et al. 2004).
        extractor: what measured.
    """

    content_loss: float
    style_loss: float
    total_loss: float
    style_share: float
    content_error: float
    leak: float
    chroma_noise: float
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
            load_image(source, max_pixels=max_pixels, role=role).planes
            for source, role in [(output, "output"), (content, "content"), *((style, "style") for style in paintings)]
        )
        return _measure(settings, shares, picture, photograph, others)


def _measure(
    settings: Settings, shares: Sequence[float], output: Tensor, photograph: Tensor, styles: Sequence[Tensor]
) -> Measurement:
    from kornia.metrics import ssim  # Takes a third of a second to import.

    network = load_extractor(settings.extractor)
    picture, size = output[:, :3], size_of(output)
    photograph = resize(photograph, size)
    content, alpha = split_alpha(photograph)
    smallest = network.smallest_side(LAYERS)
    paintings = [fit_style(style, max(size), smallest) for style in styles]
    at_output, at_content = network(picture, LAYERS), network(content, LAYERS)
    painted, untouched = (_grams(maps, alpha) for maps in (at_output, at_content))
    grams = [_grams(network(style[:, :3], STYLE_LAYERS), split_alpha(style)[1]) for style in paintings]
    targets = {layer: blend_grams([gram[layer] for gram in grams], list(shares)) for layer in STYLE_LAYERS}
    seen, wanted = (_weighed(maps[CONTENT_LAYER], alpha, CONTENT_LAYER) for maps in (at_output, at_content))
    content_term = content_loss(seen, wanted)
    style_term = torch.stack([style_loss(painted[layer], target) for layer, target in targets.items()]).mean()
    stretched = (network(resize(style[:, :3], size), [CONTENT_LAYER])[CONTENT_LAYER] for style in styles)
    leaks = [leak(at_output[CONTENT_LAYER], at_content[CONTENT_LAYER], maps) for maps in stretched]
    noises = [chroma_noise(style[:, :3]) for style in paintings]
    return Measurement(
        content_loss=content_term.item(),
        style_loss=style_term.item(),
        total_loss=total_loss(content_term, style_term, settings.content_weight).item(),
        style_share=style_share(painted, untouched, targets).item(),
        content_error=content_term.item(),
        leak=_mean(leaks, shares),
        chroma_noise=chroma_noise(picture) / max(_mean(noises, shares), ROUNDING),
        ssim=ssim(picture, content, window_size=11).mean().item(),
        extractor=network.name,
    )


def _grams(maps: Mapping[str, Tensor], alpha: Tensor | None) -> dict[str, Tensor]:
    """The Gram matrices of the style's layers, of what is not transparent."""
    tiles = {layer: whole(*size_of(maps[layer])) for layer in STYLE_LAYERS}
    return {layer: gram_share(maps[layer], tile, alpha_at(alpha, layer)).double() for layer, tile in tiles.items()}


def _weighed(maps: Tensor, alpha: Tensor | None, layer: str) -> Tensor:
    """Maps whose squares count as much as their positions are visible."""
    return masked(maps, alpha_at(alpha, layer), whole(*size_of(maps))).double()


def _mean(values: Sequence[float | Tensor], shares: Sequence[float]) -> float:
    return sum(share * float(value) for share, value in zip(shares, values, strict=True))
