"""The compact extractor: a small CNN that sees almost what VGG-19 sees, and ships inside the package.

Its features F come with a projection P to VGG-19's feature space, T ≈ P F. Losses in VGG-19's space only need PᵀP, so
the extractor returns R F with PᵀP = RᵀR (R from the QR decomposition of P): squared differences of features, and of
Gram matrices, are then the ones of P F, at the width of the small network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.extractor import Extractor
from impasto.files.hashing import file_sha256

__all__ = ["ARCHITECTURE", "FORMAT", "PIXEL_MEAN", "Compact", "is_compact", "shipped_path"]

#: Convolution name -> (output channels, kernel size); "pool" halves the sides. Layer names are VGG-19's.
ARCHITECTURE: tuple[tuple[str, int, int], ...] = (
    ("relu1_1", 64, 3),
    ("squeeze1", 24, 1),
    ("mix1", 32, 3),
    ("pool", 0, 0),
    ("relu2_1", 64, 3),
    ("mix2", 48, 3),
    ("pool", 0, 0),
    ("relu3_1", 128, 3),
    ("mix3a", 96, 3),
    ("mix3b", 96, 3),
    ("pool", 0, 0),
    ("relu4_1", 192, 3),
    ("relu4_2", 192, 3),
    ("mix4", 128, 3),
    ("pool", 0, 0),
    ("relu5_1", 256, 3),
)

#: The mean color that VGG-19 subtracts (RGB, 0–1). Subtracting it first keeps the zero padding where VGG-19 has it.
PIXEL_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)

FORMAT = "impasto-compact-1"


def shipped_path() -> Path:
    """The weights that ship inside the package."""
    return Path(str(resources.files("impasto") / "pretrained" / "compact.safetensors"))


def is_compact(path: str | Path) -> bool:
    """Whether the file holds weights of the compact extractor."""
    try:
        with safe_open(str(path), framework="pt") as file:
            card = json.loads((file.metadata() or {}).get("impasto", "{}"))
            return isinstance(card, dict) and card.get("format") == FORMAT
    except (SafetensorError, OSError, json.JSONDecodeError):
        return False


class Compact(Extractor):
    """The small extractor.

    ``forward`` returns R F for each layer: fewer channels than VGG-19 has, but the same squared distances up to the
    error on the card beside the weights. ``channels`` still answers with VGG-19's N.
    """

    name = "compact"
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = tuple(name for name, _, _ in ARCHITECTURE if name.startswith("relu"))
        self.convolutions = nn.ModuleDict()
        self.metrics = nn.ParameterDict()
        width = 3
        for name, channels, kernel in ARCHITECTURE:
            if name == "pool":
                continue
            self.convolutions[name] = nn.Conv2d(width, channels, kernel, padding=kernel // 2)
            if name.startswith("relu"):
                self.metrics[name] = nn.Parameter(torch.eye(channels))
            width = channels
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        #: Layers whose features are VGG-19's own and need no R.
        self.exact: frozenset[str] = frozenset()
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_file(cls, path: str | Path | None = None) -> Compact:
        """Read the weights at ``path``, or those that ship with the package.

        Raises:
            ImpastoError: the file is missing, cut, or holds something else.
        """
        path = shipped_path() if path is None else Path(path)
        if path.is_file() and not is_compact(path):
            raise ImpastoError(
                f"{path}: no intact weights of the compact extractor; give a file of 'impasto train extractor'"
            )
        try:
            extractor = cls.from_tensors(load_file(path))
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            raise ImpastoError(
                f"{path}: cannot be read as weights of the compact extractor; give an intact file"
            ) from error
        extractor.sha256 = file_sha256(path)
        return extractor

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Compact:
        """The extractor with these weights.

        Args:
            tensors: ``NAME.weight`` and ``NAME.bias`` for every convolution of :data:`ARCHITECTURE`, and
                ``LAYER.projection`` P (channels of VGG-19, channels here) for every layer.
        """
        extractor = cls()
        for name, module in extractor.convolutions.items():
            convolution = cast(nn.Conv2d, module)
            convolution.weight.copy_(tensors[f"{name}.weight"])
            cast(Tensor, convolution.bias).copy_(tensors[f"{name}.bias"])
        projections = {name: tensors[f"{name}.projection"].double() for name in extractor.layers}
        for name, P in projections.items():
            extractor.metrics[name].copy_(torch.linalg.qr(P, mode="r").R)
        extractor.exact = frozenset(
            name for name, P in projections.items() if torch.equal(P, torch.eye(*P.shape, dtype=P.dtype))
        )
        return extractor

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`Extractor.forward`."""
        wanted = set(self.check_layers(layers))
        found: dict[str, Tensor] = {}
        hidden = image - self.mean
        for name, _, _ in ARCHITECTURE:
            if name == "pool":
                hidden = F.max_pool2d(hidden, 2)
                continue
            hidden = self.convolutions[name](hidden).relu_()
            if name in wanted:
                found[name] = hidden if name in self.exact else F.conv2d(hidden, self.metrics[name][:, :, None, None])
                if len(found) == len(wanted):
                    break
        return {layer: found[layer] for layer in layers}
