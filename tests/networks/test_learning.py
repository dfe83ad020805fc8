from __future__ import annotations

import pytest
import torch
from torch import nn

from impasto.networks.learning import one_cycle, running_mean


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_the_mean_follows_weights_and_statistics() -> None:
    learner = network()
    mean = running_mean(learner, lambda step: 0.25 if step else 0.5)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    assert not mean.module.training
    assert all(torch.equal(value, before[name]) for name, value in mean.module.state_dict().items())
    expected = before
    for share in (0.5, 0.25):
        learner(torch.randn(8, 3, 4, 4))
        with torch.no_grad():
            learner[0].weight += 1  # type: ignore[index]
        mean.update_parameters(learner)
        for name, value in mean.module.state_dict().items():
            new = learner.state_dict()[name]
            if value.is_floating_point():
                expected[name] = (1 - share) * expected[name] + share * new
                torch.testing.assert_close(value, expected[name])
            else:
                assert value == new, "batches are counted"


def test_the_mean_of_many_steps() -> None:
    learner = nn.Linear(1, 1)
    mean = running_mean(learner, lambda step: max(1 / 500, 1 / (2 + step / 10)))
    first = learner.weight.item()
    with torch.no_grad():
        learner.weight += 1
    mean.update_parameters(learner)
    assert mean.module.weight.item() - first == pytest.approx(0.5), "half of it is new after the first step"
    for _ in range(2000):
        mean.update_parameters(learner)
    assert mean.module.weight.item() == pytest.approx(learner.weight.item(), abs=0.02)


def test_a_mean_goes_on_from_its_state() -> None:
    learner = network()
    one, two = (running_mean(learner, lambda step: 1 / (step + 2)) for _ in range(2))
    for share in (1, 2):
        with torch.no_grad():
            learner[0].weight += share  # type: ignore[index]
        one.update_parameters(learner)
        if share == 1:
            two.load_state_dict(one.state_dict())
    two.update_parameters(learner)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_one_cycle() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer, schedule = one_cycle([parameter], 0.5, 0.01, 100, 0.1)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates.index(max(rates)) == 9 or rates.index(max(rates)) == 10
    assert max(rates) == pytest.approx(0.5, rel=0.01)
    assert rates[-1] < 1e-3
    assert optimizer.param_groups[0]["weight_decay"] == 0.01
