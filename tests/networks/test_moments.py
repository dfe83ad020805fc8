from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.networks.moments import Moments, blend_moments, matrix_roots, moments, pool_moments, transport


def positive(seed: int, size: int, spread: float = 1.0) -> Tensor:
    """Symmetric positive definite (2, size, size) in float64."""
    generator = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(2, size, size, generator=generator, dtype=torch.float64)).Q
    values = (spread * torch.randn(2, size, generator=generator, dtype=torch.float64)).exp()
    return Q @ torch.diag_embed(values) @ Q.mT


def random_moments(seed: int, size: int) -> Moments:
    mean = torch.randn(2, size, generator=torch.Generator().manual_seed(seed + 1000), dtype=torch.float64)
    return Moments(mean, positive(seed, size))


def test_moments_are_those_of_the_positions() -> None:
    features = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    found = moments(features)
    for row in range(2):
        vectors = features[row].flatten(1)
        torch.testing.assert_close(found.mean[row], vectors.mean(1))
        torch.testing.assert_close(found.covariance[row], torch.cov(vectors, correction=0))


def test_weights_say_how_much_a_position_counts() -> None:
    """Whole numbers stand for as many positions; zeros leave out what may be anything; no weight at all is no error."""
    features = torch.randn(1, 4, 2, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[2.0, 0.0, 1.0], [1.0, 3.0, 0.0]]).view(1, 1, 2, 3)
    repeated = features.flatten(2).repeat_interleave(weights.long().flatten(), dim=2)[..., None]
    for found, expected in zip(moments(features, weights), moments(repeated), strict=True):
        torch.testing.assert_close(found, expected)
    assert all(torch.isfinite(part).all() for part in moments(features, torch.zeros(1, 1, 2, 3)))


def test_mixed_precision_does_not_reach_them() -> None:
    features = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = moments(features)
    assert found.covariance.dtype == torch.float32
    assert torch.equal(found.covariance, moments(features).covariance)


def test_tiles_pool_to_the_whole() -> None:
    features = torch.randn(1, 3, 8, 20, generator=torch.Generator().manual_seed(0)) + torch.arange(20.0)
    parts = features.split([5, 12, 3], dim=3)
    pooled = pool_moments([moments(part) for part in parts], [40, 96, 24])
    for found, expected in zip(pooled, moments(features), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_blend() -> None:
    one, two = random_moments(0, 3), random_moments(1, 3)
    for weight, expected in ((0.0, one), (1.0, two)):
        for found, wanted in zip(blend_moments(one, two, weight), expected, strict=True):
            torch.testing.assert_close(found, wanted)
    middle = blend_moments(one, two, torch.tensor(0.25, dtype=torch.float64))
    torch.testing.assert_close(middle.mean, 0.75 * one.mean + 0.25 * two.mean)


@given(seed=st.integers(0, 10_000), size=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_roots_multiply_to_the_matrix(seed: int, size: int) -> None:
    matrix = positive(seed, size, 0.7)
    root, inverse = matrix_roots(matrix)
    torch.testing.assert_close(root @ root, matrix, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(
        inverse @ root, torch.eye(size, dtype=torch.float64).expand(2, -1, -1), atol=1e-6, rtol=0
    )


def test_the_root_of_numbers() -> None:
    root, inverse = matrix_roots(torch.tensor([[[4.0]], [[0.25]]]))
    torch.testing.assert_close(root.flatten(), torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(inverse.flatten(), torch.tensor([0.5, 2.0]))


def test_transport_of_one_channel_scales_by_the_deviations() -> None:
    content, style = (
        Moments(torch.tensor([[3.0]]), torch.tensor([[[4.0]]])),
        Moments(torch.tensor([[10.0]]), torch.tensor([[[9.0]]])),
    )
    A, b = transport(content, style)
    assert A.item() == pytest.approx(1.5, rel=1e-4)
    assert b.item() == pytest.approx(10 - 1.5 * 3, rel=1e-4)


@given(seed=st.integers(0, 10_000), size=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_transport_gives_the_styles_moments_and_moves_nothing_more(seed: int, size: int) -> None:
    content, style = random_moments(seed, size), random_moments(seed + 1, size)
    A, b = transport(content, style)
    eye = torch.eye(size, dtype=torch.float64)
    C, S = (
        part.covariance + 0.02 * part.covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * eye
        for part in (content, style)
    )
    torch.testing.assert_close(A @ C @ A.mT, S, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close((A @ content.mean[..., None])[..., 0] + b, style.mean, rtol=1e-6, atol=1e-6)
    # A symmetric positive definite map is the optimal one (Brenier's theorem for Gaussians).
    torch.testing.assert_close(A, A.mT, rtol=1e-5, atol=1e-5)
    assert torch.linalg.eigvalsh((A + A.mT) / 2).min() > 0


def test_equal_moments_are_left_alone() -> None:
    content = random_moments(3, 6)
    A, b = transport(content, content)
    torch.testing.assert_close(A, torch.eye(6, dtype=torch.float64).expand(2, -1, -1), rtol=0, atol=1e-6)
    torch.testing.assert_close(b, torch.zeros(2, 6, dtype=torch.float64), rtol=0, atol=1e-6)


def test_a_picture_of_one_color_divides_nothing_by_zero() -> None:
    flat = Moments(torch.ones(1, 3), torch.zeros(1, 3, 3).requires_grad_())
    A, b = transport(flat, Moments(torch.zeros(1, 3), torch.eye(3)[None]))
    (A.sum() + b.sum()).backward()
    assert torch.isfinite(A).all()
    assert torch.isfinite(b).all()
    assert torch.isfinite(flat.covariance.grad).all()  # type: ignore[arg-type]


def test_few_directions_and_one_of_them_much_larger() -> None:
    """As features are, in float32: the roots neither diverge nor lose the directions that there are."""
    generator = torch.Generator().manual_seed(0)
    shared, maps = torch.randn(32, 6, generator=generator), []
    for _ in range(2):
        mix = shared + 0.3 * torch.randn(32, 6, generator=generator)
        mix[:, 0] *= 10
        maps.append((mix @ torch.randn(6, 4096, generator=generator)).view(1, 32, 64, 64).requires_grad_())
    content, style = (moments(features) for features in maps)
    A, b = transport(content, style)
    moved = A @ maps[0].flatten(2) + b[..., None]
    found = moments(moved.view(1, 32, 64, 64))
    before, after = ((part.covariance - style.covariance).norm() for part in (content, found))
    assert after < 0.2 * before
    moved.square().mean().backward()
    for features in maps:
        assert torch.isfinite(features.grad).all()  # type: ignore[arg-type]
        assert features.grad.abs().max() < 1e3  # type: ignore[union-attr]
