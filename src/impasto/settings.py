"""Everything that a user can set about a painting, checked in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from impasto.errors import ImpastoError
from impasto.features.extractor import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import Normalization
from impasto.refine.objective import Weights
from impasto.refine.optimizer import Algorithm

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """What determines the picture, beside the images.

    Attributes:
        size: longest side in pixels; 0 keeps the photograph's own.
        content_weight: λ. Along 1e-5, 1e-4, 1e-3, 1e-2 the picture goes from almost pure texture to a clear scene.
        style_weights: one weight for each painting; equal ones if None.
        tv_weight: weight of the total variation; smooths.
        steps: steps over all scales; None for the default of the size.
        optimizer: ``lbfgs`` or ``adam``.
        init: what the run begins with: ``content``, ``noise``, ``style``, or the path of a picture.
        seed: of the noise.
        extractor: ``auto``, ``compact``, ``vgg19``, or a file of weights.
        preserve_color: ``none``, or keep the photograph's colors by ``luminance`` or ``histogram``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``fp32`` or ``bf16``.
        normalization: ``relative`` or ``gatys``, see :mod:`impasto.losses`.
        content_layers: layer -> weight; relu4_2 alone if None.
        style_layers: layer -> weight; a fifth each of relu1_1 … relu5_1 if None.
        pooling: ``max`` or ``avg``, VGG-19's only.
        detail: how much of the photograph's fine detail enters the picture at each finer scale, 0 to 1. If None it
            follows λ: all from 1e-3 up, nothing at 1e-5, where the picture is to be pure texture.
    """

    size: int = 512
    content_weight: float = 1e-3
    style_weights: tuple[float, ...] | None = None
    tv_weight: float = 0.0
    steps: int | None = None
    optimizer: Algorithm = "lbfgs"
    init: str = "content"
    seed: int = 0
    extractor: str = "auto"
    preserve_color: Literal["none", "luminance", "histogram"] = "none"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    normalization: Normalization = "relative"
    content_layers: Mapping[str, float] | None = None
    style_layers: Mapping[str, float] | None = None
    pooling: Literal["max", "avg"] = "max"
    detail: float | None = None

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> Settings:
        """Settings from keywords.

        Raises:
            ImpastoError: an unknown keyword, or a value out of range; the message names the option of the command line.
        """
        known = {item.name for item in fields(cls)}
        for name in given:
            if name not in known:
                raise ImpastoError(f"{name}: no such setting; there are {', '.join(sorted(known))}")
        settings = cls(**{**given, **{k: str(given[k]) for k in ("init", "extractor") if k in given}})
        hints = get_type_hints(cls)
        for name in known:
            choices = get_args(hints[name])
            value = getattr(settings, name)
            if choices and all(isinstance(choice, str) for choice in choices) and value not in choices:
                raise ImpastoError(
                    f"--{_dashed(name)}: '{value}' is unknown; give {', '.join(choices[:-1])} or {choices[-1]}"
                )
        _number("size", settings.size, 0, whole=True)
        _number("content_weight", settings.content_weight, 0)
        _number("tv_weight", settings.tv_weight, 0)
        _number("seed", settings.seed, 0, whole=True)
        if settings.detail is not None:
            _number("detail", settings.detail, 0)
            if settings.detail > 1:
                raise ImpastoError(f"--detail: {settings.detail} is out of range; give a number from 0 to 1")
        if settings.steps is not None:
            _number("steps", settings.steps, 1, whole=True)
        return settings

    def weights(self, styles: int) -> Weights:
        """What counts how much, for that many paintings.

        Raises:
            ImpastoError: weights that are negative, all zero, or not one for each painting.
        """
        if styles == 0:
            raise ImpastoError("styles: there is none; give at least one painting")
        shares = self.style_weights if self.style_weights is not None else (1.0,) * styles
        if len(shares) != styles:
            raise ImpastoError(f"--style-weights: {len(shares)} weights for {styles} paintings; give one for each")
        for share in shares:
            _number("style_weights", share, 0)
        if not sum(shares) > 0:
            raise ImpastoError("--style-weights: all are 0; give at least one above 0")
        content_layers = dict(self.content_layers or {CONTENT_LAYER: 1.0})
        style_layers = dict(self.style_layers or {layer: 1 / len(STYLE_LAYERS) for layer in STYLE_LAYERS})
        for name, layers in (("content_layers", content_layers), ("style_layers", style_layers)):
            for weight in layers.values():
                _number(name, weight, 0)
        return Weights(
            content_weight=self.content_weight,
            content_layers=content_layers,
            style_layers=style_layers,
            style_weights=tuple(share / sum(shares) for share in shares),
            tv_weight=self.tv_weight,
            normalization=self.normalization,
        )

    def resolved_detail(self) -> float:
        """``detail`` as a number; 0 where the run does not begin with the photograph."""
        if self.init != "content":
            return 0.0
        if self.detail is not None:
            return self.detail
        return min(1.0, max(0.0, (math.log10(max(self.content_weight, 1e-9)) + 5) / 2))

    def as_json(self) -> dict[str, Any]:
        """Plain values for the recipe."""
        return asdict(self)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _number(name: str, value: Any, least: float, *, whole: bool = False) -> None:
    kind = "a whole number" if whole else "a number"
    valid = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not valid or not math.isfinite(value) or value < least:
        raise ImpastoError(f"--{_dashed(name)}: {value} is out of range; give {kind} from {least} up")
