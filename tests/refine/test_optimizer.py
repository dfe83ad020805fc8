from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.refine.optimizer import (
    FIRST_RATE,
    LAST_RATE,
    AdamMemory,
    LbfgsMemory,
    Pair,
    State,
    adam,
    lbfgs,
    rate,
)
from impasto.refine.space import FARTHEST, HISTORY

from .conftest import tensors_of

ALGORITHMS = pytest.mark.parametrize("algorithm", [adam, lbfgs])


def pairs_of(state: State) -> tuple[Pair, ...]:
    assert isinstance(state.memory, LbfgsMemory)
    return state.memory.pairs


def target() -> Tensor:
    """Noise in one hue: the finest color is not painted."""
    gray = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return 0.2 + 0.5 * gray + torch.tensor([0.0, 0.1, 0.05]).view(1, 3, 1, 1)


def descend(algorithm, scale: float, steps: int, goal: Tensor) -> Tensor:
    """Steps on scale · Σ c (x − goal)², badly conditioned: c runs over three orders of magnitude."""
    curvature = torch.logspace(-3, 0, 64).view(8, 8)
    state = State(torch.full_like(goal, 0.5))
    for step in range(steps):
        state = algorithm(state, 2 * scale * curvature * (state.image - goal), rate(step, steps))
    return state.image


@ALGORITHMS
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_converges_whatever_the_scale_of_the_loss(algorithm, scale: float) -> None:
    goal = target()
    start = (0.5 - goal).abs().mean()
    assert (descend(algorithm, scale, 100, goal) - goal).abs().mean() < 0.1 * start


@ALGORITHMS
def test_the_first_step_moves(algorithm) -> None:
    """Torch's own L-BFGS moves a million pixels by 1e-6 in its first step."""
    gradient = 1e-7 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    state = algorithm(State(torch.full((1, 3, 64, 64), 0.5)), gradient, 0.03)
    moved = (state.image - 0.5).abs().mean().item()
    assert 0.02 < moved < 0.04


@ALGORITHMS
def test_pixels_stay_in_range(algorithm) -> None:
    image = descend(algorithm, 1.0, 100, 3 * target() - 1)
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.min() == 0, "a target outside the range is met at its edge"


@ALGORITHMS
def test_no_gradient_no_move(algorithm) -> None:
    image = target()
    assert torch.equal(algorithm(State(image), torch.zeros_like(image), 0.03).image, image)


@ALGORITHMS
def test_a_step_leaves_its_input_alone(algorithm) -> None:
    goal = target()
    state = State(torch.full_like(goal, 0.5))
    for _ in range(3):
        state = algorithm(state, state.image - goal, 0.03)
    before = {name: tensor.clone() for name, tensor in tensors_of(state.memory).items()}
    image = state.image.clone()
    algorithm(state, state.image - goal, 0.03)
    assert torch.equal(state.image, image)
    after = tensors_of(state.memory)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


@ALGORITHMS
def test_what_is_remembered_has_a_type(algorithm) -> None:
    goal = target()
    state = algorithm(State(torch.full_like(goal, 0.5)), goal, 0.03)
    assert isinstance(state.memory, AdamMemory if algorithm is adam else LbfgsMemory)
    assert state.age == 1


def test_adam_is_adam() -> None:
    """The same picture as torch's own, as long as no pixel is clamped."""
    goal = target()
    theirs = torch.full_like(goal, 0.5).requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99), eps=0)
    state = State(torch.full_like(goal, 0.5))
    for _ in range(20):
        theirs.grad = 2 * (theirs.detach() - goal)
        optimizer.step()
        state = adam(state, 2 * (state.image - goal), 0.01)
    torch.testing.assert_close(state.image, theirs.detach(), rtol=0, atol=1e-5)


def test_lbfgs_remembers_no_more_than_its_history() -> None:
    goal = target()[:, :1].expand(1, 3, 8, 8)
    state = State(torch.full_like(goal, 0.5))
    for _ in range(3 * HISTORY):
        state = lbfgs(state, torch.linspace(1, 3, 8) * (state.image - goal), 0.01)
    assert len(pairs_of(state)) == HISTORY


@pytest.mark.parametrize(("slope", "kept"), [(0.3, 4), (0.9, 1)])
def test_lbfgs_forgets_what_misled_it(slope: float, kept: int) -> None:
    """A step that ends where the loss rises about as steeply as it fell before leaves only the pair of that step."""
    goal = target()
    state = State(torch.full_like(goal, 0.5))
    for _ in range(4):
        state = lbfgs(state, torch.linspace(1, 3, 8) * (state.image - goal), 0.01)
    assert isinstance(state.memory, LbfgsMemory)
    assert isinstance(state.memory.gradient, Tensor)
    back = lbfgs(state, -slope * state.memory.gradient, 0.01)
    assert len(pairs_of(back)) == kept


def test_lbfgs_moves_no_pixel_too_far() -> None:
    gradient = torch.zeros(1, 3, 8, 8)
    gradient[0, 0, 0, 0] = 1.0
    state = lbfgs(State(torch.full((1, 3, 8, 8), 0.5)), gradient, 0.03)
    assert (state.image - 0.5).abs().max().item() == pytest.approx(FARTHEST)


def test_rate_falls_from_the_first_to_the_last() -> None:
    rates = [rate(step, 10) for step in range(10)]
    assert rates[0] == pytest.approx(FIRST_RATE)
    assert rates[-1] == pytest.approx(LAST_RATE)
    assert rates == sorted(rates, reverse=True)
    assert rate(0, 1) == FIRST_RATE


class TestGrown:
    def test_adam_takes_its_moments_along(self) -> None:
        memory = AdamMemory(torch.full((1, 3, 4, 4), 4.0), torch.full((1, 3, 4, 4), 16.0))
        grown = State(torch.rand(1, 3, 4, 4), 7, memory).grown(torch.rand(1, 3, 8, 8))
        assert grown.age == 7
        assert isinstance(grown.memory, AdamMemory)
        # Four times as many pixels: each has a quarter of the gradient.
        assert torch.allclose(grown.memory.first, torch.tensor(1.0))
        assert torch.allclose(grown.memory.second, torch.tensor(1.0))
        assert grown.memory.first.shape == (1, 3, 8, 8)

    def test_lbfgs_takes_its_curvature_along(self) -> None:
        s, y = torch.full((1, 3, 4, 4), 0.1), torch.full((1, 3, 4, 4), 0.8)
        memory = LbfgsMemory((Pair(s, y, torch.tensor(1.0)),), s, y, torch.ones(3, 3, 10))
        grown = State(s, 7, memory).grown(torch.rand(1, 3, 8, 8))
        assert isinstance(grown.memory, LbfgsMemory)
        # The last picture, its gradient and the rings are of the old scale.
        assert (grown.memory.image, grown.memory.gradient, grown.memory.spectrum) == (None, None, None)
        (pair,) = grown.memory.pairs
        # Four times as many pixels, each with a quarter of the gradient: as curved as before.
        assert pair.curvature.item() == pytest.approx((s * y).sum().item())
        assert pair.curvature.dtype == torch.float32
        assert (pair.s * pair.y).sum().item() == pytest.approx((s * y).sum().item())

    def test_a_pair_of_negative_curvature_is_dropped(self) -> None:
        s = torch.full((1, 3, 4, 4), 0.1)
        memory = LbfgsMemory((Pair(s, -s, torch.tensor(1.0)),))
        assert State(s, 1, memory).grown(torch.rand(1, 3, 8, 8)).memory == LbfgsMemory()

    def test_before_the_first_step_there_is_nothing_to_take_along(self) -> None:
        assert State(torch.rand(1, 3, 4, 4)).grown(torch.rand(1, 3, 8, 8)).memory is None
