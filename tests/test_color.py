from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.color import chroma_noise, luminance, match_color, match_luminance, preserve_color
from impasto.errors import ImpastoError


def noise(height: int, width: int, seed: int, low: float = 0.0, high: float = 1.0, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(batch, 3, height, width, generator=generator)


def correlated(seed: int, spread: float, height: int = 31, width: int = 17) -> Tensor:
    """Colors with a covariance of their own that stay well inside [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(3, 3, generator=generator)
    colors = mix @ (torch.rand(3, height * width, generator=generator) - 0.5)
    center = torch.tensor([[0.45], [0.5], [0.55]])
    return (center + spread * colors / colors.abs().max()).reshape(1, 3, height, width)


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    colors = image[0].double().flatten(1)
    return colors.mean(dim=1), torch.cov(colors, correction=0)


def test_luminance_is_rec_601() -> None:
    primaries = torch.eye(3).reshape(1, 3, 1, 3)
    torch.testing.assert_close(luminance(primaries).flatten(), torch.tensor([0.299, 0.587, 0.114]))


def test_preserve_color_known_values() -> None:
    # Content (0.6, 0.4, 0.2): Y = 0.437; chroma (0.163, -0.037, -0.237). Output grey 0.5 takes it whole.
    content = torch.tensor([0.6, 0.4, 0.2]).reshape(1, 3, 1, 1)
    result = preserve_color(torch.full((1, 3, 1, 1), 0.5), content)
    torch.testing.assert_close(result.flatten(), torch.tensor([0.663, 0.463, 0.263]), atol=1e-6, rtol=0)
    # Output grey 0.1 has room for 0.1 / 0.237 of it: blue goes to 0.
    result = preserve_color(torch.full((1, 3, 1, 1), 0.1), content)
    expected = 0.1 + 0.1 / 0.237 * torch.tensor([0.163, -0.037, -0.237])
    torch.testing.assert_close(result.flatten(), expected, atol=1e-6, rtol=0)


def test_preserve_color_of_itself_is_itself() -> None:
    image = noise(9, 7, 0)
    torch.testing.assert_close(preserve_color(image, image), image, atol=2e-6, rtol=0)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_preserve_color_keeps_luminance_hue_and_range(seed: int) -> None:
    output, content = noise(6, 5, seed), noise(6, 5, seed + 1)
    result = preserve_color(output, content)
    assert result.min() >= 0
    assert result.max() <= 1
    torch.testing.assert_close(luminance(result), luminance(output), atol=2e-6, rtol=0)
    chroma, wanted = result - luminance(result), content - luminance(content)
    # The same direction (parallel, not opposed), and never more of it than the content had.
    torch.testing.assert_close(torch.linalg.cross(chroma, wanted, dim=1), torch.zeros_like(chroma), atol=1e-5, rtol=0)
    assert ((chroma * wanted).sum(1) >= -1e-6).all()
    assert (chroma.norm(dim=1) <= wanted.norm(dim=1) + 1e-5).all()


def test_preserve_color_grey_content_gives_grey() -> None:
    grey = noise(8, 8, 3)[:, :1].expand(-1, 3, -1, -1)
    result = preserve_color(noise(8, 8, 4), grey)
    assert (result.amax(1) - result.amin(1)).max() < 1e-6


def test_preserve_color_extremes() -> None:
    content = noise(4, 4, 5)
    for value in (0.0, 1.0):
        result = preserve_color(torch.full((1, 3, 4, 4), value), content)
        torch.testing.assert_close(result, torch.full((1, 3, 4, 4), value), atol=1e-6, rtol=0)


def test_preserve_color_resizes_the_content_and_takes_batches() -> None:
    content = torch.tensor([0.7, 0.5, 0.3]).reshape(1, 3, 1, 1).expand(1, 3, 20, 10)
    result = preserve_color(torch.full((2, 3, 12, 8), 0.5), content)
    assert result.shape == (2, 3, 12, 8)
    torch.testing.assert_close((result[:, 0] - result[:, 2]), torch.full((2, 12, 8), 0.4), atol=1e-5, rtol=0)


def test_match_color_matches_mean_and_covariance() -> None:
    style, content = correlated(1, 0.3), correlated(2, 0.25, 12, 40)
    result = match_color(style, content)
    assert result.shape == style.shape
    # Only where nothing is clamped is the match exact.
    assert result.min() > 0
    assert result.max() < 1
    (mean, covariance), (wanted_mean, wanted_covariance) = moments(result), moments(content)
    torch.testing.assert_close(mean, wanted_mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(covariance, wanted_covariance, atol=1e-7, rtol=1e-4)
    assert (moments(style)[1] - wanted_covariance).abs().max() > 1e-3


def test_match_color_with_itself_is_the_identity() -> None:
    image = correlated(3, 0.4)
    torch.testing.assert_close(match_color(image, image), image, atol=1e-5, rtol=0)


def test_match_color_known_value() -> None:
    # Independent channels: each is only shifted and stretched, here by 2 around 0.4 -> 0.5.
    rows = torch.tensor([[1, 1, 1, 1, -1, -1, -1, -1], [1, 1, -1, -1, 1, 1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1.0]])
    style, content = (0.4 + 0.1 * rows).reshape(1, 3, 2, 4), (0.5 + 0.2 * rows).reshape(1, 3, 4, 2)
    torch.testing.assert_close(match_color(style, content), (0.5 + 0.2 * rows).reshape(1, 3, 2, 4), atol=1e-5, rtol=0)


def test_match_color_grey_content_gives_grey() -> None:
    grey = noise(16, 16, 6, 0.3, 0.7)[:, :1].expand(-1, 3, -1, -1)
    result = match_color(noise(16, 16, 7), grey)
    assert (result.amax(1) - result.amin(1)).max() < 1e-4


def test_match_color_grey_style_stays_finite_and_calm() -> None:
    content = correlated(8, 0.4)
    grey = noise(16, 16, 9, 0.3, 0.7)[:, :1].expand(-1, 3, -1, -1)
    noisy = (grey + noise(16, 16, 10, -0.5, 0.5) / 255).clamp(0, 1)
    calm, result = match_color(grey, content), match_color(noisy, content)
    assert torch.isfinite(result).all()
    torch.testing.assert_close(calm.mean((0, 2, 3)), content.mean((0, 2, 3)), atol=0.02, rtol=0)
    # A rounding error of half a step, which is no color, must not become one.
    assert (result - calm).abs().max() < 0.1


def test_match_color_constant_style_gives_the_mean() -> None:
    content = noise(8, 8, 11)
    result = match_color(torch.full((1, 3, 5, 5), 0.2), content)
    torch.testing.assert_close(result, content.mean((2, 3), keepdim=True).expand(1, 3, 5, 5), atol=1e-5, rtol=0)


def test_match_color_constant_content_gives_the_constant() -> None:
    color = torch.tensor([0.2, 0.5, 0.8]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(
        match_color(noise(6, 6, 12), color), color[..., :1, :1].expand(1, 3, 6, 6), atol=1e-5, rtol=0
    )


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_match_color_stays_in_range(seed: int) -> None:
    result = match_color(noise(5, 7, seed), noise(6, 3, seed + 1).pow(3))
    assert torch.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 1


def test_match_color_takes_batches() -> None:
    styles, content = torch.cat([correlated(13, 0.3), correlated(14, 0.2)]), correlated(15, 0.25)
    both = match_color(styles, content)
    for index in range(2):
        torch.testing.assert_close(both[index : index + 1], match_color(styles[index : index + 1], content))


def test_match_luminance_matches_mean_and_deviation() -> None:
    style, content = correlated(16, 0.3), correlated(17, 0.2)
    result = match_luminance(style, content)
    assert torch.equal(result[:, 0], result[:, 1])
    assert torch.equal(result[:, 0], result[:, 2])
    wanted = luminance(content)
    assert result[:, 0].mean().item() == pytest.approx(wanted.mean().item(), abs=1e-6)
    assert result[:, 0].std(correction=0).item() == pytest.approx(wanted.std(correction=0).item(), rel=1e-4)
    # The order of light and dark is the style's.
    assert torch.equal(result[0, 0].flatten().argsort(), luminance(style).flatten().argsort())


def test_match_luminance_of_a_constant_style() -> None:
    content = noise(8, 8, 18)
    result = match_luminance(torch.full((1, 3, 4, 4), 0.9), content)
    torch.testing.assert_close(result, luminance(content).mean().expand(1, 3, 4, 4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["none", "histogram", "Luminance"])
def test_unknown_mode(mode: str) -> None:
    with pytest.raises(ImpastoError, match=f"'{mode}' is not a way .* take 'luminance'"):
        preserve_color(noise(4, 4, 0), noise(4, 4, 1), mode)


@pytest.mark.parametrize(
    "bad", [torch.zeros(3, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.int)]
)
def test_wrong_tensors(bad: Tensor) -> None:
    good = noise(4, 4, 0)
    for function in (preserve_color, match_color, match_luminance):
        with pytest.raises(ImpastoError, match=r"give floats \(B, 3, H, W\)"):
            function(bad, good)
        with pytest.raises(ImpastoError, match="content: "):
            function(good, bad)


@pytest.mark.parametrize("match", [match_color, match_luminance])
def test_what_is_transparent_counts_for_nothing(match: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Beside any colors under a transparent half, the visible half is matched as it would be alone."""
    style, content = correlated(0, 0.2), correlated(1, 0.3, 20, 24)
    hidden = torch.cat([torch.cat([style, noise(31, 17, 2)], 3), halves(31, 17)], 1)
    palette = torch.cat([torch.cat([content, noise(20, 24, 3)], 3), halves(20, 24)], 1)
    found = match(hidden, palette)
    assert torch.equal(found[:, 3:], hidden[:, 3:]), "the style keeps its own alpha channel"
    torch.testing.assert_close(found[:, :3, :, :17], match(style, content), rtol=0, atol=1e-5)


def halves(height: int, width: int) -> Tensor:
    """An alpha channel (1, 1, height, 2 width) that shows the left half."""
    alpha = torch.zeros(1, 1, height, 2 * width)
    alpha[..., :width] = 1
    return alpha


def test_chroma_noise_is_the_energy_of_fine_colors() -> None:
    across = torch.arange(32)

    def waves(period: float, *colors: float) -> Tensor:
        return 0.5 + 0.1 * torch.tensor(colors).view(1, 3, 1, 1) * torch.cos(2 * torch.pi * across / period).expand(
            32, 32
        )

    assert chroma_noise(waves(2, 1, 1, 1)) == pytest.approx(0, abs=1e-12), "gray has no chroma"
    assert chroma_noise(waves(8, 1, 0, -1)) == pytest.approx(0, abs=1e-12), "too coarse"
    colors = torch.tensor([1.0, 0.0, -1.0]) - (0.299 - 0.114)
    assert chroma_noise(waves(2, 1, 0, -1)) == pytest.approx(0.01 * colors.square().mean().item(), rel=1e-5)
