from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from impasto import samples
from impasto.errors import ImpastoError

EVERY = pytest.mark.parametrize("name", samples.names())
painted = cache(samples.paint)


def reduced(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(image, (height, width), mode="area")


def likeness(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


def test_there_are_half_a_dozen() -> None:
    assert samples.names() == ("strokes", "mosaic", "hatching", "wave", "glass", "marbling")


@EVERY
@pytest.mark.parametrize(("height", "width"), [(128, 128), (64, 96)])
def test_an_image_of_the_size_that_was_asked_for(name: str, height: int, width: int) -> None:
    image = painted(name, height, width)
    assert image.shape == (1, 3, height, width)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert 0 <= float(image.min()) < 0.15
    assert 0.85 < float(image.max()) <= 1


def test_tall_and_narrow() -> None:
    assert samples.paint("wave", 160, 64).shape == (1, 3, 160, 64)


@EVERY
def test_the_same_bytes_again(name: str) -> None:
    again = samples.paint(name, 64, 96)
    assert again.numpy().tobytes() == painted(name, 64, 96).numpy().tobytes()


@EVERY
def test_another_seed_is_another_picture_on_the_same_subject(name: str) -> None:
    first, second = painted(name, 64, 96), samples.paint(name, 64, 96, seed=1)
    assert float((first - second).abs().mean()) > 0.015
    palettes = [image.mean(dim=(0, 2, 3)) for image in (first, second)]
    assert torch.allclose(*palettes, atol=0.10)


@EVERY
def test_the_composition_does_not_depend_on_the_size(name: str) -> None:
    large = samples.paint(name, 256, 256)
    assert likeness(reduced(large, 128, 128), painted(name, 128, 128)) > 0.93
    assert likeness(reduced(large, 32, 32), reduced(painted(name, 128, 128), 32, 32)) > 0.985


@EVERY
def test_rich_at_every_scale(name: str) -> None:
    gray = painted(name, 128, 128).mean(1, keepdim=True)
    for size in (128, 64, 32):
        level = reduced(gray, size, size)
        detail = (level.diff(dim=2).abs().mean() + level.diff(dim=3).abs().mean()) / 2
        assert float(detail) > 0.04, f"flat at {size} px"
    share = np.histogram(gray.numpy(), bins=32, range=(0, 1))[0] / gray.numel()
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    assert entropy > 3.8  # of 5 bits


@EVERY
def test_in_color(name: str) -> None:
    image = painted(name, 128, 128)
    saturation = image.amax(1) - image.amin(1)
    assert float(saturation.quantile(0.99)) > 0.4


def test_an_unknown_painting() -> None:
    known = "strokes, mosaic, hatching, wave, glass, marbling"
    with pytest.raises(ImpastoError, match=f"no painting 'Guernica'; choose from {known}"):
        samples.paint("Guernica")


@pytest.mark.parametrize(("side", "size"), [("height", {"height": 63}), ("width", {"width": 4097})])
def test_a_size_out_of_range(side: str, size: dict[str, int]) -> None:
    pixels = next(iter(size.values()))
    with pytest.raises(ImpastoError, match=f"a {side} of {pixels} pixels; give 64 to 4096"):
        samples.paint("wave", **size)


def test_a_negative_seed() -> None:
    with pytest.raises(ImpastoError, match="a seed of -1; give 0 or more"):
        samples.paint("wave", seed=-1)
