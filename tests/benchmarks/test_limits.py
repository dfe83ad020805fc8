from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

import limits


@pytest.fixture
def clock() -> Callable[[], float]:
    """Each look at it is later by one second more than the last."""
    ticks = itertools.accumulate(itertools.count())
    return lambda: float(next(ticks))


class TestFastest:
    def test_the_first_warms_up(self, clock: Callable[[], float]) -> None:
        runs: list[int] = []
        assert limits.fastest(lambda: runs.append(1), repeats=2, longest=100, clock=clock) == 3
        assert len(runs) == 3

    def test_a_slow_one_runs_once(self, clock: Callable[[], float]) -> None:
        runs: list[int] = []
        assert limits.fastest(lambda: runs.append(1), repeats=4, longest=0.5, clock=clock) == 1
        assert len(runs) == 1


def test_shapes_that_would_take_too_long_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "fastest", lambda action: 1.0)
    found = limits.product_rates(torch.float32, ((10, 10, 10), (20, 10, 10), (10, 10, 1000)))
    assert found == {"10 × 10 × 10": pytest.approx(2e-6), "20 × 10 × 10": pytest.approx(4e-6)}
