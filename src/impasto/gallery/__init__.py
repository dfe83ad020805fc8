"""A dozen paintings and two photographs in the public domain that come with the package.

``gallery:starry_night`` is understood wherever a picture's file is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from impasto.errors import ImpastoError

__all__ = ["PREFIX", "Card", "cards", "names", "path", "resolve"]

#: Prefix of a picture's name where a file could stand too. A file called so is written ``./gallery:...``.
PREFIX = "gallery:"

_ADDRESSES = ("http://", "https://", "ftp://")

_FOLDER = Path(str(resources.files("impasto") / "gallery"))


@dataclass(frozen=True)
class Card:
    """What is known of a picture.

    Attributes:
        name: in the gallery.
        kind: ``painting`` or ``photograph``.
        title: of the work.
        artist: who made it.
        year: when, as text: some are only known about.
        source: where the picture file comes from, and what was done to it.
        rights: why anybody may use it.
        died: the year of the painter's death; None for a photograph.
    """

    name: str
    kind: str
    title: str
    artist: str
    year: str
    source: str
    rights: str
    died: int | None = None


@cache
def cards() -> Mapping[str, Card]:
    """The card of every picture by its name: paintings first, then photographs."""
    import tomllib  # Slow to load, and most commands name no picture of the gallery.

    entries = tomllib.loads((_FOLDER / "cards.toml").read_text(encoding="utf-8"))
    return MappingProxyType({name: Card(name, **entry) for name, entry in entries.items()})


def names(kind: str | None = None) -> tuple[str, ...]:
    """The names of all pictures, or of those of a kind: ``painting`` or ``photograph``."""
    return tuple(name for name, card in cards().items() if kind in (None, card.kind))


def path(name: str) -> Path:
    """The file of a picture: WebP, sRGB, at most 1080 pixels on its longest side.

    Raises:
        ImpastoError: there is no picture of this name.
    """
    if name not in cards():
        close = get_close_matches(name.lower(), names())
        mend = f"did you mean {' or '.join(close)}?" if close else "`impasto gallery` lists them"
        raise ImpastoError(f"{PREFIX}{name} is not in the gallery; {mend}")
    return _FOLDER / f"{name}.webp"


def resolve(source: str | os.PathLike[str]) -> Path:
    """The file that ``source`` means: a picture's own where it is ``gallery:NAME``, else the path as it is.

    Raises:
        ImpastoError: there is no picture of this name, or it is an address in the web.
    """
    text = os.fspath(source)
    if text.lower().startswith(_ADDRESSES):
        raise ImpastoError(f"{text} is an address, and nothing is fetched; save the picture and name its file")
    return path(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else Path(text)
