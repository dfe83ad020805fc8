"""What several tests share: a tiny extractor, small images, and the real weights where they are to hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.features.compact import FORMAT
from impasto.features.extractor import Extractor
from impasto.files.cards import pack
from impasto.images import save_image
from impasto.layers import VGG19_CHANNELS

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


class TinyExtractor(Extractor):
    """Five random convolutions, a few channels each; quick, and smooth enough to descend on."""

    name = "tiny"
    sha256 = "0" * 64
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.convolutions = nn.ParameterDict()
        width = 3
        for layer, channels in zip(self.layers, (6, 8, 8, 8, 8, 8), strict=True):
            weight = torch.randn(channels, width, 3, 3, generator=generator) * (2 / (9 * width)) ** 0.5
            self.convolutions[layer] = nn.Parameter(weight, requires_grad=False)
            width = channels

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        wanted = self.check_layers(layers)
        hidden, found = image - 0.5, {}
        for layer in self.layers:
            if layer[4] != "1" and layer[-1] == "1":
                hidden = F.max_pool2d(hidden, 2)
            hidden = F.conv2d(hidden, self.convolutions[layer], padding=1).relu()
            found[layer] = hidden
        return {layer: found[layer] for layer in wanted}


@pytest.fixture(scope="session")
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture(scope="session")
def tiny_file(tiny: TinyExtractor, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of weights for ``extractor=tiny_file``: a compact extractor with the convolutions of the tiny one."""
    tensors = {}
    for layer, kernel in tiny.convolutions.items():
        tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = kernel.detach().clone(), torch.zeros(len(kernel))
        tensors[f"{layer}.projection"] = torch.eye(VGG19_CHANNELS[layer], len(kernel))
    architecture = [[layer, len(kernel)] for layer, kernel in tiny.convolutions.items()]
    path = tmp_path_factory.mktemp("extractor") / "tiny.safetensors"
    path.write_bytes(pack(tensors, {"format": FORMAT, "architecture": architecture}))
    return str(path)


@pytest.fixture
def files(tmp_path: Path, pair: tuple[Tensor, Tensor]) -> tuple[Path, Path]:
    """photo.png and painting.png, the pair as files."""
    paths = tmp_path / "photo.png", tmp_path / "painting.png"
    for path, image in zip(paths, pair, strict=True):
        save_image(path, image)
    return paths


@pytest.fixture(scope="session")
def pair() -> tuple[Tensor, Tensor]:
    """A content (1, 3, 48, 64), smooth with one hard edge, and a style (1, 3, 64, 40), striped."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 64), indexing="ij")
    content = torch.stack([rows, columns, 0.5 * (rows + columns)])
    content[:, 10:30, 20:40] = torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1)
    across, down = torch.meshgrid(torch.arange(64.0), torch.arange(40.0), indexing="ij")
    stripes = 0.5 + 0.5 * torch.sin((across + 2 * down) / 2)
    style = torch.stack([stripes, 0.3 + 0.4 * stripes, 1 - stripes])
    return content[None].contiguous(), style[None].contiguous()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of images and weights beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder 'shared' with weights and images is not beside the checkout")
    return SHARED
