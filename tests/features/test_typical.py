from __future__ import annotations

import pytest

from impasto.features.extractor import Extractor
from impasto.features.typical import SIZE, typical
from impasto.images import fit_size, load_image, resize
from impasto.losses import gram_matrix


def test_is_the_mean_over_the_photographs_of_the_gallery(tiny: Extractor) -> None:
    maps, grams = [], []
    for name in ("astronaut", "coffee"):
        image = load_image(f"gallery:{name}").tensor
        found = tiny(resize(image, fit_size(*image.shape[-2:], SIZE)), ["relu3_1"])["relu3_1"].double()
        maps.append(found.square().sum(1).mean().item())
        grams.append(gram_matrix(found).square().sum().item())
    (usual,) = typical(tiny, ["relu3_1"]).values()
    assert usual.maps == pytest.approx(sum(maps) / 2, rel=1e-5)
    assert usual.gram == pytest.approx(sum(grams) / 2, rel=1e-5)


def test_layers_are_given_as_they_are_asked_for(tiny: Extractor) -> None:
    first = typical(tiny, ["relu2_1"])
    both = typical(tiny, ["relu1_1", "relu2_1"])
    assert list(both) == ["relu1_1", "relu2_1"]
    assert both["relu2_1"] == first["relu2_1"]
