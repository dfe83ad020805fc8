"""What refinement descends on: a sum of terms, of the whole picture at once or tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.features.extractor import Extractor
from impasto.features.typical import Typical, typical
from impasto.images import split_alpha
from impasto.losses import RELATIVE_CONTENT_SCALE, blend_grams, target_energy
from impasto.refine.pyramid import size_of
from impasto.refine.shelf import StoredMaps
from impasto.refine.terms import PIXELS, STYLES, Content, Term, TotalVariation, alpha_at, masked
from impasto.settings import Settings
from impasto.tiles import Tile, whole

#: Relative losses divide by the energy of their target, but by no less than this share of a typical photograph's: of
#: its maps, and of its Gram matrices. In fog there is far less, and such a photograph would come back unpainted.
LEAST_CONTENT, LEAST_STYLE = 0.2, 0.01

#: Is shown the maps (1, C, h, w) of a tile of a layer, in the precision of losses.
Look = Callable[[str, Tile, Tensor], None]


@dataclass(frozen=True)
class Losses:
    """The losses of one picture: of every name, and their weighted sum."""

    terms: Mapping[str, float]
    total: float


class View(Protocol):
    """A way to look at pictures with an extractor: at once, or in tiles."""

    extractor: Extractor

    def show(self, picture: Tensor, layers: Sequence[str], look: Look) -> None:
        """Show ``look`` the maps of ``picture`` (1, 3, h, w) at ``layers``, without gradients."""

    def keep(self, kept: Tensor | StoredMaps | None, tile: Tile, maps: Tensor) -> Tensor | StoredMaps:
        """Keep the maps of a tile, with those ``kept`` before."""

    def descend(self, image: Tensor, objective: Objective) -> tuple[Tensor, Losses]:
        """Gradient of the objective's total for ``image`` (1, 3, h, w), and its losses."""


class Objective:
    """A sum of terms: ``total = Σ factor · Σ weight · term`` over the names and the terms of each."""

    def __init__(self, terms: Sequence[Term], factors: Mapping[str, float], view: View) -> None:
        self.terms, self.factors, self.view = list(terms), dict(factors), view
        named = {term.layer for term in terms if term.layer != PIXELS}
        self.layers = sorted(named, key=view.extractor.layers.index)

    @classmethod
    def of(
        cls,
        settings: Settings,
        content: Tensor,
        styles: Iterable[tuple[Tensor, float]],
        view: View,
        *,
        area: float = 1.0,
    ) -> Objective:
        """The objective of Gatys et al. 2015 at one scale, with ``area`` times the pixels of the finished picture.

        ``content`` (1, 3, h, w) is the photograph at this scale. ``styles`` are the paintings (1, 3, h', w'), with the
        output's longer side, and what each counts, 1 in all; asked for one after the other. All may have an alpha
        channel as a fourth.
        """
        gatys = settings.normalization == "gatys"
        # The article's content loss is a sum over positions, its style loss a mean: λ would change with the scale.
        factors = {
            "content": settings.content_weight / area if gatys else settings.content_weight * RELATIVE_CONTENT_SCALE,
            "style": 1.0,
            "total variation": settings.tv_weight,
        }
        usual = typical(view.extractor, [*settings.layers_of_content, *settings.layers_of_style])
        terms: list[Term] = _content_terms(settings, content, view, usual)
        terms += _style_terms(settings, content, styles, view, usual)
        if settings.tv_weight:
            terms.append(TotalVariation())
        return cls(terms, factors, view)

    def __call__(self, image: Tensor) -> tuple[Tensor, Losses]:
        """Gradient of the total loss with respect to ``image`` (1, 3, h, w), and the losses."""
        return self.view.descend(image, self)

    def at(self, layer: str) -> list[tuple[int, Term]]:
        """The terms of a layer, with their places among all."""
        return [(index, term) for index, term in enumerate(self.terms) if term.layer == layer]

    def total(self, statistics: Sequence[Tensor]) -> tuple[Tensor, Losses]:
        """The total, and all losses, from the statistic of every term."""
        parts: dict[str, list[Tensor]] = {}
        for term, statistic in zip(self.terms, statistics, strict=True):
            parts.setdefault(term.name, []).append(term.weight * term.loss(statistic))
        sums = {name: torch.stack(losses).sum() for name, losses in parts.items()}
        first, *others = (self.factors[name] * loss for name, loss in sums.items())
        total = sum(others, start=first)
        return total, Losses({name: loss.item() for name, loss in sums.items()}, total.item())


class Whole:
    """Looks at a picture at once, with an extractor that may run in bfloat16."""

    def __init__(self, extractor: Extractor, *, bf16: bool = False) -> None:
        self.extractor, self.bf16 = extractor, bf16

    def show(self, picture: Tensor, layers: Sequence[str], look: Look) -> None:
        """See :meth:`View.show`."""
        with torch.no_grad():
            for layer, maps in self._maps(picture, layers).items():
                look(layer, whole(*size_of(maps)), maps)

    def keep(self, kept: Tensor | StoredMaps | None, tile: Tile, maps: Tensor) -> Tensor:
        """See :meth:`View.keep`."""
        return maps

    def descend(self, image: Tensor, objective: Objective) -> tuple[Tensor, Losses]:
        """See :meth:`View.descend`."""
        image = image.detach().requires_grad_()
        maps = {**self._maps(image, objective.layers), PIXELS: image}
        seen = [(term, maps[term.layer]) for term in objective.terms]
        total, losses = objective.total([term.look(part, whole(*size_of(part))) for term, part in seen])
        (gradient,) = torch.autograd.grad(total, image)
        return gradient, losses

    def _maps(self, picture: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The maps, in float32 where the extractor ran in bfloat16."""
        with precision(picture.device, self.bf16):
            maps = self.extractor.maps(picture, layers)
        return {layer: part.float() for layer, part in maps.items()} if self.bf16 else maps


def precision(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Runs an extractor in bfloat16, or as it is."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def add_share(sums: dict[Any, Tensor], key: str | int, share: Tensor) -> None:
    """Add a tile's share in float64, always in the same order: the same bits on every run."""
    share = share.detach().cpu().double()
    sums[key] = sums[key] + share if key in sums else share


def _content_terms(settings: Settings, content: Tensor, view: View, usual: Mapping[str, Typical]) -> list[Term]:
    weights = settings.layers_of_content
    metrics = {layer: view.extractor.metric(layer) for layer in weights}
    colors, alpha = split_alpha(content)
    masks = {layer: alpha_at(alpha, layer) for layer in weights}
    kept: dict[str, Tensor | StoredMaps] = {}
    energies = dict.fromkeys(weights, 0.0)
    positions = dict.fromkeys(weights, 0.0)

    def look(layer: str, tile: Tile, maps: Tensor) -> None:
        kept[layer] = view.keep(kept.get(layer), tile, maps)
        mask = masks[layer]
        energies[layer] += target_energy(masked(maps, mask, tile), metrics[layer]).item()
        positions[layer] = tile.size[0] * tile.size[1] if mask is None else mask.sum().item()

    view.show(colors, list(weights), look)
    return [
        Content(
            layer,
            weight,
            kept[layer],
            max(energies[layer], LEAST_CONTENT * usual[layer].maps * positions[layer]),
            settings.normalization,
            metrics[layer],
            masks[layer],
        )
        for layer, weight in weights.items()
    ]


def _style_terms(
    settings: Settings,
    content: Tensor,
    styles: Iterable[tuple[Tensor, float]],
    view: View,
    usual: Mapping[str, Typical],
) -> list[Term]:
    weights, extractor, kind = settings.layers_of_style, view.extractor, STYLES[settings.style_loss]
    found: dict[str, list[Tensor]] = {layer: [] for layer in weights}
    shares: list[float] = []
    for style, share in styles:
        shares.append(share)
        for layer, statistic in _statistics(style, list(weights), view, kind.share).items():
            found[layer].append(statistic.to(content))
    targets = {layer: blend_grams(grams, shares) for layer, grams in found.items()}
    _, alpha = split_alpha(content)
    return [
        kind(
            layer,
            weight,
            targets[layer],
            settings.normalization,
            extractor.channels(layer),
            extractor.metric(layer),
            alpha_at(alpha, layer),
            LEAST_STYLE * usual[layer].gram,
        )
        for layer, weight in weights.items()
    ]


def _statistics(
    style: Tensor, layers: list[str], view: View, share: Callable[[Tensor, Tile, Tensor | None], Tensor]
) -> dict[str, Tensor]:
    """The statistic of a painting at every layer."""
    sums: dict[str, Tensor] = {}
    colors, alpha = split_alpha(style)
    masks = {layer: alpha_at(alpha, layer) for layer in layers}
    view.show(colors, layers, lambda layer, tile, maps: add_share(sums, layer, share(maps, tile, masks[layer])))
    return sums
