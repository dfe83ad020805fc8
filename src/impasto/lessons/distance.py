"""The distance of generated faces from real ones: the kernel distance between an extractor's features of both.

Binkowski, Sutherland, Arbel, Gretton: Demystifying MMD GANs ("KID", 2018, arXiv:1801.01401). The features are the
compact extractor's instead of Inception's, so figures are not comparable with published ones. Unlike Fréchet's, this
distance has no bias, which would need tens of thousands of faces to vanish.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.extractor import Extractor

#: Low, middle and high: texture counts as parts of a face do.
FEATURES = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")


@torch.no_grad()
def face_features(extractor: Extractor, faces: Tensor, batch: int = 64) -> list[Tensor]:
    """The means of the maps at :data:`FEATURES`, for every layer (N, C), float64 on the CPU.

    Faces are (N, 3, side, side), uint8 or floats in [0, 1].
    """
    device = next(extractor.parameters()).device
    parts: list[list[Tensor]] = []
    for part in faces.split(batch):
        shown = part.float() / 255 if part.dtype == torch.uint8 else part
        maps = extractor(shown.to(device), FEATURES)
        parts.append([maps[layer].mean(dim=(2, 3)).cpu().double() for layer in FEATURES])
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def kernel_distance(one: Tensor, other: Tensor) -> float:
    r"""Unbiased squared maximum mean discrepancy of two samples: 0 on average where both are of one distribution.

    .. math:: \frac{1}{m(m-1)} \sum_{i≠j} k(x_i, x_j) + \frac{1}{n(n-1)} \sum_{i≠j} k(y_i, y_j)
        - \frac{2}{mn} \sum_{i,j} k(x_i, y_j), \qquad k(x, y) = (x·y / d + 1)^3

    It can be a little below 0. Samples are (m, d) and (n, d), two rows or more.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.trace()) / (len(x) * (len(x) - 1))

    return float(within(one) + within(other) - 2 * kernel(one, other).mean())


class Yardstick:
    """Measures generated faces against real ones, both (N, 3, side, side), through ``extractor``.

    The real ones are uint8: ``held`` were held back from the training; ``learned`` were not, and set the unit of each
    layer. ``floor`` is the distance of the ones from the others, below which a distance says nothing.
    """

    def __init__(self, extractor: Extractor, held: Tensor, learned: Tensor) -> None:
        self._extractor = extractor
        real = face_features(extractor, learned)
        self._units = [features.square().mean().sqrt().clamp_min(1e-12) for features in real]
        self._held = self._joined(face_features(extractor, held))
        self.floor = kernel_distance(self._joined(real), self._held)

    def __call__(self, faces: Tensor) -> float:
        """The distance of ``faces`` (N, 3, side, side) from the real ones."""
        return kernel_distance(self._joined(face_features(self._extractor, faces)), self._held)

    def _joined(self, features: list[Tensor]) -> Tensor:
        """(N, d), every layer in its unit and of the same weight, so that x·y/d is about 1 for a real face."""
        mean = sum(layer.shape[1] for layer in features) / len(features)
        pairs = zip(features, self._units, strict=True)
        return torch.cat([layer / unit * (mean / layer.shape[1]) ** 0.5 for layer, unit in pairs], dim=1)
