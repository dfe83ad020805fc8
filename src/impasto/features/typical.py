"""What is usual at the layers of an extractor, found on photographs that ship."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from impasto import gallery
from impasto.features.extractor import Extractor
from impasto.images import fit_size, load_image, resize
from impasto.losses import gram_matrix, target_energy

SIZE = 192  # longest side, in pixels


class Typical(NamedTuple):
    """Energies of natural photographs at a layer, as :func:`impasto.losses.target_energy` has them.

    Attributes:
        maps: of the feature maps at one position.
        gram: of the Gram matrix.
    """

    maps: float
    gram: float


_known: WeakKeyDictionary[Extractor, dict[str, Typical]] = WeakKeyDictionary()


def typical(extractor: Extractor, layers: Iterable[str]) -> dict[str, Typical]:
    """The mean over the gallery's photographs, by layer; found when it is first asked for."""
    known = _known.setdefault(extractor, {})
    missing = [layer for layer in layers if layer not in known]
    if missing:
        known |= {layer: Typical(*torch.tensor(found).mean(0).tolist()) for layer, found in _look(extractor, missing)}
    return {layer: known[layer] for layer in layers}


def _look(extractor: Extractor, layers: list[str]) -> Iterable[tuple[str, list[tuple[float, float]]]]:
    """For every layer the two energies of each photograph."""
    device = next(extractor.parameters()).device
    with torch.no_grad():
        seen = [extractor.maps(photograph.to(device), layers) for photograph in _photographs()]
    for layer in layers:
        metric = extractor.metric(layer)
        yield (
            layer,
            [
                (
                    target_energy(maps[layer], metric).item() / maps[layer][0, 0].numel(),
                    target_energy(gram_matrix(maps[layer]), metric).item(),
                )
                for maps in seen
            ],
        )


@cache
def _photographs() -> list[Tensor]:
    photographs = [load_image(f"gallery:{name}").tensor for name in gallery.names("photograph")]
    return [resize(image, fit_size(image.shape[-2], image.shape[-1], SIZE)) for image in photographs]
