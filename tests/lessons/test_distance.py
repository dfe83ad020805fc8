from __future__ import annotations

import pytest
import torch

from impasto.features import load_extractor
from impasto.features.extractor import Extractor
from impasto.lessons.distance import FEATURES, Yardstick, face_features, kernel_distance
from impasto.lessons.drawn import draw_face


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return load_extractor("compact")


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    import numpy as np

    from impasto.lessons.celeba import square_of

    return torch.stack([square_of(draw_face(np.random.default_rng([7, n]), 32)[0], 32) for n in range(120)])


class TestKernelDistance:
    def test_by_hand(self) -> None:
        one, other = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).double(), torch.tensor([[1.0, 1.0], [2.0, 0.0]]).double()
        # k = (x·y/2 + 1)³. Within: 1; (2/2 + 1)³ = 8. Between: 1.5³, 2³, 2³, 1.
        expected = 1 + 8 - 2 * (3.375 + 8 + 8 + 1) / 4
        assert kernel_distance(one, other) == pytest.approx(expected, rel=1e-12)

    def test_symmetric_and_deaf_to_order(self) -> None:
        generator = torch.Generator().manual_seed(0)
        one, other = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (8, 11))
        assert kernel_distance(one, other) == pytest.approx(kernel_distance(other, one), rel=1e-12)
        assert kernel_distance(one.flip(0), other) == pytest.approx(kernel_distance(one, other), rel=1e-10)

    def test_without_bias(self) -> None:
        """Of two samples of one kind, however small, it is 0 on average; of another kind it is what it is."""
        generator = torch.Generator().manual_seed(0)

        def mean(count: int, shift: float) -> float:
            pairs = [torch.randn(2, count, 3, generator=generator, dtype=torch.float64) for _ in range(3000)]
            return sum(kernel_distance(pair[0], pair[1] + shift) for pair in pairs) / len(pairs)

        assert abs(mean(4, 0.0)) < 0.1
        assert mean(4, 1.0) == pytest.approx(mean(16, 1.0), rel=0.1)
        assert mean(16, 1.0) > 2


class TestYardstick:
    def test_features_are_means_of_the_maps(self, extractor: Extractor, drawn: torch.Tensor) -> None:
        found = face_features(extractor, drawn[:5], batch=2)
        with torch.no_grad():
            maps = extractor(drawn[:5].float() / 255, FEATURES)
        for layer, features in zip(FEATURES, found, strict=True):
            torch.testing.assert_close(features, maps[layer].mean(dim=(2, 3)).double(), rtol=1e-3, atol=1e-3)

    def test_the_worse_the_farther(self, extractor: Extractor, drawn: torch.Tensor) -> None:
        yardstick = Yardstick(extractor, drawn[:40], drawn[40:80])
        fresh = drawn[80:].float() / 255
        noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(0))
        distances = [yardstick((fresh + sigma * noise).clamp(0, 1)) for sigma in (0.0, 0.1, 0.3)]
        assert distances == sorted(distances)
        assert max(abs(yardstick.floor), abs(distances[0])) < distances[1] / 2
        assert yardstick(drawn[80:]) == pytest.approx(distances[0], abs=1e-5), "8 bits or floats, it is the same"

    def test_one_face_again_and_again_is_far(self, extractor: Extractor, drawn: torch.Tensor) -> None:
        """What a generator does that has collapsed."""
        yardstick = Yardstick(extractor, drawn[:40], drawn[40:80])
        assert yardstick(drawn[80:81].expand(40, -1, -1, -1)) > yardstick(drawn[80:]) + 5 * abs(yardstick.floor)
