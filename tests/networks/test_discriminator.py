from __future__ import annotations

import pytest
import torch
from torch import nn

from impasto.networks.discriminator import Critic, DownBlock, critic_loss, painter_loss, verdicts


def test_hinge_losses_by_hand() -> None:
    real, painted = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0])
    assert critic_loss(real, painted).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1) / 2)
    assert painter_loss(painted).item() == pytest.approx(1.5)


def test_a_critic_that_is_right_by_a_margin_learns_no_more() -> None:
    real, painted = torch.full((4,), 1.5, requires_grad=True), torch.full((4,), -1.5, requires_grad=True)
    loss = critic_loss(real, painted)
    loss.backward()
    assert loss.item() == 0
    assert real.grad is not None
    assert real.grad.abs().max() == 0


@pytest.mark.parametrize(("side", "halved"), [(32, 16), (33, 16), (2, 1)])
def test_blocks_halve(side: int, halved: int) -> None:
    assert DownBlock(3, 5)(torch.rand(2, 3, side, side + 4)).shape == (2, 5, halved, halved + 2)


def test_one_logit_a_patch() -> None:
    assert Critic()(torch.rand(2, 3, 64, 48)).shape == (2, 1, 4, 3)


def test_spectral_normalization_bounds_the_convolution() -> None:
    torch.manual_seed(0)
    block = DownBlock(8, 8)
    with torch.no_grad():
        block.convolution.parametrizations.weight.original *= 100
        for _ in range(50):
            block(torch.rand(1, 8, 8, 8))
        largest = torch.linalg.matrix_norm(block.convolution.weight.flatten(1), ord=2)
    assert largest.item() == pytest.approx(1, abs=0.02)


def test_it_learns_to_tell_stripes_from_noise() -> None:
    torch.manual_seed(0)
    critic = Critic(widths=(8, 8, 8))
    optimizer = torch.optim.Adam(critic.parameters(), 2e-3)
    stripes = (torch.arange(32.0) // 4 % 2).expand(8, 3, 32, 32)
    noise = torch.rand(8, 3, 32, 32)
    losses = []
    for _ in range(60):
        loss = critic_loss(critic(stripes), critic(noise))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.5
    assert losses[-1] < 0.7 * losses[0]
    assert (verdicts(critic.eval(), stripes) > 0).all()
    assert (verdicts(critic, noise) < 0).all()


def test_verdicts_are_means_over_the_patches() -> None:
    class Brightness(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[:, :1] - 0.5

    images = torch.zeros(2, 3, 4, 4)
    images[0, :, :3] = 1
    torch.testing.assert_close(verdicts(Brightness(), images), torch.tensor([0.25, -0.5]))
