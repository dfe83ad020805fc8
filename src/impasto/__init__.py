"""impasto paints a photograph in the style of a painting.

The public names load what they need when they are first used, so that ``import impasto`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import impasto.forks  # watches from here on
import impasto.openmp  # noqa: F401 (before anything loads torch)
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto import gallery
    from impasto.features import load_extractor
    from impasto.job import Job
    from impasto.measurement import measure
    from impasto.paint import stylize
    from impasto.painting import Painting, Progress
    from impasto.recipe import Recipe
    from impasto.settings import Settings
    from impasto.training.adapt import adapt

__version__ = "0.1.0"

__all__ = [
    "ImpastoError",
    "Job",
    "Painting",
    "Progress",
    "Recipe",
    "Settings",
    "__version__",
    "adapt",
    "gallery",
    "load_extractor",
    "measure",
    "stylize",
]

_HOMES = {
    "Painting": "impasto.painting",
    "Job": "impasto.job",
    "Progress": "impasto.job",
    "Recipe": "impasto.recipe",
    "Settings": "impasto.settings",
    "adapt": "impasto.training.adapt",
    "gallery": "impasto.gallery",
    "load_extractor": "impasto.features",
    "measure": "impasto.measurement",
    "stylize": "impasto.paint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_HOMES[name])
    return module if name == "gallery" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
