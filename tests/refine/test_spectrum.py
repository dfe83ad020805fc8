from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.color import chroma_noise
from impasto.refine.optimizer import State, lbfgs
from impasto.refine.space import IN_MEMORY, Space
from impasto.refine.spectrum import LIMITS, MEMORY, RINGS, accumulate, precondition, unknown

LIMIT = LIMITS["relative"]


def noise(height: int = 16, width: int = 24, seed: int = 0) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def gray(image: Tensor) -> Tensor:
    """The brightness axis alone."""
    return image.mean(dim=1, keepdim=True).expand_as(image)


def dot(a: Tensor, b: Tensor) -> float:
    return (a * b).sum().item()


@given(st.integers(1, 33), st.integers(1, 33))
def test_nothing_is_lost_between_the_rings(height: int, width: int) -> None:
    """Parseval: the rings' sums add up to the sum over the pixels, whatever the size."""
    s, y = noise(height, width), noise(height, width, 1)
    ss, yy, newest = accumulate(None, s, y)
    assert torch.equal(newest, yy)
    assert ss.shape == (3, RINGS)
    assert ss.sum().item() == pytest.approx(dot(s, s), rel=1e-4)
    assert yy.sum().item() == pytest.approx(dot(y, y), rel=1e-4)


def test_what_was_known_fades() -> None:
    s, y = noise(), noise(seed=1)
    once = accumulate(None, s, y)
    twice = accumulate(once, s, y)
    torch.testing.assert_close(twice[:2], (1 + MEMORY) * once[:2])
    assert torch.equal(twice[2], once[2])


def test_brightness_and_color_are_kept_apart() -> None:
    gray = noise()[:, :1].expand(1, 3, 16, 24)
    energies = accumulate(None, gray, gray)[0].sum(1)
    assert energies[0].item() == pytest.approx(dot(gray, gray), rel=1e-4)
    assert energies[1:].max() < 1e-6 * energies[0]


def test_coarse_and_fine_patterns_are_kept_apart() -> None:
    wave = torch.cos(2 * math.pi * torch.arange(32) / 32).expand(1, 3, 32, 32)
    checkerboard = ((torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1).expand(1, 3, 32, 32)
    coarse, fine = accumulate(None, wave, checkerboard)[:2, 0]
    assert coarse[0].item() == pytest.approx(coarse.sum().item(), rel=1e-5)
    assert fine[-1].item() == pytest.approx(fine.sum().item(), rel=1e-5)


def test_equal_curvature_everywhere_is_a_plain_factor() -> None:
    s, gradient = gray(noise()), gray(noise(seed=1))
    found = precondition(gradient, accumulate(None, s, 5 * s), dot(s, 5 * s), LIMIT)
    torch.testing.assert_close(found, gradient / 5, rtol=1e-4, atol=1e-5)


def test_the_finest_color_is_left_out() -> None:
    """Neither where curvatures are known nor where nothing is; of brightness nothing is lost."""
    s = noise()
    plain = precondition(s, unknown(2 * dot(s, s), s.device), dot(s, s), LIMIT)
    torch.testing.assert_close(gray(plain), gray(s) / 2, rtol=1e-3, atol=1e-4)
    for found in (plain, precondition(s, accumulate(None, s, s), dot(s, s), LIMIT)):
        assert chroma_noise(0.5 + 0.01 * found) < 0.05 * chroma_noise(0.5 + 0.01 * s)
        ratio = dot(gray(found), gray(s)) / dot(gray(s), gray(s))
        torch.testing.assert_close(gray(found), ratio * gray(s), rtol=1e-3, atol=1e-3)


def test_the_scale_is_the_one_that_lbfgs_expects() -> None:
    """y·H y = s·y."""
    s, y = noise(), noise(seed=1) + noise()
    found = precondition(y, accumulate(None, s, y), dot(s, y), LIMIT)
    # Between two rings the filter is interpolated, the energies are shared out: nearly the same.
    assert dot(y, found) == pytest.approx(dot(s, y), rel=0.02)


@pytest.mark.parametrize(("limit", "ratio"), [(4.0, 4.0), (LIMITS["gatys"], 1e3)])
def test_a_ring_that_seems_flat_is_not_trusted_too_far(limit: float, ratio: float) -> None:
    """Fine patterns a thousand times less curved than coarse ones: steps along them grow, but only so far."""
    wave = torch.cos(2 * math.pi * torch.arange(32) / 32).expand(1, 3, 32, 32)
    checkerboard = ((torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1).expand(1, 3, 32, 32)
    s, y = wave + checkerboard, wave + 1e-3 * checkerboard
    known = accumulate(None, s, y)
    coarse = dot(wave, precondition(wave, known, dot(s, y), limit)) / dot(wave, wave)
    fine = dot(checkerboard, precondition(checkerboard, known, dot(s, y), limit)) / dot(checkerboard, checkerboard)
    assert fine == pytest.approx(ratio * coarse, rel=5e-3)


def test_rings_that_no_step_touched_do_no_harm() -> None:
    wave = torch.cos(2 * math.pi * torch.arange(32) / 32).expand(1, 3, 32, 32)
    found = precondition(noise(32, 32), accumulate(None, wave, 3 * wave), dot(wave, 3 * wave), LIMIT)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(gray(found), gray(noise(32, 32)) / 3, rtol=1e-3, atol=1e-4)


def test_it_pays_where_fine_patterns_are_more_curved_than_coarse_ones() -> None:
    """A loss whose curvature grows with the frequency, as that of a painting does: nearer in as many steps."""
    goal = 0.3 + 0.4 * torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(2)).expand(1, 3, 32, 32)
    down, across = torch.fft.fftfreq(32)[:, None], torch.fft.rfftfreq(32)
    curvature = 1 + 3000 * (down.square() + across.square())

    def gradient(image: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(image - goal) * curvature, s=(32, 32))

    class Plain(Space):
        """One factor for all frequencies."""

        def precondition(self, tensor: Tensor, known: Tensor, curvature: float, limit: float) -> Tensor:
            return tensor * (curvature / known[2].sum())

    def error(space: Space) -> float:
        state = State(torch.full_like(goal, 0.5))
        for _ in range(6):
            state = lbfgs(state, gradient(state.image), 0.03, space)
        return dot(state.image - goal, gradient(state.image))

    assert error(IN_MEMORY) < 0.3 * error(Plain())
