"""Tile by tile, the losses and the gradient are those of the whole picture."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.features.compact import Compact
from impasto.features.extractor import Extractor
from impasto.features.typical import typical
from impasto.features.vgg19 import VGG19
from impasto.layers import STYLE_LAYERS
from impasto.losses import (
    blend_grams,
    content_loss,
    gram_matrix,
    style_loss,
    target_energy,
    total_loss,
    total_variation,
)
from impasto.refine import tiled as module
from impasto.refine.budget import Tiling
from impasto.refine.objective import LEAST_CONTENT, LEAST_STYLE, Objective
from impasto.refine.tiled import KEPT_FROM, Tiled
from impasto.settings import Settings

from .conftest import objective, shared_out


def wide_vgg(pooling: str) -> VGG19:
    """VGG-19 with random weights: all its channels."""
    vgg = VGG19(pooling)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in vgg.named_parameters():
        if name.endswith("weight"):
            parameter.normal_(0, (2 / (9 * parameter.shape[1])) ** 0.5, generator=generator)
        else:
            parameter.normal_(0, 0.05, generator=generator)
    vgg.mean.fill_(0.45)
    return vgg


def picture(height: int, width: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Noise, coarse and fine."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.rand(1, 3, height, width, generator=generator)
    coarse = torch.rand(1, 3, -(-height // 8), -(-width // 8), generator=generator)
    blocks = coarse.repeat_interleave(8, -1).repeat_interleave(8, -2)[..., :height, :width]
    return (0.5 * fine + 0.5 * blocks).to(dtype)


def tiled(
    extractor: Extractor,
    content: Tensor,
    styles: Sequence[Tensor],
    sides: tuple[int, ...],
    *,
    spare: int = 0,
    bf16: bool = False,
    area: float = 1.0,
    kept_from: int = KEPT_FROM,
    **settings: object,
) -> Objective:
    chosen = Settings.check(settings)
    view = Tiled(extractor, Tiling(sides, spare), content.device, bf16=bf16, kept_from=kept_from)
    return Objective.of(chosen, content, shared_out(chosen, styles), view, area=area)


def by_definition(
    extractor: Extractor, output: Tensor, content: Tensor, styles: Sequence[Tensor], **settings: object
) -> tuple[Tensor, float, float, float]:
    """Gradient and losses by the functions of the metric, on the features themselves."""
    chosen = Settings.check(settings)
    shares = chosen.shares(len(styles))
    output = output.clone().requires_grad_()
    layers = [*chosen.layers_of_content, *chosen.layers_of_style]
    maps, target = extractor(output, layers), extractor(content, layers)
    seen = [extractor(style, layers) for style in styles]
    content_term = torch.stack(
        [
            weight
            * content_loss(
                maps[layer],
                target[layer],
                chosen.normalization,
                energy=target[layer]
                .square()
                .sum()
                .clamp_min(LEAST_CONTENT * typical(extractor, [layer])[layer].maps * target[layer][0, 0].numel()),
            )
            for layer, weight in chosen.layers_of_content.items()
        ]
    ).sum()
    style_term = torch.stack(
        [
            weight
            * style_loss(
                gram_matrix(maps[layer]),
                blend_grams([gram_matrix(found[layer]) for found in seen], list(shares)),
                chosen.normalization,
                channels=extractor.channels(layer),
                energy=target_energy(
                    blend_grams([gram_matrix(found[layer]) for found in seen], list(shares))
                ).clamp_min(LEAST_STYLE * typical(extractor, [layer])[layer].gram),
            )
            for layer, weight in chosen.layers_of_style.items()
        ]
    ).sum()
    total = total_loss(content_term, style_term, chosen.content_weight, chosen.normalization)
    total = total + chosen.tv_weight * total_variation(output)
    (gradient,) = torch.autograd.grad(total, output)
    return gradient, content_term.item(), style_term.item(), total.item()


class TestAgainstTheDefinition:
    @settings(deadline=None, max_examples=15)
    @given(
        height=st.integers(16, 75),
        width=st.integers(16, 75),
        halves=st.lists(st.integers(2, 20), min_size=5, max_size=5),
        normalization=st.sampled_from(["relative", "gatys"]),
        content_layers=st.sampled_from([{"relu4_2": 1.0}, {"relu1_1": 0.3, "relu4_2": 2.0}, {"relu5_1": 1.0}]),
        style_layers=st.sampled_from(
            [dict.fromkeys(STYLE_LAYERS, 0.2), {"relu2_1": 1.0}, {"relu1_1": 0.7, "relu5_1": 0.1}]
        ),
        tv_weight=st.sampled_from([0.0, 3.0]),
    )
    def test_float64(
        self,
        exact: Compact,
        height: int,
        width: int,
        halves: list[int],
        normalization: str,
        content_layers: dict[str, float],
        style_layers: dict[str, float],
        tv_weight: float,
    ) -> None:
        """Whatever the sizes, the tiles, the layers and the weights."""
        chosen = {
            "normalization": normalization,
            "content_layers": content_layers,
            "style_layers": style_layers,
            "tv_weight": tv_weight,
            "style_weights": (0.6, 0.4),
        }
        output, content = (picture(height, width, seed, torch.float64) for seed in (0, 1))
        styles = [picture(41, 58, 2, torch.float64), picture(33, 16, 3, torch.float64)]
        gradient, content_term, style_term, total = by_definition(exact, output, content, styles, **chosen)
        found, losses = tiled(exact, content, styles, tuple(2 * half for half in halves), **chosen)(output)
        assert (found - gradient).norm() < 1e-10 * gradient.norm()
        assert losses.terms["content"] == pytest.approx(content_term, rel=1e-10)
        assert losses.terms["style"] == pytest.approx(style_term, rel=1e-10)
        assert losses.total == pytest.approx(total, rel=1e-10)

    @pytest.mark.parametrize("pooling", ["max", "avg"])
    def test_vgg19(self, pooling: str) -> None:
        vgg = wide_vgg(pooling).double()
        output, content, style = (picture(51, 38, seed, torch.float64) for seed in range(3))
        gradient, *_, total = by_definition(vgg, output, content, [style])
        found, losses = tiled(vgg, content, [style], (32, 16, 8, 4, 2))(output)
        assert (found - gradient).norm() < 1e-10 * gradient.norm()
        assert losses.total == pytest.approx(total, rel=1e-10)


class TestAgainstTheWhole:
    """The untiled objective, in float32."""

    @pytest.mark.parametrize("normalization", ["relative", "gatys"])
    def test_compact(self, compact: Compact, normalization: str) -> None:
        output, content, style = picture(81, 70, 0), picture(81, 70, 1), picture(48, 64, 2)
        chosen = {"normalization": normalization, "tv_weight": 0.5}
        gradient, losses = objective(compact, content, [style], area=0.25, **chosen)(output)
        found, in_tiles = tiled(compact, content, [style], (24,) * 5, area=0.25, **chosen)(output)
        assert (found - gradient).norm() < 1e-5 * gradient.norm()
        assert in_tiles.total == pytest.approx(losses.total, rel=1e-5)

    def test_bf16(self, compact: Compact) -> None:
        """Rounded at other places, so only nearly the same."""
        output, content, style = picture(64, 48, 0), picture(64, 48, 1), picture(48, 64, 2)
        gradient, losses = objective(compact, content, [style], bf16=True)(output)
        found, in_tiles = tiled(compact, content, [style], (24,) * 5, bf16=True)(output)
        assert found.dtype == torch.float32
        assert (found - gradient).norm() < 0.05 * gradient.norm()
        assert in_tiles.total == pytest.approx(losses.total, rel=0.01)


def test_same_bits_on_every_run(compact: Compact) -> None:
    output, content, style = picture(81, 70, 0), picture(81, 70, 1), picture(48, 64, 2)
    runs = [tiled(compact, content, [style], (24, 16, 8, 8, 4))(output) for _ in range(2)]
    assert torch.equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]


@pytest.mark.parametrize("bf16", [False, True])
def test_kept_maps_are_those_that_would_be_found_anew(compact: Compact, bf16: bool) -> None:
    output, content, style = picture(81, 70, 0), picture(81, 70, 1), picture(48, 64, 2)
    gradients = [
        tiled(compact, content, [style], (24, 16, 8, 8, 4), bf16=bf16, kept_from=kept_from)(output)[0]
        for kept_from in (0, 3, 5)
    ]
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


@pytest.mark.parametrize(("spare", "often"), [(100, False), (99, True)])
def test_memory_is_given_back_only_where_it_might_get_short(
    compact: Compact, spare: int, often: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of the 25 tiles on each of the two passes, or never."""
    memory, calls = iter([1000]), []
    monkeypatch.setattr(module, "resident_memory", lambda: next(memory, 1100))
    monkeypatch.setattr(module, "give_memory_back", lambda: calls.append(None))
    output, content, style = picture(80, 80, 0), picture(80, 80, 1), picture(48, 64, 2)
    objective = tiled(compact, content, [style], (16, 40, 20, 10, 6), spare=spare)
    calls.clear()
    objective(output)
    assert len(calls) == (2 * (25 + 1 + 1 + 1 + 1) if often else 0)


def test_borders_are_the_pictures_own(compact: Compact) -> None:
    """Zeros around a tile in place of its neighbors would show."""
    output, content, style = picture(64, 64, 0), picture(64, 64, 1), picture(48, 64, 2)
    gradient, _ = tiled(compact, content, [style], (512,) * 5)(output)
    seamed = torch.zeros_like(gradient)
    for half in (slice(0, 32), slice(32, 64)):
        part, _ = tiled(compact, content[..., half], [style], (512,) * 5)(output[..., half])
        seamed[..., half] = part
    in_tiles, _ = tiled(compact, content, [style], (32, 16, 8, 4, 2))(output)
    error = [(found - gradient)[..., 28:36].norm() / gradient[..., 28:36].norm() for found in (seamed, in_tiles)]
    assert error[0] > 0.1
    assert error[1] < 1e-5
