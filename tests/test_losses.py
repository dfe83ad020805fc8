from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.losses import (
    RELATIVE_CONTENT_SCALE,
    blend_grams,
    content_loss,
    gram_matrix,
    leak,
    style_loss,
    style_share,
    total_loss,
    total_variation,
)


def test_leak_by_its_definition() -> None:
    output, content, style = (random(1, 2, 3, 4, seed=seed) for seed in range(3))

    def p(maps: Tensor) -> Tensor:
        mirrored = [style.flip(3), style.flip(2), style.flip(3).flip(2)]
        return 1 - (maps - style).pow(2).mean() / torch.stack([(maps - copy).pow(2).mean() for copy in mirrored]).mean()

    wanted = (p(output) - p(content)) / (1 - p(content))
    assert leak(output, content, style).item() == pytest.approx(wanted.item(), rel=1e-12)
    assert leak(content, content, style) == 0
    assert leak(style, content, style).item() == pytest.approx(1)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestGramMatrix:
    def test_worked_out_by_hand(self) -> None:
        features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # Two channels, two positions.
        expected = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 2
        assert torch.equal(gram_matrix(features), expected)

    def test_formula_in_float64(self) -> None:
        features = random(2, 3, 4, 5)
        expected = torch.zeros(2, 3, 3, dtype=torch.float64)
        for i in range(3):
            for j in range(3):
                expected[:, i, j] = (features[:, i] * features[:, j]).sum(dim=(1, 2)) / 20
        torch.testing.assert_close(gram_matrix(features), expected, rtol=1e-12, atol=1e-12)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 7), st.integers(0, 1000))
    def test_symmetric_positive_and_blind_to_position(self, channels: int, height: int, width: int, seed: int) -> None:
        features = random(1, channels, height, width, seed=seed)
        gram = gram_matrix(features)
        torch.testing.assert_close(gram, gram.mT, rtol=1e-12, atol=1e-12)
        assert torch.linalg.eigvalsh(gram).min() > -1e-9
        shuffled = features.flatten(2)[..., torch.randperm(height * width)].reshape(features.shape)
        torch.testing.assert_close(gram_matrix(shuffled), gram, rtol=1e-9, atol=1e-9)

    def test_gradcheck(self) -> None:
        features = random(2, 3, 3, 4).requires_grad_()
        assert torch.autograd.gradcheck(gram_matrix, (features,))
        assert torch.autograd.gradgradcheck(gram_matrix, (features,))

    def test_wrong_shape(self) -> None:
        with pytest.raises(ValueError, match=r"must be \(B, N, H, W\), got shape \(3, 4, 5\)"):
            gram_matrix(torch.ones(3, 4, 5))

    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    def test_gradient_has_the_layout_of_the_maps(self, layout: torch.memory_format) -> None:
        maps = torch.randn(1, 4, 6, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
        wanted = torch.randn(1, 4, 4, dtype=torch.float64)
        (gradient,) = torch.autograd.grad((gram_matrix(maps) * wanted).sum(), maps)
        assert gradient.is_contiguous(memory_format=layout)
        by_hand = (wanted + wanted.mT) @ maps.detach().flatten(2) / 30
        torch.testing.assert_close(gradient.flatten(2), by_hand)


class TestContentLoss:
    def test_gatys_by_hand(self) -> None:
        output, content = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 5.0]]]])
        assert content_loss(output, content, "gatys").item() == 0.5 * (4 + 9)

    def test_relative_by_hand(self) -> None:
        output, content = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 4.0]]]])
        assert content_loss(output, content, "relative").item() == pytest.approx((4 + 4) / 25)

    def test_relative_is_one_for_nothing_and_zero_for_the_target(self) -> None:
        content = random(1, 4, 5, 5)
        assert content_loss(torch.zeros_like(content), content).item() == pytest.approx(1)
        assert content_loss(content, content).item() == 0

    @pytest.mark.parametrize("normalization", ["gatys", "relative"])
    def test_mean_over_the_batch(self, normalization: str) -> None:
        output, content = random(3, 2, 4, 4), random(3, 2, 4, 4, seed=1)
        single = [content_loss(output[i : i + 1], content[i : i + 1], normalization) for i in range(3)]  # type: ignore[arg-type]
        torch.testing.assert_close(content_loss(output, content, normalization), torch.stack(single).mean())  # type: ignore[arg-type]

    @pytest.mark.parametrize("normalization", ["gatys", "relative"])
    def test_gradcheck(self, normalization: str) -> None:
        output, content = random(2, 3, 3, 3).requires_grad_(), random(2, 3, 3, 3, seed=1)
        assert torch.autograd.gradcheck(lambda x: content_loss(x, content, normalization), (output,))  # type: ignore[arg-type]

    def test_black_content_gives_a_finite_loss(self) -> None:
        assert torch.isfinite(content_loss(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)))

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match="differ in shape"):
            content_loss(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 4))
        with pytest.raises(ValueError, match="unknown normalization 'mse': gatys or relative"):
            content_loss(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3), "mse")  # type: ignore[arg-type]


class TestStyleLoss:
    def test_gatys_is_the_formula_of_the_article(self) -> None:
        output, style = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
        F, A = output[0].flatten(1), style[0].flatten(1)
        N, M = F.shape
        expected = ((F @ F.T - A @ A.T) ** 2).sum() / (4 * N**2 * M**2)
        torch.testing.assert_close(style_loss(gram_matrix(output), gram_matrix(style), "gatys"), expected)

    def test_gatys_with_the_channels_of_another_network(self) -> None:
        G, A = random(1, 4, 4), random(1, 4, 4, seed=1)
        ratio = style_loss(G, A, "gatys") / style_loss(G, A, "gatys", channels=8)
        assert ratio.item() == pytest.approx(4)

    def test_relative_by_hand(self) -> None:
        G, A = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
        assert style_loss(G, A, "relative").item() == pytest.approx((4 + 9) / 25)

    def test_relative_does_not_depend_on_the_scale_of_the_features(self) -> None:
        output, style = random(1, 3, 4, 4), random(1, 3, 5, 6, seed=1)
        small = style_loss(gram_matrix(output), gram_matrix(style))
        large = style_loss(gram_matrix(1000 * output), gram_matrix(1000 * style))
        torch.testing.assert_close(small, large)

    def test_one_style_serves_a_batch(self) -> None:
        G, A = random(3, 2, 2), random(1, 2, 2, seed=1)
        torch.testing.assert_close(style_loss(G, A), style_loss(G, A.expand(3, 2, 2)))

    @pytest.mark.parametrize("normalization", ["gatys", "relative"])
    def test_gradcheck_through_the_gram_matrix(self, normalization: str) -> None:
        output, A = random(1, 3, 3, 3).requires_grad_(), gram_matrix(random(1, 3, 3, 3, seed=1))
        assert torch.autograd.gradcheck(lambda x: style_loss(gram_matrix(x), A, normalization), (output,))  # type: ignore[arg-type]

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match="differ in size"):
            style_loss(torch.ones(1, 2, 2), torch.ones(1, 3, 3))


def test_total_loss() -> None:
    content, style = torch.tensor(2.0), torch.tensor(3.0)
    assert total_loss(content, style, 1e-3, "gatys").item() == pytest.approx(3.002)
    assert total_loss(content, style, 1e-3, "relative").item() == pytest.approx(3 + 2e-3 * RELATIVE_CONTENT_SCALE)


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
    assert total_variation(image).item() == pytest.approx((1 + 0) / 2 + (9 + 4) / 2)
    assert total_variation(torch.full((1, 3, 4, 4), 0.3)).item() == 0


class TestBlendGrams:
    def test_weighted_mean(self) -> None:
        first, second = torch.ones(1, 2, 2), torch.full((1, 2, 2), 5.0)
        assert torch.allclose(blend_grams([first, second], [3, 1]), torch.full((1, 2, 2), 2.0))

    def test_descends_like_the_sum_of_the_single_losses(self) -> None:
        output = random(1, 3, 4, 4).requires_grad_()
        grams, weights = [gram_matrix(random(1, 3, 4, 4, seed=s)) for s in (1, 2)], [0.7, 0.3]
        blended = style_loss(gram_matrix(output), blend_grams(grams, weights), "gatys")
        summed = sum(w * style_loss(gram_matrix(output), g, "gatys") for g, w in zip(grams, weights, strict=True))
        (one,), (other,) = torch.autograd.grad(blended, output), torch.autograd.grad(summed, output)  # type: ignore[arg-type]
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("normalization", ["gatys", "relative"])
class TestMetric:
    """With M = RᵀR the losses of maps f are those of the features R f, in value and gradient."""

    R = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def mixed(self, maps: Tensor) -> Tensor:
        return torch.einsum("kn,bnhw->bkhw", self.R, maps)

    def test_content(self, normalization: str) -> None:
        maps, target = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5, seed=1)
        one = content_loss(maps, target, normalization, metric=self.R.mT @ self.R)
        other = content_loss(self.mixed(maps), self.mixed(target), normalization)
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(*(torch.autograd.grad(loss, maps)[0] for loss in (one, other)))

    def test_style(self, normalization: str) -> None:
        maps, target = random(2, 3, 4, 5).requires_grad_(), random(1, 3, 6, 6, seed=1)
        one = style_loss(gram_matrix(maps), gram_matrix(target), normalization, channels=5, metric=self.R.mT @ self.R)
        other = style_loss(gram_matrix(self.mixed(maps)), gram_matrix(self.mixed(target)), normalization)
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(*(torch.autograd.grad(loss, maps)[0] for loss in (one, other)))


def grams(**values: float) -> dict[str, Tensor]:
    return {layer: torch.full((1, 2, 2), value) for layer, value in values.items()}


def test_style_share_by_hand() -> None:
    found = style_share(grams(a=3.0, b=2.0), grams(a=5.0, b=1.0), grams(a=1.0, b=2.0))
    assert found.item() == pytest.approx(((2 / 4) ** 2 + 0) / 2)
