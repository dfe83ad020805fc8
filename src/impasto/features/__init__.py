"""What a CNN sees: extractors and their weights."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impasto.features.extractor import Extractor

__all__ = ["load_extractor"]


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


def _load(name: str, pooling: str) -> Extractor:
    from impasto.errors import ImpastoError
    from impasto.features.compact import Compact, is_compact
    from impasto.features.vgg19 import VGG19
    from impasto.features.weights import find_vgg19

    if name in ("auto", "vgg19") and (stored := find_vgg19()):
        return VGG19.from_file(stored, pooling)
    if name == "vgg19":
        raise ImpastoError(
            "vgg19: its weights are not on this machine; 'impasto weights get vgg19' fetches them, "
            "'impasto weights add FILE' takes a file that you have"
        )
    if name in ("auto", "compact"):
        return Compact.from_file()
    return Compact.from_file(name) if is_compact(name) else VGG19.from_file(name, pooling)
