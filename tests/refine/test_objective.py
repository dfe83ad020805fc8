from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from impasto.features.compact import Compact
from impasto.features.extractor import Extractor
from impasto.features.typical import typical
from impasto.files.shipped import shipped
from impasto.layers import STYLE_LAYERS
from impasto.losses import content_loss, gram_matrix, style_loss, total_loss, total_variation
from impasto.refine.budget import Tiling
from impasto.refine.objective import LEAST_CONTENT, LEAST_STYLE, Losses, Objective, View, Whole
from impasto.refine.terms import PIXELS, Gram, Term, TotalVariation
from impasto.refine.tiled import Tiled
from impasto.tiles import Tile

from .conftest import objective


@pytest.mark.parametrize("normalization", ["relative", "gatys"])
def test_losses_are_those_of_the_metric(tiny, pair: tuple[Tensor, Tensor], normalization) -> None:
    """Every layer with a weight of its own."""
    content, style = pair
    weights = {layer: 0.1 * number for number, layer in enumerate(STYLE_LAYERS, start=1)}
    content_layers = {"relu4_2": 0.8, "relu2_1": 0.5}
    output = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    settings = {"normalization": normalization, "style_layers": weights, "content_layers": content_layers}
    gradient, losses = objective(tiny, content, [style], tv_weight=0.3, **settings)(output)
    out, at_content, at_style = (tiny(image, tiny.layers) for image in (output, content, style))
    content_terms = [
        weight * content_loss(out[layer], at_content[layer], normalization).item()
        for layer, weight in content_layers.items()
    ]
    style_terms = [
        weight
        * style_loss(
            gram_matrix(out[layer]), gram_matrix(at_style[layer]), normalization, channels=tiny.channels(layer)
        ).item()
        for layer, weight in weights.items()
    ]
    variation = total_variation(output).item()
    assert list(losses.terms) == ["content", "style", "total variation"]
    assert losses.terms["content"] == pytest.approx(sum(content_terms), rel=1e-6)
    assert losses.terms["style"] == pytest.approx(sum(style_terms), rel=1e-5)
    assert losses.terms["total variation"] == pytest.approx(variation, rel=1e-6)
    scale = 100 if normalization == "relative" else 1
    whole = 1e-3 * scale * losses.terms["content"] + losses.terms["style"] + 0.3 * variation
    assert losses.total == pytest.approx(whole, rel=1e-5)
    assert gradient.shape == content.shape


def test_gradient_is_the_slope(tiny, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    total = objective(tiny, content, [style], tv_weight=0.1)
    output = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    gradient, before = total(output)
    direction = gradient / gradient.norm()
    step = 0.01
    rise = (total(output + step * direction)[1].total - total(output - step * direction)[1].total) / (2 * step)
    assert rise == pytest.approx(gradient.norm().item(), rel=0.05)
    assert before.total > 0


def test_compact_is_judged_by_its_features_not_by_its_maps(pair: tuple[Tensor, Tensor]) -> None:
    """The factor R is left for the Gram matrices to apply; losses and gradient are those of R F all the same."""
    content, style = pair
    compact = Compact.from_file(shipped("compact"))
    output = (content + 0.1 * torch.randn(content.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    gradient, losses = objective(compact, content, [style])(output)
    image = output.clone().requires_grad_()
    out, at_content, at_style = (compact(x, compact.layers) for x in (image, content, style))
    expected_content = content_loss(out["relu4_2"], at_content["relu4_2"])
    expected_style = sum(
        0.2 * style_loss(gram_matrix(out[layer]), gram_matrix(at_style[layer])) for layer in STYLE_LAYERS
    )
    total = total_loss(expected_content, expected_style, 1e-3)
    assert losses.terms["content"] == pytest.approx(expected_content.item(), rel=1e-4)
    assert losses.terms["style"] == pytest.approx(expected_style.item(), rel=1e-4)
    (expected,) = torch.autograd.grad(total, image)
    assert (gradient - expected).norm() < 1e-3 * expected.norm()


def test_several_styles_share_by_weight(tiny, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair

    def style_of(styles: Sequence[Tensor], *weights: float) -> float:
        return objective(tiny, content, styles, style_weights=weights)(content)[1].terms["style"]

    assert style_of([style, content], 1.0, 0.0) == pytest.approx(style_of([style], 1.0), rel=1e-5)
    assert style_of([style, content], 0.0, 1.0) == pytest.approx(0, abs=1e-6)


def test_article_weighs_content_alike_at_every_scale(tiny, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    output = content.flip(-1)
    full, quarter = (
        objective(tiny, content, [style], normalization="gatys", area=area)(output)[1] for area in (1.0, 0.25)
    )
    assert quarter.total - quarter.terms["style"] == pytest.approx(4 * (full.total - full.terms["style"]), rel=1e-3)


def test_bf16_is_the_extractors_alone(tiny, pair: tuple[Tensor, Tensor]) -> None:
    """Gram matrices are made in float32, the painting's too."""
    content, style = pair
    compact = Compact.from_file(shipped("compact"))
    for extractor in (tiny, compact):
        own = objective(extractor, style, [style], bf16=True)(style)[1].terms["style"]
        assert own == 0.0
        exact = objective(extractor, content, [style])(content)[1]
        rounded = objective(extractor, content, [style], bf16=True)(content)[1]
        assert rounded.terms["style"] == pytest.approx(exact.terms["style"], rel=0.02)


@dataclass(frozen=True)
class Mean:
    """A new loss: the distance of the mean of each channel from a number."""

    layer: str
    target: float
    weight: float = 1.0
    name: str = "mean"

    def look(self, maps: Tensor, tile: Tile) -> Tensor:
        height, width = tile.size
        rows, columns = (part.stop - part.start for part in (tile.rows, tile.columns))
        return maps[..., :rows, :columns].sum((0, 2, 3)) / (height * width)

    def loss(self, statistic: Tensor) -> Tensor:
        return (statistic - self.target).square().sum()


class TestNewTerms:
    """One class is all that a loss takes: the picture at once or in tiles, alone or beside others."""

    IMAGE = torch.rand(1, 3, 45, 62, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def views(self, extractor: Extractor) -> list[View]:
        tiling = Tiling((24, 16, 8, 8, 4))
        return [Whole(extractor), Tiled(extractor, tiling, self.IMAGE.device)]

    def gram(self, extractor: Extractor) -> Gram:
        (maps,) = extractor.maps(self.IMAGE.flip(-1).square(), ["relu3_1"]).values()
        return Gram("relu3_1", 0.7, gram_matrix(maps), metric=extractor.metric("relu3_1"))

    @pytest.mark.parametrize(
        "terms",
        [
            [Mean("relu2_1", 0.3)],
            [Mean("relu5_1", 0.1), Mean("relu1_1", 0.4, weight=3.0), Mean(PIXELS, 0.5, weight=0.5)],
            [Mean(PIXELS, 0.2)],
            [TotalVariation(weight=2.0), Mean("relu4_2", 0.3)],
        ],
        ids=["a layer", "several layers", "pixels", "beside another"],
    )
    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "with a gram"])
    def test_whole_and_tiled_agree(self, exact: Compact, terms: list[Term], beside: bool) -> None:
        terms = [*terms, self.gram(exact)] if beside else terms
        factors = {"mean": 2.0, "style": 1.5, "total variation": 0.3}
        found = [Objective(terms, factors, view)(self.IMAGE) for view in self.views(exact)]
        (gradient, losses), (tiled_gradient, tiled_losses) = found
        assert (tiled_gradient - gradient).norm() < 1e-12 * gradient.norm()
        assert list(losses.terms) == list(dict.fromkeys(term.name for term in terms))
        assert tiled_losses.terms == pytest.approx(losses.terms, rel=1e-12)
        assert tiled_losses.total == pytest.approx(losses.total, rel=1e-12)

    def test_known_values(self, exact: Compact) -> None:
        terms = [Mean("relu2_1", 0.3, weight=2.0), Mean(PIXELS, 0.25, weight=0.5), self.gram(exact)]
        image = self.IMAGE.clone().requires_grad_()
        maps = exact.maps(image, ["relu2_1", "relu3_1"])
        means = [2.0 * (maps["relu2_1"].mean((0, 2, 3)) - 0.3).square().sum()]
        means.append(0.5 * (image.mean((0, 2, 3)) - 0.25).square().sum())
        gram = terms[2]
        assert isinstance(gram, Gram)
        style = 0.7 * style_loss(gram_matrix(maps["relu3_1"]), gram.target, metric=gram.metric)
        total = 10 * (means[0] + means[1]) + 0.1 * style
        (wanted,) = torch.autograd.grad(total, image)
        for view in self.views(exact):
            gradient, losses = Objective(terms, {"mean": 10.0, "style": 0.1}, view)(self.IMAGE)
            assert (gradient - wanted).norm() < 1e-12 * wanted.norm()
            assert losses.terms["mean"] == pytest.approx((means[0] + means[1]).item(), rel=1e-12)
            assert losses.terms["style"] == pytest.approx(style.item(), rel=1e-12)
            assert losses.total == pytest.approx(total.item(), rel=1e-12)

    def test_float32_stays_float32(self, compact: Compact) -> None:
        image = self.IMAGE.float()
        for view in self.views(compact):
            gradient, losses = Objective([Mean("relu2_1", 0.3), TotalVariation()], FACTORS, view)(image)
            assert gradient.dtype == torch.float32
            assert gradient.shape == image.shape
            assert isinstance(losses, Losses)

    def test_the_picture_is_left_alone(self, compact: Compact) -> None:
        image = self.IMAGE.float()
        before = image.clone()
        for view in self.views(compact):
            Objective([Mean("relu2_1", 0.3), TotalVariation()], FACTORS, view)(image)
            assert torch.equal(image, before)
            assert not image.requires_grad


FACTORS = {"mean": 1.0, "total variation": 1.0}


def with_alpha(picture: Tensor, visible: slice, hidden: Tensor) -> Tensor:
    """The picture with an alpha channel that shows some columns; under the others lies something else."""
    alpha = torch.zeros_like(picture[:, :1])
    alpha[..., visible] = 1
    return torch.cat([torch.where(alpha > 0, picture, hidden), alpha], dim=1)


class TestTransparency:
    def test_opaque_is_as_without(self, tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
        content, style = pair
        output = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
        opaque = [torch.cat([picture, torch.ones_like(picture[:, :1])], 1) for picture in pair]
        gradient, losses = objective(tiny, content, [style])(output)
        found, same = objective(tiny, opaque[0], [opaque[1]])(output)
        assert same.terms == pytest.approx(losses.terms, rel=1e-5)
        torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max().item())

    def test_what_nobody_sees_pulls_at_nothing(self, tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
        """No gradient where the photograph is transparent, beyond what the extractor sees across its edge."""
        content, style = pair
        cut_out = with_alpha(content, slice(0, 16), torch.rand(content.shape))
        output = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
        layers = {"content_layers": {"relu1_1": 1.0}, "style_layers": {"relu1_1": 0.5, "relu2_1": 0.5}}
        gradient, _ = objective(tiny, cut_out, [style], **layers)(output)
        assert gradient[..., :16].abs().min() > 0
        assert gradient[..., 24:].abs().max() == 0

    def test_a_painting_with_transparent_margins_is_the_painting(
        self, tiny: Extractor, pair: tuple[Tensor, Tensor]
    ) -> None:
        content, style = pair
        margin = style.mean((2, 3), keepdim=True).expand_as(style)
        framed = torch.cat([style, margin], 3)
        shown = with_alpha(framed, slice(0, style.shape[3]), framed)
        plain, weighed, blind = (
            objective(tiny, content, [painting])(content)[1].terms["style"] for painting in (style, shown, framed)
        )
        assert abs(weighed - plain) < 0.2 * abs(blind - plain)


@pytest.mark.parametrize("contrast", [1.0, 0.1, 0.01, 0.0])
def test_in_fog_content_does_not_count_for_more(tiny: Extractor, pair: tuple[Tensor, Tensor], contrast: float) -> None:
    """Nor does a style: without a limit both terms, over energies of nearly nothing, would be without bounds."""
    content, style = (0.5 + contrast * (picture - 0.5) for picture in pair)
    output = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    terms = objective(tiny, content, [style])(output)[1].terms
    usual = typical(tiny, ["relu4_2", *STYLE_LAYERS])
    maps, target = (tiny(picture, ["relu4_2"])["relu4_2"] for picture in (output, content))
    energy = max(target.square().sum().item(), LEAST_CONTENT * usual["relu4_2"].maps * target[0, 0].numel())
    assert terms["content"] == pytest.approx((maps - target).square().sum().item() / energy, rel=1e-5)
    wanted = 0.0
    for layer in STYLE_LAYERS:
        seen, goal = (gram_matrix(tiny(picture, [layer])[layer]) for picture in (output, style))
        energy = max(goal.square().sum().item(), LEAST_STYLE * usual[layer].gram)
        wanted += 0.2 * (seen - goal).square().sum().item() / energy
    assert terms["style"] == pytest.approx(wanted, rel=1e-5)
