from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from impasto import measurement
from impasto.features.extractor import Extractor
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS
from impasto.training.evaluation import Accuracy, evaluate, judge_critic, validation_pairs


class Returns(nn.Module):
    """Paints by returning one of its inputs, or their mean."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        return torch.lerp(content, style, self.weight)


class Brightness(nn.Module):
    """A critic that takes bright pictures for real, and counts on evaluation mode."""

    def forward(self, image: Tensor) -> Tensor:
        assert not self.training
        return image[:, :1] - 0.5


def test_a_copy_of_the_photograph_and_of_the_painting(tiny: Extractor, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair[0], pair[1].transpose(2, 3)[..., :48, :64].contiguous()
    style = nn.functional.interpolate(style, size=(48, 64), mode="bilinear")
    photograph = evaluate(Returns(0), [(content, style)], tiny)
    assert (photograph.style_share, photograph.content_error) == (pytest.approx(1), 0)
    painting = evaluate(Returns(1), [(content, style)], tiny)
    assert painting.style_share == 0
    assert painting.content_error > 0.01
    assert painting.extractor == "tiny"


def test_figures_are_those_of_measure(
    tiny: Extractor, pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "load_extractor", lambda name: tiny)
    content = pair[0]
    style = nn.functional.interpolate(pair[1], size=(48, 64), mode="bilinear")
    network = Returns(0.4)
    scores = evaluate(network, [(content, style)], tiny)
    measured = measurement.measure(network(content, style), content, style)
    assert scores.style_share == pytest.approx(measured.style_share, rel=1e-4)
    assert scores.content_error == pytest.approx(measured.content_error, rel=1e-4)


def test_medians_over_the_pairs(tiny: Extractor) -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = [
        (torch.rand(1, 3, 32, 32, generator=generator) * scale, torch.rand(1, 3, 32, 32, generator=generator))
        for scale in (0.2, 0.6, 1.0)
    ]
    scores = evaluate(Returns(0.5), pairs, tiny)
    assert scores.style_share == sorted(scores.style_shares)[1]
    assert scores.content_error == sorted(scores.content_errors)[1]
    assert len(set(scores.content_errors)) == 3
    assert scores.critic is None


def test_the_critic_is_asked_about_paintings_and_outputs(tiny: Extractor) -> None:
    dark, bright = torch.full((1, 3, 32, 32), 0.1), torch.full((1, 3, 32, 32), 0.9)
    critic = Brightness().train()
    scores = evaluate(Returns(0), [(dark, bright), (bright, bright), (dark, dark)], tiny, critic)
    assert scores.critic == Accuracy(real=pytest.approx(2 / 3), painted=pytest.approx(2 / 3))
    assert critic.training, "left as it was"


def test_accuracy_is_the_mean_of_both_kinds() -> None:
    dark, bright = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 5, 5)
    found = judge_critic(Brightness(), [bright, bright], [dark, bright, bright, bright])
    assert (found.real, found.painted, found.total) == (1, 0.25, 0.625)


class TestPairs:
    def test_spread_over_both_lists(self) -> None:
        contents = [torch.full((3, 20, 40), index, dtype=torch.uint8) for index in range(10)]
        styles = [torch.full((3, 30, 15), 100 + index, dtype=torch.uint8) for index in range(3)]
        pairs = validation_pairs(contents, styles, 5, 80)
        assert [round(float(content.mean() * 255)) for content, _ in pairs] == [0, 2, 4, 6, 8]
        assert [round(float(style.mean() * 255)) - 100 for _, style in pairs] == [0, 1, 2, 0, 1]
        assert {content.shape for content, _ in pairs} == {(1, 3, 40, 80)}
        assert {style.shape for _, style in pairs} == {(1, 3, 80, 40)}

    def test_narrow_ones_stay_large_enough_for_the_extractor(self, tiny: Extractor) -> None:
        smallest = tiny.smallest_side([CONTENT_LAYER, *STYLE_LAYERS])
        narrow = [torch.zeros(3, 10, 400, dtype=torch.uint8)]
        ((content, style),) = validation_pairs(narrow, narrow, 1, 64, smallest)
        assert min(content.shape[2:]) == smallest
        assert min(style.shape[2:]) >= smallest
        tiny(content, STYLE_LAYERS)
