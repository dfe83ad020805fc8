from __future__ import annotations

import pytest
import torch

from impasto.networks.grain import PERIOD, cut_grain, grain_corner, noise
from impasto.networks.layers import MULTIPLE

#: Its first numbers.
GRAIN = [0.4744490385055542, -0.797482430934906, -1.5901144742965698]


def test_the_grain_is_the_same_everywhere_and_repeats() -> None:
    period = noise()
    assert period[0, :3].tolist() == GRAIN
    assert period.mean().abs() < 0.005
    assert period.var() == pytest.approx(1, abs=0.005)
    image = torch.empty(1, 3, 40, 700)
    whole = cut_grain(period, image)
    assert whole.shape == (1, 1, 40, 700)
    assert torch.equal(whole[0, 0, :, PERIOD:], period[:40, : 700 - PERIOD])
    assert torch.equal(cut_grain(period, image[..., :20, 30:60], (7, 30)), whole[..., 7:27, 30:60])


def test_every_seed_has_its_own_part_of_the_grain() -> None:
    corners = [grain_corner(seed) for seed in range(1024)]
    assert corners[0] == (0, 0)
    assert len(set(corners)) == 1024
    assert all(0 <= start < PERIOD and start % MULTIPLE == 0 for corner in corners for start in corner)
    assert grain_corner(1024 + 5) == corners[5]
