"""Everything that a user can set about a painting, checked in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

from impasto.errors import ImpastoError
from impasto.features.extractor import CONTENT_LAYER, STYLE_LAYERS
from impasto.losses import Normalization
from impasto.refine.budget import read_size
from impasto.refine.objective import Weights
from impasto.refine.optimizer import Algorithm

__all__ = ["METHODS", "HybridSettings", "InstantSettings", "Settings", "style_shares"]

Color = Literal["none", "luminance", "histogram"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Runtime = Literal["torch", "onnx"]

#: Settings that are names or paths, which may come as other types.
_TEXTS = ("init", "extractor", "model")

Chosen = TypeVar("Chosen", bound="Settings | InstantSettings")


@dataclass(frozen=True)
class Settings:
    """What determines a picture that is refined, beside the images.

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
        max_memory: the most memory to take above that of Python with torch, in bytes or as ``2G``, ``1.5G``, ``500M``;
            scales that need more are refined tile by tile. If None, most of what the machine has, on a CPU.
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
    preserve_color: Color = "none"
    device: Device = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    normalization: Normalization = "relative"
    content_layers: Mapping[str, float] | None = None
    style_layers: Mapping[str, float] | None = None
    pooling: Literal["max", "avg"] = "max"
    detail: float | None = None
    max_memory: str | int | None = None

    method: ClassVar[str] = "refine"
    #: Fields that mean nothing here.
    idle: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> Settings:
        """Settings from keywords.

        Raises:
            ImpastoError: an unknown keyword, or a value out of range; the message names the option of the command line.
        """
        settings = _read(cls, given)
        _number("size", settings.size, 0, whole=True)
        _number("content_weight", settings.content_weight, 0)
        _number("tv_weight", settings.tv_weight, 0)
        _number("seed", settings.seed, 0, whole=True)
        if settings.detail is not None:
            _share("detail", settings.detail)
        if settings.steps is not None:
            _number("steps", settings.steps, 1, whole=True)
        if settings.max_memory is not None:
            read_size(settings.max_memory)
        return settings

    def weights(self, styles: int) -> Weights:
        """What counts how much, for that many paintings.

        Raises:
            ImpastoError: weights that are negative, all zero, or not one for each painting.
        """
        shares = style_shares(self.style_weights, styles)
        content_layers = dict(self.content_layers or {CONTENT_LAYER: 1.0})
        style_layers = dict(self.style_layers or {layer: 1 / len(STYLE_LAYERS) for layer in STYLE_LAYERS})
        for name, layers in (("content_layers", content_layers), ("style_layers", style_layers)):
            for weight in layers.values():
                _number(name, weight, 0)
        return Weights(
            content_weight=self.content_weight,
            content_layers=content_layers,
            style_layers=style_layers,
            style_weights=shares,
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
        """Plain values for the recipe. A picture that names no method was refined, one without a limit at once."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("max_memory", None)}


@dataclass(frozen=True)
class HybridSettings(Settings):
    """What determines a picture that a network begins and the refinement finishes.

    Attributes:
        model: file of the network; None for the one that comes with the package.
        strength: of the network's picture, from 0, the photograph, to 1.
        seed: of the network's grain.
        runtime: what computes it, ``torch`` or ``onnx``.
    """

    model: str | None = None
    strength: float = 1.0
    runtime: Runtime = "torch"

    method: ClassVar[str] = "hybrid"
    idle: ClassVar[tuple[str, ...]] = ("init",)

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> HybridSettings:
        """As :meth:`Settings.check`."""
        settings = super().check(given)
        assert isinstance(settings, HybridSettings)
        _share("strength", settings.strength)
        return settings

    def as_json(self) -> dict[str, Any]:
        """Plain values for the recipe."""
        values = {name: value for name, value in super().as_json().items() if name not in self.idle}
        return {**values, "method": self.method}


@dataclass(frozen=True)
class InstantSettings:
    """What determines a picture that a network paints in one pass, beside the images.

    Attributes:
        size: longest side in pixels; 0 keeps the photograph's own.
        style_weights: one weight for each painting; equal ones if None.
        strength: from 0, the photograph, to 1, the style.
        seed: of the grain; another makes other strokes, most of all in plain grounds.
        preserve_color: ``none``, or keep the photograph's colors by ``luminance`` or ``histogram``.
        model: file of the network; None for the one that comes with the package.
        runtime: what computes, ``torch`` or ``onnx``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    size: int = 512
    style_weights: tuple[float, ...] | None = None
    strength: float = 1.0
    seed: int = 0
    preserve_color: Color = "none"
    model: str | None = None
    runtime: Runtime = "torch"
    device: Device = "auto"

    method: ClassVar[str] = "instant"
    idle: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> InstantSettings:
        """As :meth:`Settings.check`."""
        settings = _read(cls, given)
        _number("size", settings.size, 0, whole=True)
        _share("strength", settings.strength)
        _number("seed", settings.seed, 0, whole=True)
        return settings

    def as_json(self) -> dict[str, Any]:
        """Plain values for the recipe."""
        return {**asdict(self), "method": self.method}


#: Every way to paint, and its settings.
METHODS: Mapping[str, type[Settings] | type[InstantSettings]] = {
    kind.method: kind for kind in (Settings, InstantSettings, HybridSettings)
}


def style_shares(weights: tuple[float, ...] | None, styles: int) -> tuple[float, ...]:
    """What each of that many paintings counts, 1 in all.

    Raises:
        ImpastoError: weights that are negative, all zero, or not one for each painting.
    """
    if styles == 0:
        raise ImpastoError("styles: there is none; give at least one painting")
    shares = weights if weights is not None else (1.0,) * styles
    if len(shares) != styles:
        raise ImpastoError(f"--style-weights: {len(shares)} weights for {styles} paintings; give one for each")
    for share in shares:
        _number("style_weights", share, 0)
    if not sum(shares) > 0:
        raise ImpastoError("--style-weights: all are 0; give at least one above 0")
    return tuple(share / sum(shares) for share in shares)


def _read(kind: type[Chosen], given: Mapping[str, Any]) -> Chosen:
    """The settings of a method, with words that are known; numbers are not looked at yet."""
    known = _names(kind)
    for name in given:
        if name in known:
            continue
        others = [method for method, other in METHODS.items() if name in _names(other)]
        if others:
            raise ImpastoError(
                f"--{_dashed(name)}: means nothing with --method {kind.method}; leave it out, "
                f"or take --method {' or '.join(others)}"
            )
        raise ImpastoError(f"{name}: no such setting; there are {', '.join(sorted(known))}")
    settings = kind(**{**given, **{name: str(given[name]) for name in _TEXTS if given.get(name) is not None}})
    hints = get_type_hints(kind)
    for name in known:
        choices = get_args(hints[name])
        value = getattr(settings, name)
        if choices and all(isinstance(choice, str) for choice in choices) and value not in choices:
            raise ImpastoError(
                f"--{_dashed(name)}: '{value}' is unknown; give {', '.join(choices[:-1])} or {choices[-1]}"
            )
    return settings


def _names(kind: type[Any]) -> set[str]:
    return {item.name for item in fields(kind)} - set(kind.idle)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _share(name: str, value: Any) -> None:
    _number(name, value, 0)
    if value > 1:
        raise ImpastoError(f"--{_dashed(name)}: {value} is out of range; give a number from 0 to 1")


def _number(name: str, value: Any, least: float, *, whole: bool = False) -> None:
    kind = "a whole number" if whole else "a number"
    valid = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not valid or not math.isfinite(value) or value < least:
        raise ImpastoError(f"--{_dashed(name)}: {value} is out of range; give {kind} from {least} up")
