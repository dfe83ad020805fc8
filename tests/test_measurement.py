from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import impasto
from impasto.images import load_image, resize, to_pil
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


def test_the_painting_itself_leaks_and_the_photograph_does_not(
    measure: Callable[..., Measurement], pair: tuple[Tensor, Tensor]
) -> None:
    content, style = pair
    assert measure(content, content, style).leak == pytest.approx(0, abs=1e-6)
    assert measure(resize(style, (48, 64)), content, resize(style, (48, 64))).leak == pytest.approx(1)
    mirrored = resize(style, (48, 64)).flip(-1)
    assert measure(mirrored, content, resize(style, (48, 64))).leak < 0.9


def test_chroma_noise_is_that_of_the_painting(measure: Callable[..., Measurement], pair: tuple[Tensor, Tensor]) -> None:
    content, _ = pair
    noise = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    assert measure(noise, content, noise).chroma_noise == pytest.approx(1)
    assert measure(0.5 + 0.5 * (noise - 0.5), content, noise).chroma_noise == pytest.approx(0.25, rel=1e-3)
    assert measure(noise.mean(1, keepdim=True).expand_as(noise), content, noise).chroma_noise < 1e-3
    gray = torch.full_like(noise, 0.5)
    assert measure(gray, content, gray).chroma_noise < 1e-3, "no division by zero"


def test_what_is_transparent_counts_for_nothing(tiny_file: str, pair: tuple[Tensor, Tensor]) -> None:
    """A painting with transparent margins is the painting; whatever lies under a cut-out, nobody sees."""
    content, style = pair
    margins = torch.zeros(1, 4, 96, 72)
    margins[:, :3] = style.mean((2, 3), keepdim=True)
    margins[:, :3, 16:80, 16:56], margins[:, 3:, 16:80, 16:56] = style, 1
    framed, opaque = to_pil(margins[:, :3], margins[:, 3:]), to_pil(margins[:, :3])
    # At sizes where the painting has as many pixels in all three.
    plain = impasto.measure(content, content, style, extractor=tiny_file)
    found = impasto.measure(resize(content, (72, 96)), content, framed, extractor=tiny_file)
    blind = impasto.measure(resize(content, (72, 96)), content, opaque, extractor=tiny_file)
    assert abs(found.style_loss - plain.style_loss) < 0.3 * abs(blind.style_loss - plain.style_loss)


def test_a_cut_out_photograph(tiny_file: str, pair: tuple[Tensor, Tensor]) -> None:
    """An output that differs only far inside what is transparent is the photograph."""
    content, style = pair
    alpha = torch.ones(1, 1, 48, 64)
    alpha[..., 16:] = 0
    cut_out = load_image(to_pil(content, alpha))
    changed = cut_out.tensor.clone()
    changed[..., 48:] = torch.rand(1, 3, 48, 16, generator=torch.Generator().manual_seed(0))
    seen, all_of_it = (
        impasto.measure(changed, source, style, extractor=tiny_file).content_error
        for source in (to_pil(content, alpha), cut_out.tensor)
    )
    assert seen < 0.1 * all_of_it
