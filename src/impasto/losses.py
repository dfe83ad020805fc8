"""The metric of Gatys et al. 2015, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576).

Pure functions on feature maps. Nothing here knows a network.

Two normalizations, for every term:

* ``gatys``: the factors of the article, ½ Σ (F − P)² for content and 1 / (4 N² M²) Σ (G − A)² for each style layer.
* ``relative``: every term over the energy of its target, Σ (F − P)² / Σ P² and Σ (G − A)² / Σ A². No layer drowns the
  others, and a loss of 1 is that of an empty picture, whatever the extractor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Normalization = Literal["gatys", "relative"]

#: In the relative normalization both losses are of order 1, while the literature's λ runs from 1e-5 to 1e-2. With this
#: factor on the content term λ means the same: at 1e-3 painting and photograph are in balance.
RELATIVE_CONTENT_SCALE = 100.0

#: The smallest energy: a black target must not divide by zero.
SMALLEST_ENERGY = 1e-12


class _Gram(torch.autograd.Function):
    """F Fᵀ with one matrix product in the backward pass, where autograd's own rule takes two.

    The gradient has the layout of F: another one would slow down every sum and ReLU that it passes.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return rows @ rows.mT

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        symmetric = gradients[0] + gradients[0].mT
        if rows.stride(1) == 1:  # Channels last.
            return (rows.mT @ symmetric).mT
        return symmetric @ rows


class _SquaredLength(torch.autograd.Function):
    """Σ d · (M d) over all but the batch, of d and of M d for a symmetric M: its gradient 2 M d needs no more work."""

    @staticmethod
    def forward(ctx: Any, difference: Tensor, weighted: Tensor) -> Tensor:
        ctx.save_for_backward(weighted)
        return (difference * weighted).flatten(1).sum(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weighted,) = ctx.saved_tensors
        return weighted * (2 * gradients[0]).view(-1, *[1] * (weighted.ndim - 1)), None


def _squares(difference: Tensor, metric: Tensor | None) -> Tensor:
    """Squared length (B,) of feature maps (B, N, H, W) or Gram matrices (B, N, N), or of their differences."""
    if metric is None:
        return difference.square().flatten(1).sum(1)
    with torch.no_grad():
        if difference.ndim == 4:
            weighted = F.conv2d(difference, metric[:, :, None, None])
        else:
            weighted = metric @ difference @ metric
    squares: Tensor = _SquaredLength.apply(difference, weighted)
    return squares


def _loss(
    output: Tensor,
    target: Tensor,
    normalization: Normalization,
    divisor: float,
    metric: Tensor | None,
    energy: Tensor | None,
) -> Tensor:
    """One term of the metric; ``divisor`` is the article's."""
    squares = _squares(output - target, metric)
    if normalization == "gatys":
        return squares.mean() / divisor
    if normalization == "relative":
        return (squares / (target_energy(target, metric) if energy is None else energy)).mean()
    raise ValueError(f"unknown normalization '{normalization}': gatys or relative")


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix F Fᵀ / M of feature maps: how strongly any two channels answer at the same place.

    The number of positions M makes pictures of different sizes comparable. (B, N, H, W) -> (B, N, N), symmetric and
    positive semi-definite.

    Raises:
        ValueError: not four dimensions.
    """
    if features.ndim != 4:
        raise ValueError(f"features must be (B, N, H, W), got shape {tuple(features.shape)}")
    rows = features.flatten(2)
    gram: Tensor = _Gram.apply(rows)
    return gram / rows.shape[2]


def content_loss(
    output: Tensor,
    content: Tensor,
    normalization: Normalization = "relative",
    *,
    metric: Tensor | None = None,
    energy: Tensor | None = None,
) -> Tensor:
    """How far the output's feature maps are from the content's (equation 1 of the article), the mean over the batch.

    Args:
        output: feature maps F (B, N, H, W) of the output.
        content: feature maps P of the content, the same shape.
        normalization: ``gatys`` ½ Σ (F − P)²; ``relative`` Σ (F − P)² / Σ P².
        metric: symmetric (N, N), see :meth:`impasto.features.extractor.Extractor.metric`.
        energy: Σ P² (B,), where it is known.

    Raises:
        ValueError: shapes differ, or an unknown normalization.
    """
    if output.shape != content.shape:
        raise ValueError(f"feature maps differ in shape: {tuple(output.shape)} and {tuple(content.shape)}")
    return _loss(output, content, normalization, 2, metric, energy)


def style_loss(
    output: Tensor,
    style: Tensor,
    normalization: Normalization = "relative",
    *,
    channels: int | None = None,
    metric: Tensor | None = None,
    energy: Tensor | None = None,
) -> Tensor:
    """How far the output's Gram matrix is from the style's at one layer (equation 4), the mean over the batch.

    Args:
        output: Gram matrix G / M (B, N, N) of the output, from :func:`gram_matrix`.
        style: Gram matrix A / M of the style; (1, N, N) serves a whole batch.
        normalization: ``gatys`` 1 / (4 N² M²) Σ (G − A)²; ``relative`` Σ (G − A)² / Σ A².
        channels: N of the article where it is not the size of the matrices, as with the compact extractor.
        metric: symmetric (N, N), see :meth:`impasto.features.extractor.Extractor.metric`.
        energy: Σ A² (1,), where it is known.

    Raises:
        ValueError: sizes differ, or an unknown normalization.
    """
    if output.shape[1:] != style.shape[1:]:
        raise ValueError(f"Gram matrices differ in size: {tuple(output.shape)} and {tuple(style.shape)}")
    return _loss(output, style, normalization, 4 * (channels or output.shape[1]) ** 2, metric, energy)


def target_energy(target: Tensor, metric: Tensor | None = None) -> Tensor:
    """What the relative normalization divides by: the sum of squares of feature maps or Gram matrices, (B,)."""
    return _squares(target, metric).clamp_min(SMALLEST_ENERGY)


def style_share(output: Mapping[str, Tensor], content: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> Tensor:
    """How much of the way to the style is left: 1 for the untouched photograph, 0 for the painting.

    It is a scalar of the Gram matrices (1, N, N) of every layer: the mean over the layers of
    ‖G_output − G_style‖² / ‖G_content − G_style‖².
    """
    shares = [
        (output[layer] - target).square().sum() / (content[layer] - target).square().sum().clamp_min(SMALLEST_ENERGY)
        for layer, target in style.items()
    ]
    return torch.stack(shares).mean()


def leak(output: Tensor, content: Tensor, style: Tensor) -> Tensor:
    """How much of the painting's composition came along: 0 for a texture without a place, 1 for the painting itself.

    A scalar of the maps (1, N, H, W) of a deep layer, those of the painting stretched to the output's shape. With
    p(X) = 1 − d(X, S) / d(X, S mirrored), where d is the mean squared difference and the painting is mirrored left to
    right, top to bottom and both, it is (p(output) − p(content)) / (1 − p(content)). Below 0 the output resembles the
    mirrored painting more than the photograph does.
    """

    def nearness(maps: Tensor) -> Tensor:
        here, *mirrored = ((maps - copy).square().mean() for copy in mirrored_copies(style))
        return 1 - here / torch.stack(mirrored).mean().clamp_min(SMALLEST_ENERGY)

    before = nearness(content)
    return (nearness(output) - before) / (1 - before).clamp_min(SMALLEST_ENERGY)


def mirrored_copies(maps: Tensor) -> list[Tensor]:
    """``maps`` (..., H, W), mirrored left to right, top to bottom, and both."""
    return [maps, maps.flip(-1), maps.flip(-2), maps.flip(-2, -1)]


def total_loss(
    content: Tensor, style: Tensor, content_weight: float, normalization: Normalization = "relative"
) -> Tensor:
    """``λ · content + style`` (equation 7 of the article, with λ = α / β).

    In the relative normalization the content term carries :data:`RELATIVE_CONTENT_SCALE`.
    """
    scale = RELATIVE_CONTENT_SCALE if normalization == "relative" else 1.0
    return content_weight * scale * content + style


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, across plus down, of (B, C, H, W) with at least 2 × 2 pixels."""
    across = (image[..., :, 1:] - image[..., :, :-1]).square().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).square().mean()
    return across + down


def blend_grams(grams: list[Tensor], weights: list[float]) -> Tensor:
    """The weighted mean of several styles' Gram matrices: the target of a picture in all of these styles.

    Its loss is the weighted sum of the single losses up to a constant, at the cost of one style.
    """
    total = sum(weights)
    return torch.stack([gram * (weight / total) for gram, weight in zip(grams, weights, strict=True)]).sum(0)
