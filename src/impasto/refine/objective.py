"""What refinement descends on: the losses of one output against its targets, at one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.features.extractor import Extractor
from impasto.losses import (
    ContentLoss,
    Normalization,
    StyleLoss,
    blend_grams,
    gram_matrix,
    total_loss,
    total_variation,
)

__all__ = ["Losses", "Objective", "Weights"]


@dataclass(frozen=True)
class Weights:
    """Everything that weighs one term against another."""

    content_weight: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    style_weights: Sequence[float]
    tv_weight: float = 0.0
    normalization: Normalization = "relative"


@dataclass(frozen=True)
class Losses:
    """The losses of one picture."""

    content: float
    style: float
    total: float


class Objective:
    """Losses and gradient of a picture at one scale.

    Args:
        extractor: where the features come from.
        content: the photograph at this scale (1, 3, h, w).
        styles: the paintings, each (1, 3, h', w') with its longer side as long as the output's.
        weights: what counts how much.
        area: pixels of this scale over pixels of the finished picture. The article's content loss is a sum over
            positions and its style loss a mean: without this factor λ would mean something else at every scale.
        bf16: run the extractor in bfloat16.
    """

    def __init__(
        self,
        extractor: Extractor,
        content: Tensor,
        styles: Sequence[Tensor],
        weights: Weights,
        *,
        area: float = 1.0,
        bf16: bool = False,
    ) -> None:
        self.extractor, self.weights, self.bf16 = extractor, weights, bf16
        self.device = content.device.type
        content_layers, style_layers = list(weights.content_layers), list(weights.style_layers)
        self.layers = sorted({*content_layers, *style_layers}, key=extractor.layers.index)
        metrics = {layer: extractor.metric(layer) for layer in self.layers}
        with torch.no_grad():
            with self._precision():
                features = extractor.maps(content, content_layers)
            grams = []
            for style in styles:
                with self._precision():
                    maps = extractor.maps(style, style_layers)
                # Outside, where products are not rounded.
                grams.append({layer: gram_matrix(maps[layer].float()) for layer in style_layers})
        self.content_loss = ContentLoss(
            {layer: maps.float() for layer, maps in features.items()},
            weights.content_layers,
            weights.normalization,
            metrics,
        )
        self.style_loss = StyleLoss(
            {
                layer: blend_grams([gram[layer] for gram in grams], list(weights.style_weights))
                for layer in style_layers
            },
            weights.style_layers,
            weights.normalization,
            {layer: extractor.channels(layer) for layer in style_layers},
            metrics,
        )
        self.content_weight = weights.content_weight
        if weights.normalization == "gatys":
            self.content_weight /= area

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device, torch.bfloat16) if self.bf16 else nullcontext()

    def __call__(self, image: Tensor) -> tuple[Tensor, Losses]:
        """Gradient of the total loss with respect to ``image`` (1, 3, h, w), and the losses."""
        image = image.detach().requires_grad_()
        with self._precision():
            maps = self.extractor.maps(image, self.layers)
        content, style = self.content_loss(maps), self.style_loss(maps)
        total = total_loss(content, style, self.content_weight, self.weights.normalization)
        if self.weights.tv_weight:
            total = total + self.weights.tv_weight * total_variation(image)
        (gradient,) = torch.autograd.grad(total, image)
        return gradient, Losses(content.item(), style.item(), total.item())
