from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.color import luminance
from impasto.refine.pyramid import brushwork, carry_over, default_steps, enlarge, fit, fit_style, hybrid_plan, plan


def test_the_default_plan() -> None:
    assert [(scale.longest, scale.steps) for scale in plan(512)] == [(64, 90), (128, 60), (256, 46), (512, 28)]
    assert [scale.longest for scale in plan(1000)] == [62, 125, 250, 500, 1000]
    assert [scale.longest for scale in plan(90)] == [90]
    assert default_steps(16) == 90
    assert 46 < default_steps(181) < 60
    assert [default_steps(side) for side in (1024, 2048, 4096, 8192, 20000)] == [16, 10, 6, 4, 4]


@given(st.integers(1, 5000), st.integers(1, 1000))
def test_the_number_of_steps_tells_the_default_plan(size: int, smallest: int) -> None:
    """A recipe keeps the sum only."""
    scales = plan(size, None, smallest)
    assert plan(size, sum(scale.steps for scale in scales), smallest) == scales


@given(st.integers(1, 5000), st.integers(1, 2000), st.integers(1, 1000))
def test_any_plan(size: int, steps: int, smallest: int) -> None:
    scales = plan(size, steps, smallest)
    assert sum(scale.steps for scale in scales) == steps
    assert all(scale.steps >= 1 for scale in scales)
    assert scales[-1].longest == size
    assert all(scale.longest >= min(size, smallest) for scale in scales)
    for coarse, fine in pairwise(scales):
        assert abs(2 * coarse.longest - fine.longest) <= 1


def test_few_steps_are_shared_out_like_the_default_ones() -> None:
    assert [scale.steps for scale in plan(512, 21)] == [10, 5, 4, 2]
    assert [(scale.longest, scale.steps) for scale in plan(512, 2)] == [(256, 1), (512, 1)]


def test_most_of_many_steps_go_to_the_finest_scale() -> None:
    assert [scale.steps for scale in plan(512, 400)] == [135, 90, 69, 106]


def test_the_plan_of_a_picture_that_a_network_begins() -> None:
    assert [scale.longest for scale in hybrid_plan(1024, None)] == [128, 256, 512, 1024]
    assert [scale.steps for scale in hybrid_plan(512, None)] == [25, 18, 11]
    assert [scale.longest for scale in hybrid_plan(90, None)] == [90]
    assert [scale.longest for scale in hybrid_plan(512, None, smallest=200)] == [256, 512]
    assert sum(scale.steps for scale in hybrid_plan(512, 7)) == 7
    # Where the time goes, by pixels, at most 40 % of the default refinement's.
    for size in (256, 512, 768, 1024, 2048):
        plans = hybrid_plan(size, None), plan(size)
        cost, default = (sum(scale.steps * scale.longest**2 for scale in planned) for planned in plans)
        assert cost <= 0.4 * default


@given(st.integers(1, 5000), st.integers(1, 1000))
def test_the_number_of_steps_tells_the_plan_of_a_hybrid(size: int, smallest: int) -> None:
    scales = hybrid_plan(size, None, smallest)
    assert hybrid_plan(size, sum(scale.steps for scale in scales), smallest) == scales


def test_fit() -> None:
    assert fit(torch.rand(1, 3, 30, 60), 20).shape == (1, 3, 10, 20)
    assert fit_style(torch.rand(1, 3, 30, 60), 20, smallest=5).shape == (1, 3, 10, 20)
    # A narrow painting stays wide enough for the extractor.
    assert min(fit_style(torch.rand(1, 3, 4, 100), 50, smallest=16).shape[-2:]) >= 16


class TestEnlarge:
    def test_a_gray_photograph_becomes_the_larger_photograph(self, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
        content = luminance(pair[0]).expand_as(pair[0])
        coarse = fit(content, 32)
        torch.testing.assert_close(enlarge(coarse, coarse, content, detail=1.0), content, rtol=0, atol=1e-6)

    def test_colors_are_the_paints(self, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Only light and dark come from the photograph."""
        content, coarse = pair[0], torch.full((1, 3, 24, 32), 0.5)
        drawn = enlarge(coarse, fit(content, 32), content, detail=0.2)
        assert (drawn - 0.5).abs().max() > 0.01
        torch.testing.assert_close(drawn, drawn[:, :1].expand_as(drawn), rtol=0, atol=1e-6)

    def test_nothing_stands_out_by_more_than_the_limit(self, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
        content, coarse = pair[0], torch.full((1, 3, 24, 32), 0.5)
        plain, limited, nothing = (
            (enlarge(coarse, fit(content, 32), content, 1.0, limit) - 0.5).abs().max() for limit in (math.inf, 0.02, 0)
        )
        assert plain > 0.05
        assert 0.019 < limited < 0.02001
        assert nothing < 1e-6

    def test_without_detail_it_is_only_resized(self, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
        content, _ = pair
        coarse = fit(content, 32)
        assert torch.equal(enlarge(coarse, coarse, content, detail=0.0), fit(coarse, 64))

    def test_leaves_its_inputs_alone(self, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
        content, _ = pair
        coarse = fit(content, 32)
        for image in (coarse, content):
            before = [tensor.clone() for tensor in (image, coarse, content)]
            enlarge(image, coarse, content, detail=0.5)
            enlarge(image, content, content, detail=0.5)
            assert all(torch.equal(*both) for both in zip(before, (image, coarse, content), strict=True))

    def test_stays_in_range(self) -> None:
        generator = torch.Generator().manual_seed(0)
        content = torch.rand(1, 3, 32, 32, generator=generator).round()
        larger = enlarge(torch.ones(1, 3, 16, 16), fit(content, 16), content, detail=1.0)
        assert larger.min() >= 0
        assert larger.max() <= 1


def test_brushwork_is_what_is_new_at_a_scale() -> None:
    """Of a checkerboard of single pixels all, of a plain ground nothing; alpha plays no part."""
    checkerboard = ((torch.arange(32)[:, None] + torch.arange(32)) % 2 * 0.4 + 0.3).expand(1, 3, 32, 32)
    assert brushwork(checkerboard, 32) == pytest.approx(0.2, rel=0.02)
    assert brushwork(torch.full((1, 3, 32, 32), 0.7), 32) == pytest.approx(0, abs=1e-6)
    assert brushwork(torch.cat([checkerboard, torch.rand(1, 1, 32, 32)], 1), 32) == brushwork(checkerboard, 32)


def test_carry_over_keeps_a_constant() -> None:
    torch.testing.assert_close(carry_over(torch.full((1, 3, 5, 7), 0.3), (9, 14)), torch.full((1, 3, 9, 14), 0.3))
    assert pytest.approx(1) == float(carry_over(torch.eye(3).expand(1, 3, 3, 3), (6, 6)).max())
