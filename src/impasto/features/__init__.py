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

    with own_torch():  # The random numbers of fresh layers, among other things, are the caller's.
        return _load(os.fspath(name), pooling).to(device)


def _load(name: str, pooling: str) -> Extractor:
    from impasto.errors import ImpastoError
    from impasto.features.compact import Compact, is_compact
    from impasto.features.vgg19 import VGG19
    from impasto.features.weights import find_vgg19

    extractor: Extractor
    stored = find_vgg19() if name in ("auto", "vgg19") else None
    if name == "compact" or (name == "auto" and stored is None):
        extractor = Compact.from_file()
    elif name == "vgg19" and stored is None:
        raise ImpastoError(
            "vgg19: its weights are not on this machine; 'impasto weights get vgg19' fetches them, "
            "'impasto weights add FILE' takes a file that you have"
        )
    elif stored is not None:
        extractor = VGG19.from_file(stored, pooling)
    elif is_compact(name):
        extractor = Compact.from_file(name)
    else:
        extractor = VGG19.from_file(name, pooling)
    return extractor
