"""What a CNN sees: extractors and their weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impasto.features.extractor import Extractor

__all__ = ["load_extractor", "recorded_sha256"]


def load_extractor(name: str | os.PathLike[str] = "auto", *, device: str = "cpu", pooling: str = "max") -> Extractor:
    """The extractor called ``name``, with its weights, on ``device``.

    Args:
        name: ``vgg19``, ``compact``, ``auto`` (VGG-19 where its weights are on this machine, the compact extractor
            otherwise) or a file of weights of either.
        device: a torch device.
        pooling: ``max`` or ``avg``, VGG-19's only.

    Raises:
        ImpastoError: VGG-19's weights are not on this machine, or a file that cannot be used.
    """
    from impasto.machine import own_torch

    with own_torch():  # Fresh layers would advance the caller's random numbers.
        return _load(os.fspath(name), pooling).to(device)


def recorded_sha256(name: str | os.PathLike[str]) -> str:
    """The hash that recipes record for the extractor called ``name``, without making it.

    Raises:
        ImpastoError: as :func:`load_extractor`.
    """
    from impasto.features.convert import read_weights
    from impasto.files.hashing import file_sha256

    path, compact = _find(os.fspath(name))
    return file_sha256(path) if compact else read_weights(path).sha256


def _load(name: str, pooling: str) -> Extractor:
    from impasto.features.compact import Compact
    from impasto.features.vgg19 import VGG19

    path, compact = _find(name)
    return Compact.from_file(path) if compact else VGG19.from_file(path, pooling)


def _find(name: str) -> tuple[Path, bool]:
    """The file of an extractor's weights, and whether they are those of a compact one."""
    from impasto.errors import ImpastoError
    from impasto.features.compact import is_compact
    from impasto.features.weights import find_vgg19
    from impasto.files.shipped import shipped

    if name in ("auto", "vgg19") and (stored := find_vgg19()):
        return stored, False
    if name == "vgg19":
        raise ImpastoError(
            "vgg19: its weights are not on this machine; 'impasto weights get vgg19' fetches them, "
            "'impasto weights add FILE' takes a file that you have"
        )
    if name in ("auto", "compact"):
        return shipped("compact"), True
    return Path(name), is_compact(name)
