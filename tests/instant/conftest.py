from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto.networks.autoencoder import AutoEncoder


def tiny_network(residual: bool = True) -> AutoEncoder:
    """A narrow network that changes something, though it never trained."""
    torch.manual_seed(0)
    network = AutoEncoder(residual, widths=(4, 6, 6, 8, 8), depths=(1, 1, 1, 1, 1), shared=6, hints=8).eval()
    nn.init.normal_(network.last.kernel.weight)
    nn.init.normal_(network.last.bias, std=0.1)
    return network


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """(1, 3, height, width), noise under a slope, so that no two parts are alike."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    slope = torch.linspace(0, 1, width) * torch.linspace(0.2, 1, height)[:, None]
    return 0.4 * noise + 0.5 * slope


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the tiny network."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    tiny_network().to_file(path)
    return path
