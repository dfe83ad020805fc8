"""The optimizer's vectors on the disk: as in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.refine import shelf
from impasto.refine.optimizer import LbfgsMemory, State, adam, lbfgs, rate
from impasto.refine.shelf import StoredVector
from impasto.refine.space import FARTHEST, IN_MEMORY, ON_DISK
from impasto.refine.spectrum import accumulate, precondition

from .conftest import tensor_of, tensors_of


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pieces, and a last one that is not full."""
    monkeypatch.setattr(shelf, "PIECE", 500)


def noise(seed: int, height: int = 26, width: int = 37) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_operations_agree() -> None:
    a, b = noise(0), noise(1)
    kept = ON_DISK.keep(b)
    assert isinstance(kept, StoredVector)
    assert torch.equal(tensor_of(ON_DISK.minus(a, kept)), a - b)
    assert ON_DISK.dot(a, kept) == pytest.approx(IN_MEMORY.dot(a, b), rel=1e-5)
    assert ON_DISK.dot(kept, kept) == pytest.approx(IN_MEMORY.dot(b, b), rel=1e-5)
    assert ON_DISK.size(a) == pytest.approx(IN_MEMORY.size(a), rel=1e-5)
    one, other = a.clone(), a.clone()
    ON_DISK.add(one, kept, 0.3)
    IN_MEMORY.add(other, b, 0.3)
    assert torch.equal(one, other)
    image = (0.5 + a).clamp(0, 1)
    assert torch.equal(ON_DISK.free(image, b.clone()), IN_MEMORY.free(image, b))
    assert torch.equal(ON_DISK.moved(image, b.clone()), IN_MEMORY.moved(image, b.clone()))
    assert (ON_DISK.moved(image, b.clone()) - image).abs().max() <= FARTHEST + 1e-6


@pytest.mark.parametrize("size", [(52, 74), (51, 75), (26, 37), (53, 73)])
def test_enlarging_agrees(size: tuple[int, int]) -> None:
    a = noise(0)
    expected = IN_MEMORY.enlarged(a, size, 4.0)
    for vector in (a, a.contiguous(memory_format=torch.channels_last), ON_DISK.keep(a)):
        torch.testing.assert_close(tensor_of(ON_DISK.enlarged(vector, size, 4.0)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("size", [(26, 37), (33, 16), (5, 64)])
def test_filters_agree(size: tuple[int, int], scale: float) -> None:
    """Whatever the scale of the loss: so large or small the curvature is."""
    s, y, gradient = noise(0, *size), scale * (noise(0, *size) + 0.5 * noise(1, *size)), scale * noise(2, *size)
    before = accumulate(None, 0.1 * noise(3, *size), scale * noise(3, *size))
    expected = accumulate(before, s, y)
    known = ON_DISK.accumulate(before, ON_DISK.keep(s), ON_DISK.keep(y))
    torch.testing.assert_close(known, expected, rtol=1e-4, atol=0)
    curvature = IN_MEMORY.dot(s, y)
    filtered = ON_DISK.precondition(gradient.clone(), expected, curvature, 4.0)
    wanted = precondition(gradient, expected, curvature, 4.0)
    assert (filtered - wanted).norm() < 1e-5 * wanted.norm()


@pytest.mark.parametrize("algorithm", [adam, lbfgs])
def test_the_same_descent(algorithm: Callable[..., State]) -> None:
    goal = 1.2 * noise(0).sigmoid() - 0.1
    curvature = torch.logspace(-2, 0, goal.numel()).view(goal.shape)
    states = [State(torch.full_like(goal, 0.5)) for _ in range(2)]
    for step in range(4):
        states = [
            algorithm(state, curvature * (state.image - goal), rate(step, 4), where)
            for state, where in zip(states, (IN_MEMORY, ON_DISK), strict=True)
        ]
    in_memory, on_disk = states
    torch.testing.assert_close(on_disk.image, in_memory.image, rtol=0, atol=1e-4)
    assert tensors_of(on_disk.memory).keys() == tensors_of(in_memory.memory).keys()
    larger = noise(4, 52, 74).sigmoid()
    grown = [state.grown(larger, where) for state, where in zip(states, (IN_MEMORY, ON_DISK), strict=True)]
    wanted = tensors_of(grown[0].memory)
    assert tensors_of(grown[1].memory).keys() == wanted.keys()
    # From memory to the disk, as where the first scale that is too large begins.
    moved = tensors_of(in_memory.grown(larger, ON_DISK).memory)
    assert moved.keys() == wanted.keys()
    for name, found in moved.items():
        torch.testing.assert_close(found, wanted[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("algorithm", [adam, lbfgs])
def test_a_step_leaves_the_state_alone(algorithm: Callable[..., State]) -> None:
    """Else a run that is stopped in the middle of a step could not be taken up in the same bytes."""
    goal = noise(0).sigmoid()
    state = State(torch.full_like(goal, 0.5))
    for _ in range(3):
        state = algorithm(state, state.image - goal, 0.03, ON_DISK)
    before = {name: vector.clone() for name, vector in tensors_of(state.memory).items()}
    image = state.image.clone()
    algorithm(state, state.image - goal, 0.03, ON_DISK)
    assert torch.equal(state.image, image)
    assert all(torch.equal(vector, before[name]) for name, vector in tensors_of(state.memory).items())


def test_fewer_pairs_are_kept() -> None:
    goal = noise(0).sigmoid()
    curvature = torch.logspace(-2, 0, goal.numel()).view(goal.shape)
    state = State(torch.full_like(goal, 0.5))
    for _ in range(IN_MEMORY.history):
        state = lbfgs(state, curvature * (state.image - goal), 0.01)
    grown = state.grown(torch.zeros(1, 3, 52, 74), ON_DISK)
    assert isinstance(state.memory, LbfgsMemory)
    assert isinstance(grown.memory, LbfgsMemory)
    assert len(state.memory.pairs) > ON_DISK.history == len(grown.memory.pairs)
    for pair, old in zip(grown.memory.pairs, state.memory.pairs[-ON_DISK.history :], strict=True):
        wanted = IN_MEMORY.enlarged(old.s, (52, 74), 1)
        torch.testing.assert_close(tensor_of(pair.s), tensor_of(wanted), rtol=0, atol=1e-5)
