from __future__ import annotations

import torch

from impasto.features.compact import Compact
from impasto.layers import STYLE_LAYERS
from impasto.losses import gram_matrix
from impasto.training.rehearsal import KEPT, paint


def test_a_painting_nears_its_style_and_is_made_the_same_again() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    content, style = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear").split(1)
    extractor = Compact.from_file()
    halfway, finished = (picture[None] for picture in paint(extractor, content, style, generator.manual_seed(1)))

    def distance(picture: torch.Tensor) -> float:
        maps = [extractor(image, STYLE_LAYERS) for image in (picture, style)]
        grams = [[gram_matrix(part[layer]) for layer in STYLE_LAYERS] for part in maps]
        return sum(float((a - b).square().sum() / b.square().sum()) for a, b in zip(*grams, strict=True))

    assert distance(finished) < distance(halfway) < distance(content)
    again = paint(extractor, content, style, generator.manual_seed(1))
    assert again.shape == (KEPT, 3, 64, 64)
    assert torch.equal(again[1:], finished)
