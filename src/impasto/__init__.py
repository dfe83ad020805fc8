"""impasto paints a photograph in the style of a painting.

The public names load what they need when they are first used, so that ``import impasto`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto import gallery
    from impasto.features import load_extractor
    from impasto.measurement import measure
    from impasto.painting import Painting, Progress, stylize
    from impasto.recipe import Recipe

__version__ = "0.1.0"

__all__ = [
    "ImpastoError",
    "Painting",
    "Progress",
    "Recipe",
    "__version__",
    "gallery",
    "load_extractor",
    "measure",
    "stylize",
]

_HOMES = {
    "Painting": "impasto.painting",
    "Progress": "impasto.painting",
    "Recipe": "impasto.recipe",
    "gallery": "impasto.gallery",
    "load_extractor": "impasto.features",
    "measure": "impasto.measurement",
    "stylize": "impasto.painting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_HOMES[name])
    return module if name == "gallery" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
