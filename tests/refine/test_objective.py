from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.features.compact import Compact, shipped_path
from impasto.features.extractor import STYLE_LAYERS
from impasto.losses import content_loss, gram_matrix, style_loss, total_loss
from impasto.refine.objective import Objective, Weights


def weights(**changes: object) -> Weights:
    values = {
        "content_weight": 1e-3,
        "content_layers": {"relu4_2": 1.0},
        "style_layers": dict.fromkeys(STYLE_LAYERS, 0.2),
        "style_weights": (1.0,),
        **changes,
    }
    return Weights(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("normalization", ["relative", "gatys"])
def test_losses_are_those_of_the_metric(tiny, pair: tuple[Tensor, Tensor], normalization) -> None:
    content, style = pair
    output = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    gradient, losses = Objective(tiny, content, [style], weights(normalization=normalization))(output)
    out, at_content, at_style = (tiny(image, tiny.layers) for image in (output, content, style))
    assert losses.content == pytest.approx(content_loss(out["relu4_2"], at_content["relu4_2"], normalization).item())
    style_terms = [
        0.2
        * style_loss(
            gram_matrix(out[layer]), gram_matrix(at_style[layer]), normalization, channels=tiny.channels(layer)
        ).item()
        for layer in STYLE_LAYERS
    ]
    assert losses.style == pytest.approx(sum(style_terms), rel=1e-5)
    scale = 100 if normalization == "relative" else 1
    assert losses.total == pytest.approx(1e-3 * scale * losses.content + losses.style, rel=1e-5)
    assert gradient.shape == content.shape


def test_gradient_is_the_slope(tiny, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    objective = Objective(tiny, content, [style], weights(tv_weight=0.1))
    output = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    gradient, before = objective(output)
    direction = gradient / gradient.norm()
    step = 0.01
    rise = (objective(output + step * direction)[1].total - objective(output - step * direction)[1].total) / (2 * step)
    assert rise == pytest.approx(gradient.norm().item(), rel=0.05)
    assert before.total > 0


def test_compact_is_judged_by_its_features_not_by_its_maps(pair: tuple[Tensor, Tensor]) -> None:
    """The factor R is left for the Gram matrices to apply; losses and gradient are those of R F all the same."""
    content, style = pair
    compact = Compact.from_file(shipped_path())
    output = (content + 0.1 * torch.randn(content.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    gradient, losses = Objective(compact, content, [style], weights())(output)
    image = output.clone().requires_grad_()
    out, at_content, at_style = (compact(x, compact.layers) for x in (image, content, style))
    expected_content = content_loss(out["relu4_2"], at_content["relu4_2"])
    expected_style = sum(
        0.2 * style_loss(gram_matrix(out[layer]), gram_matrix(at_style[layer])) for layer in STYLE_LAYERS
    )
    total = total_loss(expected_content, expected_style, 1e-3)
    assert losses.content == pytest.approx(expected_content.item(), rel=1e-4)
    assert losses.style == pytest.approx(expected_style.item(), rel=1e-4)
    (expected,) = torch.autograd.grad(total, image)
    assert (gradient - expected).norm() < 1e-3 * expected.norm()


def test_several_styles_share_by_weight(tiny, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    both = Objective(tiny, content, [style, content], weights(style_weights=(1.0, 0.0)))(content)[1]
    alone = Objective(tiny, content, [style], weights())(content)[1]
    assert both.style == pytest.approx(alone.style, rel=1e-5)
    content_only = Objective(tiny, content, [style, content], weights(style_weights=(0.0, 1.0)))(content)[1]
    assert content_only.style == pytest.approx(0, abs=1e-6)


def test_article_weighs_content_alike_at_every_scale(tiny, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    output = content.flip(-1)
    full = Objective(tiny, content, [style], weights(normalization="gatys"))(output)[1]
    quarter = Objective(tiny, content, [style], weights(normalization="gatys"), area=0.25)(output)[1]
    assert quarter.total - quarter.style == pytest.approx(4 * (full.total - full.style), rel=1e-3)


def test_bf16_is_the_extractors_alone(tiny, pair: tuple[Tensor, Tensor]) -> None:
    """Gram matrices are made in float32, the painting's too."""
    content, style = pair
    compact = Compact.from_file(shipped_path())
    for extractor in (tiny, compact):
        own = Objective(extractor, style, [style], weights(), bf16=True)(style)[1].style
        assert own == 0.0
        exact = Objective(extractor, content, [style], weights())(content)[1]
        rounded = Objective(extractor, content, [style], weights(), bf16=True)(content)[1]
        assert rounded.style == pytest.approx(exact.style, rel=0.02)
