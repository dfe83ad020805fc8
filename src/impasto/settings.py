"""Every setting of a painting, once: type, bounds, help, and the methods that know it.

The options of the command line, the keywords of :func:`impasto.stylize`, the recipe and the reference page of the
documentation are made from the fields below. Nothing slow is imported here: pydantic only when values are checked.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields, replace
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Interval, Le

from impasto.errors import ImpastoError
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS, VGG19_CHANNELS

METHODS = ("refine", "instant", "hybrid")
ALL, REFINED, NETWORK = frozenset(METHODS), frozenset({"refine", "hybrid"}), frozenset({"instant", "hybrid"})

LOOK, DESCENT, MACHINE, OUTPUT = "The look", "The descent", "The machine", "What comes out"


class About(NamedTuple):
    """What there is to know of a setting beside its type, bounds and default.

    Attributes:
        help: one line.
        panel: the group of settings that it belongs to.
        methods: that know it; the others refuse it.
        metavar: what stands for its value in the help of the command line.
        words: of a setting that takes one of a few words or else a file.
        recorded: whether the recipe has it among its settings.
        short: its short name on the command line.
    """

    help: str
    panel: str = LOOK
    methods: frozenset[str] = ALL
    metavar: str | None = None
    words: tuple[str, ...] = ()
    recorded: bool = True
    short: str | None = None


Weight = Annotated[float, Interval(ge=0, le=1e300)]  # Their sum is finite.
Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class Settings:
    """What determines a picture, beside its input images. Make them with :meth:`check`."""

    method: Annotated[
        Literal["refine", "instant", "hybrid"],
        About("Gradient descent on the pixels; one pass of a network; or a refinement of what the network painted."),
    ] = "refine"
    size: Annotated[int, Interval(ge=0, le=100_000), About("Longest side in pixels; 0 keeps the photograph's own.")] = (
        512
    )
    content_weight: Annotated[
        float, Ge(0), About("λ: from 1e-5, almost pure texture, to 1e-2, the photograph.", methods=REFINED)
    ] = 1e-3
    style_weights: Annotated[
        tuple[Weight, ...] | None,
        About("One weight for each painting, such as 0.7,0.3 (default: equal ones).", metavar="W,W..."),
    ] = None
    strength: Annotated[
        Share, About("Strength of the style, 0 (the photograph) to 1; instant and hybrid only.", methods=NETWORK)
    ] = 1.0
    tv_weight: Annotated[float, Ge(0), About("Weight of the total variation: above 0, smoother.", methods=REFINED)] = (
        0.0
    )
    preserve_color: Annotated[
        Literal["none", "luminance", "histogram"],
        About("Keep the photograph's colors: its chroma after painting, or its palette in the painting before."),
    ] = "none"
    detail: Annotated[
        Share | None,
        About(
            "Share of the photograph's fine drawing that enters at each finer scale, 0 to 1 (default: follows λ).",
            methods=REFINED,
        ),
    ] = None
    steps: Annotated[
        Annotated[int, Interval(ge=1, le=1_000_000)] | None,
        About("Steps over all scales (default: fitted to the size).", DESCENT, REFINED),
    ] = None
    optimizer: Annotated[Literal["lbfgs", "adam"], About("Algorithm of the descent.", DESCENT, REFINED)] = "lbfgs"
    init: Annotated[
        str,
        About(
            "Picture to begin with.",
            DESCENT,
            frozenset({"refine"}),
            metavar="content|noise|style|FILE",
            words=("content", "noise", "style"),
        ),
    ] = "content"
    seed: Annotated[
        int,
        Interval(ge=0, le=2**63 - 1),
        About("Seed of the noise: of `init=noise`, or of a network's strokes.", DESCENT),
    ] = 0
    extractor: Annotated[
        str,
        About(
            "CNN in the loss; auto is VGG-19 where its weights are here.",
            DESCENT,
            REFINED,
            metavar="auto|compact|vgg19|FILE",
            words=("auto", "compact", "vgg19"),
        ),
    ] = "auto"
    normalization: Annotated[
        Literal["relative", "gatys"],
        About("Loss terms relative to the energy of their targets, or the article's.", DESCENT, REFINED),
    ] = "relative"
    style_loss: Annotated[Literal["gram"], About("Statistic that is the style: Gram matrices.", DESCENT, REFINED)] = (
        "gram"
    )
    content_layers: Annotated[
        Mapping[str, Weight] | None,
        About("Layers of the content loss (default: relu4_2=1).", DESCENT, REFINED, metavar="LAYER=W,..."),
    ] = None
    style_layers: Annotated[
        Mapping[str, Weight] | None,
        About(
            "Layers of the style loss, such as relu1_1=1,relu2_1=0.5 (default: relu1_1 to relu5_1, a fifth each).",
            DESCENT,
            REFINED,
            metavar="LAYER=W,...",
        ),
    ] = None
    pooling: Annotated[Literal["max", "avg"], About("Pooling of VGG-19.", DESCENT, REFINED)] = "max"
    model: Annotated[
        str | None,
        About(
            "Network of instant and hybrid: a file, or base, the package's for all paintings (default: what the "
            "package has learned of the painting, or else base).",
            MACHINE,
            NETWORK,
            metavar="base|FILE",
            words=("base",),
        ),
    ] = None
    runtime: Annotated[
        Literal["torch", "onnx"], About("What computes that network; onnx is onnxruntime.", MACHINE, NETWORK)
    ] = "torch"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], About("Where torch computes.", MACHINE)] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        About("Arithmetic of the extractor; auto is bf16 where the device is fast at it.", MACHINE, REFINED),
    ] = "auto"
    threads: Annotated[
        Annotated[int, Interval(ge=1, le=1024)] | None,
        About("CPU threads (default: torch's choice).", MACHINE, recorded=False),
    ] = None
    max_memory: Annotated[
        str | int | None,
        About(
            "Memory limit, such as 2G: larger pictures are refined in tiles (default: the machine's).",
            MACHINE,
            REFINED,
            metavar="SIZE",
        ),
    ] = None
    max_pixels: Annotated[
        int, Ge(1), About("Refuse images with more pixels than this, before decoding.", MACHINE, recorded=False)
    ] = 64_000_000

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> Settings:
        """Settings from keywords.

        Numbers and arrays of numpy and torch, any PathLike, and a plain weight for a single painting are taken.

        Raises:
            ImpastoError: an unknown keyword, one that means nothing to the method, or a value out of range.
        """
        alone = _plain(given.get("style_weights"))
        if isinstance(alone, int | float):
            given = {**given, "style_weights": (alone,)}
        settings = cls(**check_fields(cls, given))
        settings.refuse_idle(cls, given)
        for name in ("content_layers", "style_layers"):
            for layer in getattr(settings, name) or ():
                if layer not in VGG19_CHANNELS:
                    raise ImpastoError(f"{_short(layer)} is no layer; write for example relu4_2", setting=name)
        if settings.max_memory is None:
            return settings
        return replace(settings, max_memory=read_size(settings.max_memory))

    def refuse_idle(self, kind: type[Any], given: Iterable[str]) -> None:
        """Refuse what was given and means nothing to the method.

        Args:
            kind: the dataclass whose fields were given.
            given: their names.

        Raises:
            ImpastoError: there is such a field.
        """
        for name in given:
            knowing = [method for method in METHODS if method in about(kind)[name].methods]
            if self.method not in knowing:
                others = " or ".join(f"`method={method}`" for method in knowing)
                raise ImpastoError(
                    f"means nothing with `method={self.method}`; leave it out, or take {others}", setting=name
                )

    def check_files(self) -> None:
        """Refuse words that are neither known nor a file.

        Raises:
            ImpastoError: such a word.
        """
        from impasto import gallery

        for name, facts in about(type(self)).items():
            value = getattr(self, name)
            if facts.words and value not in (None, *facts.words) and not gallery.resolve(value).is_file():
                raise ImpastoError(f"{value!r} is neither a file nor one of {', '.join(facts.words)}", setting=name)

    def shares(self, styles: int) -> tuple[float, ...]:
        """What each of that many paintings counts, 1 in all.

        Raises:
            ImpastoError: there are no paintings; or weights that are all zero, or not one for each.
        """
        if styles == 0:
            raise ImpastoError("styles: there is none; give at least one painting")
        weights = self.style_weights if self.style_weights is not None else (1.0,) * styles
        if len(weights) != styles:
            raise ImpastoError(f"{len(weights)} weights for {styles} paintings; give one for each", "style_weights")
        if not sum(weights) > 0:
            raise ImpastoError("all are 0; give at least one above 0", setting="style_weights")
        return tuple(weight / sum(weights) for weight in weights)

    @property
    def layers_of_content(self) -> dict[str, float]:
        """``content_layers``, or the metric's."""
        return dict(self.content_layers or {CONTENT_LAYER: 1.0})

    @property
    def layers_of_style(self) -> dict[str, float]:
        """``style_layers``, or the metric's."""
        return dict(self.style_layers or {layer: 1 / len(STYLE_LAYERS) for layer in STYLE_LAYERS})

    @property
    def resolved_detail(self) -> float:
        """``detail`` as a number; 0 where the run does not begin with the photograph.

        If it is None it follows λ: all from 1e-3 up, nothing at 1e-5, where the picture is to be pure texture.
        """
        if self.init != "content":
            return 0.0
        if self.detail is not None:
            return self.detail
        return min(1.0, max(0.0, (math.log10(max(self.content_weight, 1e-9)) + 5) / 2))

    def given(self) -> dict[str, Any]:
        """What differs from the defaults, for a job's JSON."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) != item.default}

    def as_json(self) -> dict[str, Any]:
        """Plain values for the recipe: what the method knows, but for words and limits that are the default."""
        values = {
            name: getattr(self, name)
            for name, facts in about(type(self)).items()
            if facts.recorded and self.method in facts.methods
        }
        absent = {"method": "refine", "max_memory": None, "style_loss": "gram"}
        return {name: value for name, value in values.items() if name not in absent or value != absent[name]}


def about(kind: type[Any]) -> dict[str, About]:
    """What is known of every field of a dataclass of settings, by name."""
    return {item.name: facts for item, _, facts in described(kind)}


@cache
def _described(kind: Any) -> tuple[tuple[Field[Any], Any, About], ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for item in fields(kind):
        facts = next((note for note in get_args(hints[item.name]) if isinstance(note, About)), None)
        if facts is not None:
            found.append((item, hints[item.name], facts))
    return tuple(found)


def described(kind: type[Any]) -> tuple[tuple[Field[Any], Any, About], ...]:
    """Every field of a dataclass of settings, with its type (``Annotated`` with bounds) and what is known of it."""
    fields_of: Any = kind
    return _described(fields_of)


def check_fields(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of a dataclass of settings, by name: a value of the right type and within its bounds.

    Raises:
        ImpastoError: an unknown name, or a value of another type or out of bounds.
    """
    known = {item.name: hint for item, hint, _ in described(kind)}
    for name in given:
        if name not in known:
            shown = name if name.isidentifier() and len(name) <= 40 else _short(name)
            raise ImpastoError(f"{shown}: no such setting; there are {', '.join(sorted(known))}")
    from pydantic import ValidationError

    try:
        values = _model(kind).model_validate({name: _plain(value) for name, value in given.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ImpastoError(f"{_short(given[name])} {_expected(known[name])}", setting=name) from None
    return {name: getattr(values, name) for name in known}


@cache
def _model(kind: Any) -> Any:
    """The pydantic model with the fields of a dataclass: ``"3"`` is no number for it, and neither is NaN."""
    from pydantic import ConfigDict, create_model

    columns: dict[str, Any] = {item.name: (hint, item.default) for item, hint, _ in described(kind)}
    config = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())
    return create_model(kind.__name__, __config__=config, **columns)


def _plain(value: Any) -> Any:
    """Plain Python values: of numpy's and torch's numbers and arrays, of lists, mappings and paths."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(part) for part in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # An integer with more digits than Python writes.
        text = f"a {type(value).__name__}"
    return text if len(text) <= 40 else text[:37] + "..."


def _expected(hint: Any) -> str:
    """What is wrong with a value that is none of ``hint``, and what to give."""
    low: float | None = None
    high: float | None = None
    while get_origin(hint) in (Annotated, Union, UnionType):
        parts = get_args(hint)
        for note in parts[1:]:
            low = note.ge if isinstance(note, Ge | Interval) and note.ge is not None else low  # type: ignore[assignment]
            high = note.le if isinstance(note, Le | Interval) and note.le is not None else high  # type: ignore[assignment]
        hint = parts[0]
    if get_origin(hint) is Literal:
        *others, last = (str(word) for word in get_args(hint))
        return f"is unknown; give {' or '.join(filter(None, (', '.join(others), last)))}"
    if hint in (int, float):
        kind = "a whole number" if hint is int else "a number"
        span = "" if low is None else f" from {low} up" if high is None else f" from {low} to {high}"
        return f"is out of range; give {kind}{span}"
    if get_origin(hint) is tuple:
        return "cannot be used; give numbers from 0 up"
    if get_origin(hint) is not None:
        return "cannot be used; give layers and their weights, from 0 up"
    return "cannot be used; give text" if hint is str else "cannot be used; give true or false"


_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def read_size(value: object) -> int:
    """Bytes from ``2G``, ``1.5G``, ``500M`` or a whole number of bytes. A G is 2³⁰.

    Raises:
        ImpastoError: it is none of these, or nothing.
    """
    text = value.strip() if isinstance(value, str) else _short(value)
    match = _SIZE.fullmatch(text)
    if isinstance(value, bool) or match is None or not (size := int(float(match[1]) * _UNITS[match[2].upper()])):
        raise ImpastoError(
            f"{_short(text)} is no amount of memory; write for example 2G, 1.5G or 500M", setting="max_memory"
        )
    return size


def size_text(size: int) -> str:
    """``1.5G``, ``500M``: in the unit that gives a short number, and one that :func:`read_size` takes."""
    for unit in ("G", "M", "K"):
        if size >= _UNITS[unit]:
            return f"{round(size / _UNITS[unit], 2):g}{unit}"
    return str(size)
