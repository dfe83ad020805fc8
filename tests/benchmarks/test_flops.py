from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import flops


def descend_once(width: int, height: int) -> None:
    """VGG-19 up to relu5_1, forward and backward to the pixels, on the device that holds no numbers."""
    pixels = torch.empty(1, 3, height, width, device="meta", requires_grad=True)
    maps = pixels
    for stage, convolutions in enumerate(((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,))):
        if stage:
            maps = F.max_pool2d(maps, 2)
        for after in convolutions:
            maps = F.relu(F.conv2d(maps, torch.empty(after, maps.shape[1], 3, 3, device="meta"), padding=1))
    maps.sum().backward()


@pytest.mark.parametrize("size", [(512, 384), (65, 47)])
def test_as_torch_counts(size: tuple[int, int]) -> None:
    with FlopCounterMode(display=False) as counter:
        descend_once(*size)
    assert flops.step(*size) == counter.get_total_flops()


def test_512_pixels() -> None:
    assert flops.step(512, 512) == pytest.approx(379e9, rel=1e-3)
