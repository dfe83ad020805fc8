"""What trainings have in common: AdamW in one cycle, and the running mean of a network's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def one_cycle(
    parameters: Iterable[nn.Parameter], rate: float, decay: float, steps: int, warm_up: float
) -> tuple[torch.optim.AdamW, OneCycleLR]:
    """AdamW whose learning rate rises to ``rate`` over the share ``warm_up`` of the steps, and falls to almost nothing.

    Smith and Topin 2017, "Super-Convergence" (arXiv:1708.07120).
    """
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return optimizer, OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=warm_up, final_div_factor=1e3)


def running_mean(network: nn.Module, share: Callable[[int], float]) -> AveragedModel:
    """A copy of ``network``, its ``module``, that follows at every ``update_parameters``, batch norm's statistics too.

    The mean of many steps is better than any one of them (Yazici et al.: The Unusual Effectiveness of Averaging in GAN
    Training, 2018, arXiv:1806.04498).

    Args:
        network: as it begins.
        share: of the newest weights in the mean after a step, by the step's number (0-based).
    """

    def follow(means: Tensors, values: Tensors, updates: Tensor | int) -> None:
        if means[0].is_floating_point():
            torch._foreach_lerp_(means, values, share(int(updates) - 1))
        else:  # Batch norm counts its batches.
            torch._foreach_copy_(means, values)

    mean = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
    # torch's first update is a copy. Made now, it leaves the weights before the first step in the mean.
    mean.update_parameters(network)
    return mean.eval().requires_grad_(False)
