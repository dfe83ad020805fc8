"""The compact extractor: a small CNN that sees almost what VGG-19 sees, and ships inside the package.

Its maps F come with a projection P to VGG-19's feature space, T ≈ P F. Losses in VGG-19's space only need M = PᵀP, the
metric of the maps. Its features are R F with RᵀR = M (R from the QR decomposition of P): squared differences of these,
and of their Gram matrices, are those of P F, at the width of the small network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

import torch
from annotated_types import MaxLen
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import ImpastoError
from impasto.features.extractor import Architecture, Chain
from impasto.files.cards import Width, bounded, check_shapes, read_card
from impasto.files.hashing import file_sha256
from impasto.files.shipped import shipped
from impasto.layers import CONTENT_LAYER, STYLE_LAYERS, VGG19_CHANNELS

#: ``relu5_0`` is no layer of VGG-19: one more convolution, where it costs least, for the layer hardest to approximate.
# fmt: off
ARCHITECTURE: Architecture = (
    ("relu1_1", 24), ("relu1_2", 32),
    ("relu2_1", 64), ("relu2_2", 56),
    ("relu3_1", 144), ("relu3_2", 96), ("relu3_3", 80),
    ("relu4_1", 192), ("relu4_2", 192), ("relu4_3", 176), ("relu4_4", 176),
    ("relu5_0", 320), ("relu5_1", 384),
)
# fmt: on

#: The layers of the metric, which a compact extractor gives.
LAYERS = tuple(sorted({CONTENT_LAYER, *STYLE_LAYERS}))

#: The mean color that VGG-19 subtracts (RGB, 0–1). Subtracting it first keeps the zero padding where VGG-19 has it.
PIXEL_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)

FORMAT = "impasto-compact-3"

Row = tuple[Annotated[str, Field(pattern=r"^relu[1-5]_\d$")], Width]


def walk(
    architecture: Architecture, image: Tensor, convolve: Callable[[str, Tensor], Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each convolution and its maps, after the ReLU.

    The mean color is subtracted from ``image`` (B, 3, H, W). ``convolve`` applies the convolution of a name; its result
    is overwritten.
    """
    hidden, stage = image, "1"
    for name, _ in architecture:
        if name[4] != stage:
            hidden, stage = F.max_pool2d(hidden, 2), name[4]
        hidden = convolve(name, hidden).relu_()
        yield name, hidden


def is_compact(path: str | Path) -> bool:
    """Whether the file holds weights of the compact extractor."""
    try:
        return read_card(path, FORMAT) is not None
    except (SafetensorError, ValueError):
        return False


class Compact(Chain):
    """The small extractor: ``forward`` returns R F for each layer.

    It has fewer channels than VGG-19, but the same squared distances up to the error on the card beside the weights.
    """

    name = "compact"

    @bounded
    def __init__(self, architecture: Annotated[Sequence[Row], MaxLen(64)] = ARCHITECTURE) -> None:
        super().__init__()
        self.architecture = tuple(architecture)
        names = [name for name, _ in self.architecture]
        if names != sorted(set(names)) or not set(LAYERS) <= set(names):
            raise ValueError(f"the layers {names}")
        self.layers = LAYERS
        self.convolutions = nn.ModuleDict()
        self.roots = nn.ParameterDict()
        width = 3
        for name, channels in self.architecture:
            self.convolutions[name] = nn.Conv2d(width, channels, 3, padding=1)
            if name in LAYERS:
                self.roots[name] = nn.Parameter(torch.eye(channels))
            width = channels
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_file(cls, path: str | Path | None = None) -> Compact:
        """Read the weights at ``path``, or those that ship with the package.

        Raises:
            ImpastoError: the file is missing, cut, or holds something else.
        """
        path = shipped("compact") if path is None else Path(path)
        if path.is_file() and not is_compact(path):
            mend = "give a file of 'impasto train extractor'"
            raise ImpastoError(f"{path}: no intact weights of the compact extractor; {mend}")
        try:
            card = read_card(path, FORMAT) or {}
            architecture = tuple((name, channels) for name, channels in card["architecture"])
            with torch.device("meta"):  # Takes no memory, whatever the card says.
                check_shapes(path, cls(architecture).shapes())
            extractor = cls.from_tensors(load_file(path), architecture)
        except ImpastoError:  # Which is a ValueError, too.
            raise
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ImpastoError(f"{path}: no readable weights of the compact extractor; give an intact file") from error
        extractor.sha256 = file_sha256(path)
        return extractor

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], architecture: Architecture = ARCHITECTURE) -> Compact:
        """The extractor with these weights.

        They are ``NAME.weight`` and ``NAME.bias`` of every convolution, and ``LAYER.projection`` P (channels of VGG-19,
        channels here) of every layer.
        """
        extractor = cls(architecture)
        for name, convolution in extractor.convolutions.items():
            convolution.load_state_dict({part: tensors[f"{name}.{part}"] for part in ("weight", "bias")})
        for name, root in extractor.roots.items():
            root.copy_(torch.linalg.qr(tensors[f"{name}.projection"].double(), mode="r").R)
        extractor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return extractor

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the tensors in a file of its weights, by name: those of :meth:`from_tensors`."""
        found: dict[str, tuple[int, ...]] = {}
        for name in self.convolutions:
            weight = self.convolution(name).weight
            found |= {f"{name}.weight": tuple(weight.shape), f"{name}.bias": (len(weight),)}
            if name in self.roots:
                found[f"{name}.projection"] = (VGG19_CHANNELS[name], len(weight))
        return found

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`Extractor.forward`."""
        found = self.maps(image, layers)
        return {layer: F.conv2d(maps, self.roots[layer][:, :, None, None]) for layer, maps in found.items()}

    def metric(self, layer: str) -> Tensor | None:
        """See :meth:`Extractor.metric`."""
        self.check_layers([layer])
        return self.roots[layer].mT @ self.roots[layer]

    def convolution(self, name: str) -> nn.Conv2d:
        """See :meth:`Chain.convolution`."""
        return cast(nn.Conv2d, self.convolutions[name])
