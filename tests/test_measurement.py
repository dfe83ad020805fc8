from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import impasto
from impasto.images import resize
from impasto.measurement import Measurement


@pytest.fixture
def measure(tiny_file: str) -> Callable[..., Measurement]:
    """With the tiny extractor."""
    return partial(impasto.measure, extractor=tiny_file)


def test_the_photograph_itself(measure: Callable[..., Measurement], pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    found = measure(content, content, style)
    assert found.content_error == 0
    assert found.style_share == pytest.approx(1)
    assert found.ssim == pytest.approx(1, abs=1e-4)
    assert found.total_loss == pytest.approx(found.style_loss)


def test_the_painting_itself(measure: Callable[..., Measurement], pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    found = measure(style, content, style)
    assert found.style_share == pytest.approx(0, abs=1e-9)
    assert found.style_loss == pytest.approx(0, abs=1e-9)
    assert found.content_error > 0.01
    assert found.total_loss == pytest.approx(1e-3 * 100 * found.content_loss)


def test_photograph_and_painting_are_brought_to_the_outputs_size(
    measure: Callable[..., Measurement], pair: tuple[Tensor, Tensor]
) -> None:
    content, style = pair
    small = resize(content, (24, 32))
    assert measure(small, content, style).content_error == 0


def test_two_paintings(measure: Callable[..., Measurement], pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    alone = measure(content, content, style)
    both = measure(content, content, [style, torch.ones_like(style)], style_weights=[1, 0])
    assert both.style_loss == pytest.approx(alone.style_loss, rel=1e-5)
